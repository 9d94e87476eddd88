"""AIRA-Compose after the search: many scored patterns become one pattern, and that pattern becomes models at scale."""
