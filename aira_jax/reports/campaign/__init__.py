"""The report of a campaign: many runs, one base pattern, models at scale."""
