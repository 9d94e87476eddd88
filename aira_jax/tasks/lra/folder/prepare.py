"""Writes the rows that the agent may see: --global-shared-data-dir, --agent-data-mount-dir, --profile."""

import sys
from pathlib import Path

from aira_jax.tasks.lra import preparing

if __name__ == "__main__":
    sys.exit(preparing.prepare(preparing.Task.of(Path(__file__).parent)))
