"""Trains the pattern of submission.csv on every proxy and prints its relative error: see --help."""

import sys
from pathlib import Path

from space import SPACE

from aira_jax.tasks.compose import on_mix

if __name__ == "__main__":
    sys.exit(on_mix.evaluate(SPACE, Path(__file__).parent))
