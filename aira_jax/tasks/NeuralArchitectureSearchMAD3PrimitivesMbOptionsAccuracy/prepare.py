"""Writes the rows that the agent may see: --global-shared-data-dir, --agent-data-mount-dir, --profile."""

import sys

from aira_jax.tasks import compose_mad

if __name__ == "__main__":
    sys.exit(compose_mad.prepare())
