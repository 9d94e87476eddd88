"""The name under which task texts and candidates know `aira_jax.tasks.compose.on_text`."""

from aira_jax.tasks.compose.on_text import train_and_score as train_and_score
