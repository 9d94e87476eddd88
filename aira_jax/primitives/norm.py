"""Normalisation of a layer's input or output: LayerNorm (small scale), RMSNorm (large scale) or none."""

import enum

import flax.linen as nn
import jax
import jax.numpy as jnp


class NormKind(enum.StrEnum):
    LAYER = "layer"
    RMS = "rms"
    NONE = "none"


class Norm(nn.Module):
    """Normalises the last dim of x [..., D] in float32; returns x's dtype. LAYER has a weight and a bias, RMS a weight;
    NONE returns x as it is.

    Sources: Ba et al. 2016 (LayerNorm), Zhang and Sennrich 2019 (RMSNorm).
    """

    kind: NormKind = NormKind.LAYER
    eps: float = 1e-5

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        if self.kind is NormKind.NONE:
            return x
        shape = x.shape[-1:]
        u = x.astype(jnp.float32)
        weight = self.param("weight", nn.initializers.ones, shape, jnp.float32)
        if self.kind is NormKind.RMS:
            return (u * jax.lax.rsqrt(jnp.mean(u * u, -1, keepdims=True) + self.eps) * weight).astype(x.dtype)
        bias = self.param("bias", nn.initializers.zeros, shape, jnp.float32)
        u -= jnp.mean(u, -1, keepdims=True)
        return (u * jax.lax.rsqrt(jnp.mean(u * u, -1, keepdims=True) + self.eps) * weight + bias).astype(x.dtype)
