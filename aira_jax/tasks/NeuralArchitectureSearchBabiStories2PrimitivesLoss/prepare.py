"""Writes the windows that the agent may see: --global-shared-data-dir, --agent-data-mount-dir, --profile."""

import sys

from aira_jax.tasks.compose import on_text

if __name__ == "__main__":
    sys.exit(on_text.prepare("babistories"))
