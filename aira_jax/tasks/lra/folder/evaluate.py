"""Trains model.py from scratch and prints its accuracy: see --help."""

import sys
from pathlib import Path

from aira_jax.tasks.lra import preparing, scripts

if __name__ == "__main__":
    sys.exit(scripts.evaluate(preparing.Task.of(Path(__file__).parent)))
