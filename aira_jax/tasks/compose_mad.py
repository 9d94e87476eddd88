"""The name under which task texts and candidates know `aira_jax.tasks.compose.scripts.mad_accuracy`."""

from aira_jax.tasks.compose.scripts import mad_accuracy as train_and_score

__all__ = ["train_and_score"]
