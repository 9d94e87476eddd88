"""The candidates of this task: 16 layers of A and M with options."""

from aira_jax.tasks.compose.options import OptionSpace

SPACE = OptionSpace(primitives=("A", "M"), example="8(A[head=16]-M[ratio=2;norm=rms])")

sample = SPACE.sample
mutate = SPACE.mutate
crossover = SPACE.crossover
canonical = SPACE.canonical
