"""The candidates of this task: 16 layers of A, M and Mb with options."""

from aira_jax.tasks.compose.options import OptionSpace

SPACE = OptionSpace(primitives=("A", "M", "Mb"), example="5(Mb[state=8]-M[norm=rms]-A[head=16])-M")

sample = SPACE.sample
mutate = SPACE.mutate
crossover = SPACE.crossover
canonical = SPACE.canonical
