"""linear_xent: logits = h table^T and their weighted softmax cross-entropy, without keeping the logits.

T tokens, d model dim, V vocabulary.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from kernels_pallas.common import dispatch
from kernels_pallas.common.dispatch import Impl, Op
from kernels_pallas.common.errors import activation_dtype, bind, fail, is_concrete, positive
from kernels_pallas.common.numerics import wide
from kernels_pallas.common.specs import XentSpec
from kernels_pallas.linear_xent import reference, xla


class XentOut(NamedTuple):
    """loss_sum and weight_sum (the mean is their quotient), and the log-sum-exp of every token's logits; float32."""

    loss_sum: jax.Array
    weight_sum: jax.Array
    lse: jax.Array  # [T]


def _anything(spec: XentSpec) -> str | None:
    return None


OP = Op(
    name="linear_xent",
    supports={Impl.REFERENCE: _anything, Impl.XLA: _anything},
    auto={"cpu": (Impl.XLA,), "gpu": (Impl.XLA,), "tpu": (Impl.XLA,)},
)


def linear_xent(
    h,
    table,
    labels,
    *,
    weights=None,
    z_loss: float = 0.0,
    block: int = 8192,
    ignore_index: int = -100,
    impl: str | Impl = Impl.AUTO,
) -> XentOut:
    """Sum over tokens of weight * (lse - logit of the label + z_loss * lse^2), lse = logsumexp(h table^T).

    Args:
      h: [T,d] bfloat16, float32 or float64. table: [V,d], cast to h.dtype for the products; sums run in float32.
      labels: [T] integer. Rows with `ignore_index` or weight 0 add nothing to either sum. Another label outside [0,V)
        is a ValueError on concrete values and NaN under jit, never a clamped label.
      weights: [T] float32 (None: ones).
      block: tokens per block; about block * V * 4 bytes of logits exist at a time (8192 x 128,256: 4.2 GB; on CPUs 1024
        is a good choice). impl="reference" keeps all logits.

    Under sharding call it inside shard_map on local tokens (linear_xent/sharded.py): blocks of a sharded dim move data.
    Raises: ValueError naming argument, value and mend.
    """
    spec = _check(h, table, labels, weights, block, ignore_index)
    choice = dispatch.resolve(OP, spec, impl)
    return _run(h, table, labels, weights, choice=choice, z_loss=z_loss, block=block, ignore_index=ignore_index)


@functools.partial(jax.jit, static_argnames=("choice", "z_loss", "block", "ignore_index"))
def _run(
    h, table, labels, weights, *, choice: dispatch.Choice, z_loss: float, block: int, ignore_index: int
) -> XentOut:
    kept = labels != ignore_index
    weights = jnp.where(kept, 1 if weights is None else weights, 0).astype(wide(h.dtype))
    labels = jnp.where(kept, labels, 0)
    if choice.impl is Impl.REFERENCE:
        loss_sum, lse = reference.xent(h, table, labels, weights, z_loss)
    else:
        loss_sum, lse = xla.xent(h, table, labels, weights, z_loss, block)
    return XentOut(loss_sum, jnp.sum(weights), lse)


def _check(h, table, labels, weights, block: int, ignore_index: int) -> XentSpec:
    op, sizes = "linear_xent", {}
    bind(op, "h", h, "Td", sizes)
    positive(op, **sizes)
    bind(op, "table", table, "Vd", sizes)
    positive(op, **sizes)
    dtype = activation_dtype(op, "h", h)
    activation_dtype(op, "table", table)
    bind(op, "labels", labels, "T", sizes)
    if not jnp.issubdtype(labels.dtype, jnp.integer):
        fail(op, f"labels is {labels.dtype}; needs int32")
    if weights is not None:
        bind(op, "weights", weights, "T", sizes)
        activation_dtype(op, "weights", weights)
    if block < 1:
        fail(op, f"block={block}; needs at least 1")
    if is_concrete(labels):
        _labels(op, np.asarray(labels), sizes["V"], ignore_index)
    return XentSpec(T=sizes["T"], d=sizes["d"], V=sizes["V"], block=block, dtype=str(dtype))


def _labels(op: str, labels, vocabulary: int, ignore_index: int) -> None:
    bad = np.flatnonzero((labels != ignore_index) & ((labels < 0) | (labels >= vocabulary)))
    if bad.size:
        row = int(bad[0])
        fail(op, f"labels[{row}]={labels[row]}; needs 0 <= label < V={vocabulary}, or ignore_index={ignore_index}")
