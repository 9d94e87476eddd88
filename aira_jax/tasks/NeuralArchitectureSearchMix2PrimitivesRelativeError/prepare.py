"""Writes what the agent may see of every proxy: --global-shared-data-dir, --agent-data-mount-dir, --profile."""

import sys
from pathlib import Path

from aira_jax.tasks.compose import on_mix

if __name__ == "__main__":
    sys.exit(on_mix.prepare(Path(__file__).parent))
