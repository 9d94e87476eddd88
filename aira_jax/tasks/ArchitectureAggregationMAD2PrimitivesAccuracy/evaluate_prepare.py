"""Writes the seed of the rows that only the evaluator may know: the flags of prepare.py, and --split."""

import sys

from aira_jax.compose import aggregation_task

if __name__ == "__main__":
    sys.exit(aggregation_task.evaluate_prepare())
