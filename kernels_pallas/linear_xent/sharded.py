"""linear_xent over a device mesh: every device takes blocks of its own tokens, the sums are added up.

T tokens, d model dim, V vocabulary.
"""

import functools

import jax
from jax.sharding import Mesh
from jax.sharding import PartitionSpec as P

from kernels_pallas.linear_xent.api import XentOut, linear_xent


def linear_xent_sharded(h, table, labels, *, mesh: Mesh, batch_axes, weights=None, **options) -> XentOut:
    """`linear_xent` with tokens over `batch_axes` and a whole table per device; its gradient is summed."""
    arrays = {"h": h, "table": table, "labels": labels, "weights": weights}
    tokens = P(batch_axes)
    specs = {"h": tokens, "table": P(), "labels": tokens, "weights": tokens}
    arrays = {k: v for k, v in arrays.items() if v is not None}
    return jax.shard_map(
        functools.partial(_local, axes=batch_axes, **options),
        mesh=mesh,
        in_specs=({k: specs[k] for k in arrays},),
        out_specs=XentOut(P(), P(), tokens),
        check_vma=False,
    )(arrays)


def _local(arrays, *, axes, **options) -> XentOut:
    out = linear_xent(**arrays, **options)
    return XentOut(jax.lax.psum(out.loss_sum, axes), jax.lax.psum(out.weight_sum, axes), out.lse)
