"""A bidirectional Mamba-2 encoder on `kernels_pallas.ssd`.

B batch, L length, D model dim, I inner dim, H heads of one direction, P head dim, N state dim, W conv width,
K = I + 2N conv channels of one direction. Two directions are two groups of heads of one scan.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from aira_jax.primitives.mamba2 import inverse_softplus_step, log_decay
from kernels_pallas import causal_conv1d, gated_rmsnorm, ssd
from lra.encoders.encoder import Encoder
from lra.encoders.parts import Pool

WIDTH = 4


def _backward(x_BLGS: jax.Array) -> jax.Array:
    """[B, L, 2, ...] with the second direction reversed in time; its own inverse."""
    return jnp.stack([x_BLGS[:, :, 0], jnp.flip(x_BLGS[:, :, 1], axis=1)], axis=2)


class BiMamba2(nn.Module):
    """x [B, L, D] -> [B, L, D]: both directions in one scan, summed, gated, projected back.

    A padded position gets the step 0, hence decay 1 and no input: the state passes it untouched, whichever direction
    meets it first. Source: Dao and Gu 2024, arXiv 2405.21060; two directions after Zhu et al. 2024, arXiv 2401.09417.
    """

    inner: int
    heads: int
    state: int
    impl: str

    @nn.compact
    def __call__(self, x_BLD: jax.Array, mask_BL: jax.Array) -> jax.Array:
        (batch, length, dim), heads = x_BLD.shape, self.heads
        if self.inner % heads:
            raise ValueError(f"Mamba-2: 2 * emb_dim = {self.inner} is no multiple of num_heads = {heads}")
        channels = self.inner + 2 * self.state
        projected = nn.Dense(self.inner + 2 * (channels + heads), use_bias=False, name="in")(x_BLD)
        z_BLI, xbc, dt = jnp.split(projected, [self.inner, self.inner + 2 * channels], axis=-1)
        xbc_BLGK = self._conv(xbc.reshape(batch, length, 2, channels), mask_BL)
        x_BLGI, b_BLGN, c_BLGN = jnp.split(xbc_BLGK, [self.inner, self.inner + self.state], axis=-1)
        dt_BLGH = jax.nn.softplus(
            dt.reshape(batch, length, 2, heads) + self.param("dt_bias", inverse_softplus_step, (2, heads))
        )
        y_BLHP = ssd(
            x_BLGI.reshape(batch, length, 2 * heads, self.inner // heads),
            _backward(jnp.where(mask_BL[..., None, None], dt_BLGH, 0)).reshape(batch, length, 2 * heads),
            -jnp.exp(self.param("A_log", log_decay, (2 * heads,))),
            b_BLGN,
            c_BLGN,
            D=self.param("D", nn.initializers.ones, (2 * heads,)),
            impl=self.impl,
        )
        y_BLI = _backward(y_BLHP.reshape(batch, length, 2, self.inner)).sum(axis=2)
        y_BLI = gated_rmsnorm(y_BLI, z_BLI, self.param("norm", nn.initializers.ones, (self.inner,)))
        return nn.Dense(dim, use_bias=False, name="out")(y_BLI)

    def _conv(self, xbc_BLGK: jax.Array, mask_BL: jax.Array) -> jax.Array:
        batch, length, _, channels = xbc_BLGK.shape
        ordered = _backward(jnp.where(mask_BL[..., None, None], xbc_BLGK, 0)).reshape(batch, length, 2 * channels)
        kernel_WK = self.param("conv", nn.initializers.lecun_normal(), (WIDTH, 2 * channels))
        bias_K = self.param("conv_bias", nn.initializers.zeros, (2 * channels,))
        return causal_conv1d(ordered, kernel_WK, bias_K).reshape(xbc_BLGK.shape)


class Block(nn.Module):
    """x + drop(BiMamba2(LN x))."""

    heads: int
    state: int
    impl: str
    dropout_rate: float

    @nn.compact
    def __call__(self, x_BLD: jax.Array, mask_BL: jax.Array, *, train: bool) -> jax.Array:
        mixer = BiMamba2(2 * x_BLD.shape[-1], self.heads, self.state, self.impl, name="mixer")
        mixed_BLD = mixer(nn.LayerNorm(name="norm")(x_BLD), mask_BL)
        return x_BLD + nn.Dropout(self.dropout_rate, deterministic=not train)(mixed_BLD)


class Mamba2Encoder(Encoder):
    """Bidirectional Mamba-2 blocks, mean pool, no positions; O(L).

    The inner width is 2 * emb_dim in `num_heads` heads with `state_dim` states per channel; `qkv_dim` is not used and
    `mlp_dim` in the head only. `ssd_impl` names the implementation of the scan, see `kernels_pallas.ssd`.
    Raises: ValueError when num_heads does not divide 2 * emb_dim.
    """

    classifier_pool: str = Pool.MEAN
    state_dim: int = 64
    ssd_impl: str = "auto"

    positions = False

    def block(self, name: str) -> nn.Module:
        return Block(self.num_heads, self.state_dim, self.ssd_impl, self.dropout_rate, name=name)
