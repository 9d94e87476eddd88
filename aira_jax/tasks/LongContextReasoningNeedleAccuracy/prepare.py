"""Writes the rows that the agent may see: --global-shared-data-dir, --agent-data-mount-dir, --profile."""

import sys
from pathlib import Path

from aira_jax.tasks import lra_task

if __name__ == "__main__":
    sys.exit(lra_task.prepare(lra_task.Task("needle", Path(__file__).parent)))
