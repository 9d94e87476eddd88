"""Writes the windows that only the evaluator may see: the flags of prepare.py, and --split."""

import sys

from aira_jax.tasks import compose_text

if __name__ == "__main__":
    sys.exit(compose_text.evaluate_prepare("dclm"))
