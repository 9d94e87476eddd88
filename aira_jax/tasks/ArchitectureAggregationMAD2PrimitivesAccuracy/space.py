"""The candidates of this task: bases of A and M, and rules that bring them to the target."""

from aira_jax.tasks.aggregation.scaled_submission import Space

_SPACE = Space()

sample = _SPACE.sample
mutate = _SPACE.mutate
crossover = _SPACE.crossover
canonical = _SPACE.canonical
