"""Writes the rows that are scored and their labels, for the evaluator: the flags of prepare.py, and --split."""

import sys
from pathlib import Path

from aira_jax.tasks import lra_task

if __name__ == "__main__":
    sys.exit(lra_task.evaluate_prepare(lra_task.Task("retrieval", Path(__file__).parent, configurable=True)))
