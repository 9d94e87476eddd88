"""The name under which task texts and candidates know `aira_jax.tasks.compose.scripts.text_loss`."""

from aira_jax.tasks.compose.scripts import text_loss as train_and_score

__all__ = ["train_and_score"]
