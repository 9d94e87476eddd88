"""Writes the labels that only the evaluator may see: the flags of prepare.py, and --split."""

import sys
from pathlib import Path

from aira_jax.tasks.compose import preparing

if __name__ == "__main__":
    sys.exit(preparing.evaluate_prepare(Path(__file__).parent))
