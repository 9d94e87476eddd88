"""The candidates that a search without a language model tries: designs of lra.designs and their variations."""

from aira_jax.tasks.lra_space import DesignSpace

SPACE = DesignSpace("listops", configurable=True)

sample = SPACE.sample
mutate = SPACE.mutate
crossover = SPACE.crossover
canonical = SPACE.canonical
