"""Trains the pattern of submission.csv on MAD and prints its accuracy: see --help."""

import sys

from space import SPACE

from aira_jax.tasks.compose import on_mad

if __name__ == "__main__":
    sys.exit(on_mad.evaluate(SPACE))
