"""Writes the ledger and what votes make of it: --agent-data-mount-dir, --profile; --runs=DIR[,DIR]: own searches."""

import sys
from pathlib import Path

from aira_jax.tasks.aggregation import preparing

if __name__ == "__main__":
    sys.exit(preparing.prepare(Path(__file__).parent))
