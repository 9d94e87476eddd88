"""gated_rmsnorm by its definition, differentiated by autodiff. K channels."""

import jax
import jax.numpy as jnp

from kernels_pallas.common.numerics import wide


def norm(y, z, w_K, *, groups: int, eps: float, norm_before_gate: bool):
    """[...,K] in y.dtype; statistics per group of K/groups channels in float32 (float64 for float64 inputs)."""
    dtype, shape = wide(y.dtype), y.shape
    gate = jax.nn.silu(z.astype(dtype))
    u = y.astype(dtype) if norm_before_gate else y.astype(dtype) * gate
    u = u.reshape(*shape[:-1], groups, -1)
    u = (u * jax.lax.rsqrt(jnp.mean(u**2, axis=-1, keepdims=True) + eps)).reshape(shape)
    u = w_K.astype(dtype) * u
    return (u * gate if norm_before_gate else u).astype(y.dtype)
