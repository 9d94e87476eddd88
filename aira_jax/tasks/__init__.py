"""Task folders in the AIRS-Bench format: loading, data, evaluation, self-test."""
