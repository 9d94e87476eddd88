"""Writes what the agent may see: --global-shared-data-dir, --agent-data-mount-dir, --profile."""

import sys
from pathlib import Path

from aira_jax.tasks.compose import preparing

if __name__ == "__main__":
    sys.exit(preparing.prepare(Path(__file__).parent))
