"""causal_conv1d over a device mesh: batch, channels, and optionally time with a halo of W-1 inputs.

B batch, L time, K channels, W width.
"""

import functools

import jax
import jax.numpy as jnp
from jax.sharding import Mesh
from jax.sharding import PartitionSpec as P

from kernels_pallas.conv1d.api import causal_conv1d


def causal_conv1d_sharded(
    x, w, b=None, *, mesh: Mesh, batch_axes, channel_axis=None, seq_axis=None, segment_ids=None, **options
):
    """`causal_conv1d` with the batch over `batch_axes`, channels over `channel_axis`, time over `seq_axis` of `mesh`.

    Options: activation, impl. With `seq_axis` no segment_ids, and L / axis size must be at least W - 1.
    """
    if seq_axis and (segment_ids is not None or x.shape[1] // mesh.shape[seq_axis] < w.shape[0] - 1):
        raise ValueError(
            f"causal_conv1d_sharded: seq_axis needs no segment_ids and at least W-1={w.shape[0] - 1} tokens a shard"
        )
    arrays = {"x": x, "w": w, "b": b, "segment_ids": segment_ids}
    specs = {
        "x": P(batch_axes, seq_axis, channel_axis),
        "w": P(None, channel_axis),
        "b": P(channel_axis),
        "segment_ids": P(batch_axes),
    }
    arrays = {k: v for k, v in arrays.items() if v is not None}
    return jax.shard_map(
        functools.partial(_local, seq_axis=seq_axis, **options),
        mesh=mesh,
        in_specs=({k: specs[k] for k in arrays},),
        out_specs=specs["x"],
        check_vma=False,
    )(arrays)


def _local(arrays, *, seq_axis, **options):
    arrays = dict(arrays)
    args = [arrays.pop(k, None) for k in ("x", "w", "b")]
    state = None if seq_axis is None else _halo(args[0], args[1].shape[0] - 1, seq_axis)
    return causal_conv1d(*args, **arrays, initial_state=state, **options)


def _halo(x_BLK, rows: int, axis: str):
    """The last inputs of the span before; zeros for the first span."""
    count = jax.lax.axis_size(axis)
    tail = x_BLK[:, x_BLK.shape[1] - rows :]
    sent = jax.lax.ppermute(tail, axis, [(i, i + 1) for i in range(count - 1)])
    return jnp.where(jax.lax.axis_index(axis) == 0, jnp.zeros_like(sent), sent)
