"""Trains model.py on byte-level reviews and prints its accuracy: see --help."""

import sys
from pathlib import Path

from aira_jax.tasks.lra import scripts

if __name__ == "__main__":
    sys.exit(scripts.evaluate(scripts.Task("text", Path(__file__).parent)))
