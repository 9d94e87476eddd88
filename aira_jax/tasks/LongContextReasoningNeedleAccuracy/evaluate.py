"""Trains model.py on a sentence in a text and prints its accuracy: see --help."""

import sys
from pathlib import Path

from aira_jax.tasks import lra_task

if __name__ == "__main__":
    sys.exit(lra_task.evaluate(lra_task.Task("needle", Path(__file__).parent)))
