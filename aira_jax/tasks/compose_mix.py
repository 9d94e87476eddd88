"""The name under which task texts and candidates know `aira_jax.tasks.compose.scripts.mix_error`."""

from aira_jax.tasks.compose.scripts import mix_error as train_and_score

__all__ = ["train_and_score"]
