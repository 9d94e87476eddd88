"""The name under which task texts and candidates know `aira_jax.tasks.compose.on_mad`."""

from aira_jax.tasks.compose.on_mad import train_and_score as train_and_score
