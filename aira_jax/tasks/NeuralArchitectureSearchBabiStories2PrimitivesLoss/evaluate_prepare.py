"""Writes the windows that only the evaluator may see: the flags of prepare.py, and --split."""

import sys

from aira_jax.tasks.compose import on_text

if __name__ == "__main__":
    sys.exit(on_text.evaluate_prepare("babistories"))
