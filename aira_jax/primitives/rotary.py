"""Rotary positions. B batch, L length, H heads, P head dim, F = P/2 frequencies."""

import jax
import jax.numpy as jnp


def rotate(x_BLHP: jax.Array, base: float, start: jax.Array | int = 0) -> jax.Array:
    """Rotates dim i against dim i + P/2 by (start + t) * base^(-2i/P) at position t; angles in float32.

    x [batch, length, heads, head dim], any float dtype; returns the same. `start` is the position of the first token.
    Source: Su et al. 2021 (RoFormer), with the half-split pairs of Llama.
    """
    length, dim = x_BLHP.shape[1], x_BLHP.shape[-1]
    if dim % 2:
        raise ValueError(f"rotate: head dim {dim} is odd; rotary positions need pairs, use an even head dim")
    frequency_F = base ** (-jnp.arange(dim // 2, dtype=jnp.float32) * 2 / dim)
    angle_LF = (start + jnp.arange(length, dtype=jnp.float32))[:, None] * frequency_F
    cos_L1F, sin_L1F = jnp.cos(angle_LF)[:, None], jnp.sin(angle_LF)[:, None]
    a, b = jnp.split(x_BLHP.astype(jnp.float32), 2, axis=-1)
    return jnp.concatenate([a * cos_L1F - b * sin_L1F, b * cos_L1F + a * sin_L1F], -1).astype(x_BLHP.dtype)
