"""Where a pretraining's arrays lie, and how a device gets a whole weight.

Axes: `fsdp` devices share every large weight and split the batch; `replica` such groups split the batch further.
A weight travels as bfloat16: one all-gather over `fsdp` where it is used, one reduce-scatter of its gradient, and one
all-reduce of the device's own part over `replica`. Only the batch and the weights are sharded.
"""

import re
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType
from jax.sharding import PartitionSpec as P

from aira_jax.pretrain import settings
from aira_jax.train.sharding import Layout, name_of

ALL = settings.Mesh()
REPLICA, FSDP = AXES = ("replica", "fsdp")
BATCH = P(None, AXES)  # [accumulation, rows, tokens]

TABLE = (  # path of a weight within its layer -> how one layer's weight lies; the first that finds the path
    (r"^embedding$", P(None, FSDP)),
    (r"/(query|key|value|gate|up|in_proj)/kernel$", P(FSDP, None)),
    (r"/(out|down|out_proj)/kernel$", P(None, FSDP)),
    (r"/(conv_weight|conv_bias|A_log|D|dt_bias|norm_weight|weight)$", P()),
)


def mesh(chosen: settings.Mesh) -> jax.sharding.Mesh:
    """The mesh over all devices of all processes. Raises ValueError with the meshes that would fit."""
    devices = jax.device_count()
    fsdp = chosen.fsdp or (devices // chosen.replica if chosen.replica else jax.local_device_count())
    replica = chosen.replica or devices // fsdp
    if replica * fsdp != devices:
        fitting = ", ".join(f"{devices // n} x {n}" for n in range(1, devices + 1) if devices % n == 0)
        raise ValueError(f"mesh {replica} x {fsdp} has {replica * fsdp} devices, {devices} are here: use {fitting}")
    return jax.make_mesh((replica, fsdp), AXES, axis_types=(AxisType.Auto,) * 2)


def layout(mesh: jax.sharding.Mesh, least: int) -> Layout:
    """Placement of a state and its batches; weights below `least` elements a layer are whole on every device."""
    return Layout(mesh, rule(mesh.shape[FSDP], least), BATCH)


def rule(devices: int, least: int) -> Callable[[str, tuple[int, ...]], P]:
    """The table as a function of path and shape. Raises ValueError for a path that it does not know, or a dimension
    that `devices` cannot share."""

    def spec_of(path: str, shape: tuple[int, ...]) -> P:
        stacked = path.startswith("segment_")
        one = shape[1:] if stacked else shape
        found = next((spec for pattern, spec in TABLE if re.search(pattern, path)), None)
        if found is None:
            raise ValueError(f"parameter {path} {shape}: no row of pretrain.sharding.TABLE says how it lies; add one")
        if np.prod(one) < least or FSDP not in found:
            return P()
        dim = found.index(FSDP)
        if one[dim] % devices:
            divisors = [n for n in range(devices, 0, -1) if one[dim] % n == 0]
            raise ValueError(
                f"{path}: {devices} devices of the axis {FSDP} cannot share dimension {dim} of {one}: "
                f"use mesh.fsdp={divisors[0]}"
            )
        return P(None, *found) if stacked else found

    return spec_of


def specs(params: Any, rule: Callable[[str, tuple[int, ...]], P]) -> Any:
    """The PartitionSpec of every parameter."""
    return jax.tree_util.tree_map_with_path(lambda path, leaf: rule(name_of(path), leaf.shape), params)


def gatherer(dtype: str, params_specs: Any, devices: int) -> Callable[[str, jax.Array], jax.Array]:
    """(path, a device's part of one layer's weight) -> the whole weight; those of the table's shared rows in `dtype`.

    For use inside shard_map: the transpose of the all-gather is the reduce-scatter of the gradient.
    """
    leaves = jax.tree_util.tree_leaves_with_path(params_specs, is_leaf=lambda leaf: isinstance(leaf, P))
    split = {_within(name_of(path)): spec for path, spec in leaves if FSDP in spec and devices > 1}

    def whole(path: str, part: jax.Array) -> jax.Array:
        spec = next(spec for pattern, spec in TABLE if re.search(pattern, f"/{path}" if path != "embedding" else path))
        if FSDP not in spec:
            return part
        part = part.astype(dtype)
        return jax.lax.all_gather(part, FSDP, axis=spec.index(FSDP), tiled=True) if path in split else part

    return whole


def _within(path: str) -> str:
    """The path of a weight within its layer."""
    return re.sub(r"^segment_\d+/layer_\d+/", "", path)


def summed(grads: Any, params_specs: Any) -> Any:
    """Every device's part of the gradient, added over all that hold the same part."""

    def leaf(grad: jax.Array, spec: P) -> jax.Array:
        return jax.lax.psum(grad.astype(jnp.float32), REPLICA if FSDP in spec else AXES)

    return jax.tree.map(leaf, grads, params_specs)
