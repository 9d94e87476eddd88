"""Writes the labels that only the evaluator may see: the flags of prepare.py, and --split."""

import sys

from aira_jax.tasks.compose import on_mad

if __name__ == "__main__":
    sys.exit(on_mad.evaluate_prepare())
