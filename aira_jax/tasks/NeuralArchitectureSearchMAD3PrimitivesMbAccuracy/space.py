"""The candidates of this task: 16 layers of A, M and Mb."""

from aira_jax.tasks.compose.space import PatternSpace

SPACE = PatternSpace(primitives=("A", "M", "Mb"), example="5(Mb-M-A)-M")

sample = SPACE.sample
mutate = SPACE.mutate
crossover = SPACE.crossover
canonical = SPACE.canonical
