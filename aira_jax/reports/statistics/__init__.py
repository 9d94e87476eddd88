"""The report of a study: many runs, their scores with intervals."""
