"""Trains model.py on associative recall and prints its accuracy: see --help."""

import sys
from pathlib import Path

from aira_jax.tasks.lra import scripts

if __name__ == "__main__":
    sys.exit(scripts.evaluate(scripts.Task("recall", Path(__file__).parent)))
