"""Writes the rows that are scored and their labels, for the evaluator: the flags of prepare.py, and --split."""

import sys
from pathlib import Path

from aira_jax.tasks.lra import preparing

if __name__ == "__main__":
    sys.exit(preparing.evaluate_prepare(preparing.Task.of(Path(__file__).parent)))
