"""Writes the rows that the agent may see: --global-shared-data-dir, --agent-data-mount-dir, --profile."""

import sys
from pathlib import Path

from aira_jax.tasks.lra import scripts

if __name__ == "__main__":
    sys.exit(scripts.prepare(scripts.Task("text", Path(__file__).parent, configurable=True)))
