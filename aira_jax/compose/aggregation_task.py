"""The name under which task texts and candidates know `aira_jax.tasks.aggregation.scripts`."""

from aira_jax.tasks.aggregation.scripts import train_and_score as train_and_score
