"""The name under which task texts and candidates know `aira_jax.tasks.lra.fit`."""

from aira_jax.tasks.lra.fit import train_and_score as train_and_score
