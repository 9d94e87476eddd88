"""Writes the rows that the agent may see: --global-shared-data-dir, --agent-data-mount-dir, --profile."""

import sys

from aira_jax.tasks.compose import on_mad

if __name__ == "__main__":
    sys.exit(on_mad.prepare())
