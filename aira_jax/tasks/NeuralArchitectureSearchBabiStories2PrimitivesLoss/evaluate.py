"""Trains the pattern of submission.csv on BabiStories and prints its loss: see --help."""

import sys

from space import SPACE

from aira_jax.tasks.compose import on_text

if __name__ == "__main__":
    sys.exit(on_text.evaluate(SPACE, "babistories"))
