"""`python -m lra.evaluate`: the published name of scripts/lra_evaluate.py."""

import sys

from aira_jax.tasks.lra.by_hand import main

if __name__ == "__main__":
    sys.exit(main())
