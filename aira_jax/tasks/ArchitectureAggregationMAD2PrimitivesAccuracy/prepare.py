"""Writes the ledger and what votes make of it: --agent-data-mount-dir, --profile; --runs=DIR[,DIR]: own searches."""

import sys
from pathlib import Path

from aira_jax.compose import aggregation_task

if __name__ == "__main__":
    sys.exit(aggregation_task.prepare(Path(__file__).parent))
