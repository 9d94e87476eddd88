"""Writes the seed of the rows that only the evaluator may know: the flags of prepare.py, and --split."""

import sys

from aira_jax.tasks.aggregation import preparing

if __name__ == "__main__":
    sys.exit(preparing.evaluate_prepare())
