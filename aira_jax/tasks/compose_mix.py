"""The name under which task texts and candidates know `aira_jax.tasks.compose.on_mix`."""

from aira_jax.tasks.compose.on_mix import train_and_score as train_and_score
