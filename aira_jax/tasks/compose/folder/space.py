"""The candidates of this task: 16 layers of A and M."""

from aira_jax.tasks.compose.space import PatternSpace

SPACE = PatternSpace(primitives=("A", "M"), example="5(2A-M)-A")

sample = SPACE.sample
mutate = SPACE.mutate
crossover = SPACE.crossover
canonical = SPACE.canonical
