"""Where arrays lie: a rule for parameters, and a state and batches that follow it.

A rule sees the path of a parameter ("stack/layer_0/out/kernel") and its shape, and answers with a PartitionSpec.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

Rule = Callable[[str, tuple[int, ...]], PartitionSpec]
DATA = "data"


def replicated(path: str, shape: tuple[int, ...]) -> PartitionSpec:
    """Every device holds every parameter."""
    del path, shape
    return PartitionSpec()


def fsdp(axis: str, size: int, *, smallest: int = 2**16) -> Rule:
    """Splits the largest dimension that `size` devices can share; parameters below `smallest` elements stay whole."""

    def rule(path: str, shape: tuple[int, ...]) -> PartitionSpec:
        del path
        fitting = [dim for dim, length in enumerate(shape) if length % size == 0]
        if not fitting or np.prod(shape) < smallest:
            return PartitionSpec()
        largest = max(fitting, key=lambda dim: shape[dim])
        return PartitionSpec(*(axis if dim == largest else None for dim in range(largest + 1)))

    return rule


def mesh_of(devices: Sequence[jax.Device]) -> Mesh:
    """One axis, `data`, over the devices."""
    return Mesh(np.array(devices), (DATA,))


@dataclasses.dataclass(frozen=True)
class Layout:
    """A mesh, the rule for parameters, and how a batch is split (its leading dimensions)."""

    mesh: Mesh
    rule: Rule = replicated
    batch: PartitionSpec = PartitionSpec(DATA)

    @property
    def whole(self) -> NamedSharding:
        return NamedSharding(self.mesh, PartitionSpec())

    @property
    def split(self) -> NamedSharding:
        return NamedSharding(self.mesh, self.batch)

    def state(self, shapes: Any) -> Any:
        """Shapes of a state with their placement.

        Every array that mirrors a parameter (moments, copies of the best ones) lies as that parameter does: its path
        ends with the parameter's and its shape is the same. Everything else is replicated.
        """
        leaves = jax.tree_util.tree_leaves_with_path(shapes.params)
        specs = {(name_of(path), leaf.shape): self.rule(name_of(path), leaf.shape) for path, leaf in leaves}

        def placed(path: tuple, leaf: Any) -> jax.ShapeDtypeStruct:
            parts = name_of(path).split("/")
            tails = (("/".join(parts[start:]), leaf.shape) for start in range(len(parts)))
            spec = next((specs[tail] for tail in tails if tail in specs), PartitionSpec())
            return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=NamedSharding(self.mesh, spec))

        return jax.tree_util.tree_map_with_path(placed, shapes)

    def batch_shapes(self, shapes: Any) -> Any:
        """Shapes of a batch with their placement."""
        return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=self.split), shapes)

    def place(self, batch: Any) -> Any:
        """A host batch on the devices; with several processes, each brings its own rows."""
        if self.split.is_fully_addressable:
            return jax.device_put(batch, self.split)
        return jax.tree.map(lambda rows: jax.make_array_from_process_local_data(self.split, rows), batch)


def shardings(placed: Any) -> Any:
    """The shardings of a tree of placed shapes."""
    return jax.tree.map(lambda leaf: leaf.sharding, placed)


def name_of(path: Sequence[Any]) -> str:
    """ "stack/layer_0/ssm/log_step" of a key path."""
    return "/".join(str(_key(part)) for part in path)


def _key(part: Any) -> Any:
    return next((getattr(part, name) for name in ("key", "name", "idx") if hasattr(part, name)), part)
