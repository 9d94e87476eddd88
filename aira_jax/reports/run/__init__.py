"""The report of one run, and the files that are derived from its log."""
