"""Writes the labels of every proxy that only the evaluator may see: the flags of prepare.py, and --split."""

import sys
from pathlib import Path

from aira_jax.tasks.compose import on_mix

if __name__ == "__main__":
    sys.exit(on_mix.evaluate_prepare(Path(__file__).parent))
