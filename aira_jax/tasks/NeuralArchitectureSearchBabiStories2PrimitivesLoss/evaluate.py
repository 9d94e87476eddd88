"""Trains the pattern of submission.csv on BabiStories and prints its loss: see --help."""

import sys

from space import SPACE

from aira_jax.tasks import compose_text

if __name__ == "__main__":
    sys.exit(compose_text.evaluate(SPACE, "babistories"))
