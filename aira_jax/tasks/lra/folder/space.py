"""The candidates that a search without a language model tries: designs of lra.designs and their variations."""

from pathlib import Path

from aira_jax.tasks.lra.space import DesignSpace

DESIGNS = DesignSpace.of(Path(__file__).parent)

sample = DESIGNS.sample
mutate = DESIGNS.mutate
crossover = DESIGNS.crossover
canonical = DESIGNS.canonical
