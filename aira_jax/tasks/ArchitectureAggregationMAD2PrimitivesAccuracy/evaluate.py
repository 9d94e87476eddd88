"""Scales the base pattern of submission.csv, trains it on MAD and prints its accuracy: see --help."""

import sys
from pathlib import Path

from aira_jax.tasks.aggregation import scripts

if __name__ == "__main__":
    sys.exit(scripts.evaluate(Path(__file__).parent))
