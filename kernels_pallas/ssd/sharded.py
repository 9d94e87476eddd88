"""ssd over a device mesh: batch and heads by shard_map, and optionally the sequence.

Pallas calls are not partitioned automatically; here every device runs the ordinary operator on its part. The gradient
is taken inside, so that the only collectives are sums of the gradients of replicated inputs: dA, dD, ddt_bias over the
batch axes, dB and dC over the head axis when all heads share one group.

B batch, L time, H heads, P head dim, G groups, N state dim.
"""

import functools

import jax
from jax.sharding import Mesh
from jax.sharding import PartitionSpec as P

from kernels_pallas.ssd.api import ssd
from kernels_pallas.ssd.sequence import state_before

NO_LIMIT = (0.0, float("inf"))


def ssd_sharded(
    x,
    dt,
    A,
    B,
    C,
    *,
    mesh: Mesh,
    batch_axes: str | tuple[str, ...],
    head_axis: str | None = None,
    seq_axis: str | None = None,
    D=None,
    dt_bias=None,
    initial_state=None,
    segment_ids=None,
    return_final_state: bool = False,
    **options,
):
    """`ssd` with the batch over `batch_axes`, heads over `head_axis` and time over `seq_axis` of `mesh`.

    Sizes must be divisible by the axes; with more than one group, G by the head axis too. Mesh axes are of type Auto.
    With `seq_axis`, no segment_ids. Arguments, results and `options` (chunk, impl, dt_limit) as in `ssd`; the final
    state is sharded over batch and heads, and replicated over `seq_axis`.
    """
    batch = (batch_axes,) if isinstance(batch_axes, str) else tuple(batch_axes)
    _check(mesh, batch, head_axis, seq_axis, x.shape, B.shape[2], segment_ids)
    groups = head_axis if B.shape[2] > 1 else None
    timed = P(batch, seq_axis, head_axis)
    arrays = {"x": x, "dt": dt, "A": A, "B": B, "C": C, "D": D, "dt_bias": dt_bias, "initial_state": initial_state}
    specs = {
        "x": timed, "dt": timed, "A": P(head_axis), "B": P(batch, seq_axis, groups), "C": P(batch, seq_axis, groups),
        "D": P(head_axis), "dt_bias": P(head_axis), "initial_state": P(batch, head_axis), "segment_ids": P(batch),
    }  # fmt: skip
    arrays = {k: v for k, v in (arrays | {"segment_ids": segment_ids}).items() if v is not None}
    body = functools.partial(_local, seq_axis=seq_axis, **options)
    run = jax.shard_map(
        body,
        mesh=mesh,
        in_specs=({k: specs[k] for k in arrays},),
        out_specs=(timed, P(batch, head_axis)),
        check_vma=False,
    )
    y, final = run(arrays)
    return (y, final) if return_final_state else y


def _local(arrays, *, seq_axis: str | None, **options):
    """One device's part. Across `seq_axis`, the state before a part comes from the parts before it."""
    run = functools.partial(ssd, return_final_state=True, **options)
    if seq_axis is None:
        return run(**arrays)
    given = arrays.pop("initial_state", None)
    before, final = state_before(arrays, given, seq_axis, run, options.get("dt_limit", NO_LIMIT))
    y, _ = run(**arrays, initial_state=before)
    return y, final


def _check(mesh: Mesh, batch, head_axis, seq_axis, shape, groups: int, segment_ids) -> None:
    sizes = dict(mesh.shape)
    for axis in (*batch, *(a for a in (head_axis, seq_axis) if a)):
        if axis not in sizes:
            raise ValueError(f"ssd_sharded: mesh has no axis {axis!r}; its axes are {', '.join(sizes)}")
    parts = 1
    for axis in batch:
        parts *= sizes[axis]
    needs = [("B", shape[0], parts), ("L", shape[1], sizes.get(seq_axis, 1)), ("H", shape[2], sizes.get(head_axis, 1))]
    if groups > 1:
        needs.append(("G", groups, sizes.get(head_axis, 1)))
    for name, size, count in needs:
        if size % count:
            raise ValueError(f"ssd_sharded: {name}={size} is not divisible by its {count} shards")
    if seq_axis and segment_ids is not None:
        raise ValueError("ssd_sharded: segment_ids with seq_axis is not supported; shard the batch and heads instead")
