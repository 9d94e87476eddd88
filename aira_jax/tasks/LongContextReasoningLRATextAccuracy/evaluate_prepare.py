"""Writes the rows that are scored and their labels, for the evaluator: the flags of prepare.py, and --split."""

import sys
from pathlib import Path

from aira_jax.tasks.lra import scripts

if __name__ == "__main__":
    sys.exit(scripts.evaluate_prepare(scripts.Task("text", Path(__file__).parent)))
