"""Trains the pattern of submission.csv from scratch and prints its score: see --help."""

import sys
from pathlib import Path

from aira_jax.tasks.compose import scripts

if __name__ == "__main__":
    sys.exit(scripts.evaluate(Path(__file__).parent))
