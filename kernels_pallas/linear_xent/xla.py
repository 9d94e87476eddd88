"""linear_xent over blocks of tokens: at most `block` rows of logits exist at a time, forward and backward.

The backward pass recomputes the logits from the saved log-sum-exp: with p = exp(logit - lse),
dlogits = weight (p - onehot + 2 z_loss lse p), plus dlse p for the cotangent of lse itself.

T tokens, d model dim, V vocabulary, n blocks, K rows of a block.
"""

import functools

import jax
import jax.numpy as jnp

from kernels_pallas.common.numerics import einsum, wide
from kernels_pallas.linear_xent.reference import losses


def _blocks(block: int, *arrays):
    """Each [T,...] as [n,K,...], padded with zeros."""
    rows = arrays[0].shape[0]
    size = min(block, rows)

    def cut(v):
        return jnp.pad(v, [(0, -rows % size)] + [(0, 0)] * (v.ndim - 1)).reshape(-1, size, *v.shape[1:])

    return tuple(cut(v) for v in arrays)


@functools.partial(jax.custom_vjp, nondiff_argnums=(4, 5))
def xent(h_Td, table_Vd, labels_T, weights_T, z_loss: float, block: int):
    """(loss sum, lse [T]) in float32; `weights_T` is 0 for ignored rows, whose labels are already replaced by 0."""
    table = table_Vd.astype(h_Td.dtype)

    def step(total, rows):
        h_Kd, labels_K, weights_K = rows
        logits_KV = einsum("td,vd->tv", h_Kd, table, dtype=h_Kd.dtype)
        loss_K, lse_K = losses(logits_KV, labels_K, z_loss)
        return total + jnp.sum(jnp.where(weights_K != 0, loss_K * weights_K, 0)), lse_K

    with jax.named_scope("linear_xent/forward"):
        start = jnp.zeros((), wide(h_Td.dtype))
        total, lse_nK = jax.lax.scan(step, start, _blocks(block, h_Td, labels_T, weights_T))
    return total, lse_nK.reshape(-1)[: h_Td.shape[0]]


def _forward(h_Td, table_Vd, labels_T, weights_T, z_loss, block):
    total, lse_T = xent(h_Td, table_Vd, labels_T, weights_T, z_loss, block)
    return (total, lse_T), (h_Td, table_Vd, labels_T, weights_T, lse_T)


def _backward(z_loss, block, saved, cotangents):
    h_Td, table_Vd, labels_T, weights_T, lse_T = saved
    dtotal, dlse_T = cotangents
    dtype, compute = wide(h_Td.dtype), h_Td.dtype
    table, vocabulary = table_Vd.astype(compute), table_Vd.shape[0]

    def step(dtable_Vd, rows):
        h_Kd, labels_K, weights_K, lse_K, dlse_K = rows
        logits_KV = einsum("td,vd->tv", h_Kd, table, dtype=compute)
        p_KV = jnp.exp(logits_KV - lse_K[:, None])
        scale_K = dtotal * weights_K
        slope_K = scale_K * (1 + 2 * z_loss * lse_K) + dlse_K
        chosen_KV = jnp.arange(vocabulary)[None, :] == labels_K[:, None]
        outside_K = (weights_K != 0) & ((labels_K < 0) | (labels_K >= vocabulary))
        dlogits_KV = slope_K[:, None] * p_KV - jnp.where(chosen_KV, scale_K[:, None], 0)
        dlogits_KV = jnp.where(outside_K[:, None], jnp.nan, dlogits_KV)
        loss_K, _ = losses(logits_KV, labels_K, z_loss)
        dweights_K = dtotal * jnp.where(weights_K != 0, loss_K, 0)
        dh_Kd = einsum("tv,vd->td", dlogits_KV, table, dtype=compute)
        dtable_Vd += einsum("tv,td->vd", dlogits_KV, h_Kd, dtype=compute)
        return dtable_Vd, (dh_Kd.astype(compute), dweights_K)

    with jax.named_scope("linear_xent/backward"):
        rows = _blocks(block, h_Td, labels_T, weights_T, lse_T, dlse_T)
        dtable_Vd, (dh_nKd, dweights_nK) = jax.lax.scan(step, jnp.zeros(table.shape, dtype), rows)
    count = h_Td.shape[0]
    dh_Td = dh_nKd.reshape(-1, h_Td.shape[1])[:count]
    return dh_Td, dtable_Vd.astype(table_Vd.dtype), None, dweights_nK.reshape(-1)[:count].astype(weights_T.dtype)


xent.defvjp(_forward, _backward)
