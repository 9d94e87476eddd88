"""The Mamba-2 primitive Mb. No scan code here: it is `kernels_pallas.ssd`.

B batch, L length, D model dim, I inner dim = H*P, H heads, P head dim, G groups, N state dim, W conv width,
K = I + 2*G*N conv channels.
"""

import dataclasses
import math

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax import struct

from aira_jax.primitives.linear import Linear, LinearInit
from aira_jax.primitives.remat import kept
from kernels_pallas.conv1d.api import causal_conv1d, causal_conv1d_step
from kernels_pallas.gated_norm.api import gated_rmsnorm
from kernels_pallas.ssd.api import ssd, ssd_step


@dataclasses.dataclass(frozen=True)
class Mamba2Config:
    """`ssd_impl` names the implementation of the scan (see `kernels_pallas.ssd`); `chunk` None leaves it to that."""

    dim: int
    inner: int
    head_dim: int = 64
    state: int = 16
    groups: int = 1
    conv: int = 4
    ssd_impl: str = "auto"
    chunk: int | None = None
    eps: float = 1e-5
    init: LinearInit = LinearInit.FAN_IN
    dtype: str = "float32"

    def __post_init__(self):
        if self.inner % self.head_dim:
            raise ValueError(f"Mamba-2: inner = {self.inner} is no multiple of head_dim = {self.head_dim}")
        if self.heads % self.groups:
            raise ValueError(f"Mamba-2: {self.heads} heads cannot share {self.groups} groups evenly")

    @property
    def heads(self) -> int:
        return self.inner // self.head_dim

    @property
    def channels(self) -> int:
        return self.inner + 2 * self.groups * self.state


@struct.dataclass
class Mamba2Cache:
    """What a decoded sequence remembers: the last W-1 conv inputs and the state, both independent of its length."""

    conv_BWK: jax.Array
    state_BHPN: jax.Array


def inverse_softplus_step(key: jax.Array, shape: tuple[int, ...], dtype=jnp.float32) -> jax.Array:
    """Biases whose softplus is log-uniform in [1e-3, 1e-1], at least 1e-4."""
    log_low, log_high = jnp.log(1e-3), jnp.log(1e-1)
    step = jnp.maximum(jnp.exp(jax.random.uniform(key, shape, dtype, log_low, log_high)), 1e-4)
    return step + jnp.log(-jnp.expm1(-step))


def log_decay(key: jax.Array, shape: tuple[int, ...], dtype=jnp.float32) -> jax.Array:
    return jnp.log(jax.random.uniform(key, shape, dtype, 1.0, 16.0))


def _uniform(bound: float):
    return lambda key, shape, dtype=jnp.float32: jax.random.uniform(key, shape, dtype, -bound, bound)


class Mamba2(nn.Module):
    """x [batch, length, dim] -> the same shape, in the config's dtype; steps, decays and states in float32.

    in_proj -> [z | x | B | C | dt]; causal conv and SiLU over [x | B | C]; the scan; RMSNorm(y * silu(z)); out_proj.
    Source: Dao and Gu 2024 (Mamba-2, arXiv 2405.21060).
    """

    config: Mamba2Config

    @classmethod
    def small(cls, size, options) -> "Mamba2":
        """The layer of a proxy. Heads have 64 dims, or as many as divide both 64 and the inner width."""
        inner = options["expand"] * size.dim
        sizes = {"inner": inner, "head_dim": math.gcd(64, inner), "state": options["state"]}
        return cls(Mamba2Config(size.dim, **sizes, ssd_impl=size.ssd_impl, init=size.init, dtype=size.dtype))

    @classmethod
    def large(cls, size) -> "Mamba2":
        """The layer at scale."""
        d = size.dims
        sizes = {"inner": d.d_inner, "head_dim": d.mamba_head_dim, "state": d.mamba_state, "conv": d.conv_width}
        return cls(Mamba2Config(d.d_model, **sizes, ssd_impl=size.ssd_impl, dtype=size.dtype))

    def setup(self):
        c = self.config
        self.in_proj = Linear(c.inner + c.channels + c.heads, init=c.init, dtype=c.dtype)
        self.conv_weight = self.param("conv_weight", _uniform(c.conv**-0.5), (c.conv, c.channels), jnp.float32)
        self.conv_bias = self.param("conv_bias", _uniform(c.conv**-0.5), (c.channels,), jnp.float32)
        self.A_log = self.param("A_log", log_decay, (c.heads,), jnp.float32)
        self.dt_bias = self.param("dt_bias", inverse_softplus_step, (c.heads,), jnp.float32)
        self.D = self.param("D", nn.initializers.ones, (c.heads,), jnp.float32)
        self.norm_weight = self.param("norm_weight", nn.initializers.ones, (c.inner,), jnp.float32)
        self.out_proj = Linear(c.dim, init=c.init, dtype=c.dtype)

    def __call__(self, x_BLD: jax.Array) -> jax.Array:
        c = self.config
        z_BLI, xBC_BLK, dt_BLH = self._project(x_BLD)
        xBC_BLK = causal_conv1d(xBC_BLK, *self._conv())
        y_BLHP = ssd(*self._operands(xBC_BLK, dt_BLH), D=self.D, dt_bias=self.dt_bias, chunk=c.chunk, impl=c.ssd_impl)
        return self._out(kept(y_BLHP), z_BLI)

    def prefill(self, x_BLD: jax.Array, cache: Mamba2Cache) -> tuple[jax.Array, Mamba2Cache]:
        """The call on all tokens, and the memory of them; `cache` is that of empty sequences."""
        c = self.config
        z_BLI, xBC_BLK, dt_BLH = self._project(x_BLD)
        xBC_BLK, conv_BWK = causal_conv1d(xBC_BLK, *self._conv(), return_final_state=True)
        operands, skip = self._operands(xBC_BLK, dt_BLH), {"D": self.D, "dt_bias": self.dt_bias}
        y_BLHP, state_BHPN = ssd(*operands, **skip, chunk=c.chunk, impl=c.ssd_impl, return_final_state=True)
        return self._out(y_BLHP, z_BLI), Mamba2Cache(conv_BWK.astype(cache.conv_BWK.dtype), state_BHPN)

    def init_cache(self, batch: int, length: int) -> Mamba2Cache:
        """The empty past of `batch` sequences; `length` does not matter."""
        del length
        c = self.config
        conv_BWK = jnp.zeros((batch, c.conv - 1, c.channels), c.dtype)
        return Mamba2Cache(conv_BWK, jnp.zeros((batch, c.heads, c.head_dim, c.state), jnp.float32))

    def step(self, x_BD: jax.Array, cache: Mamba2Cache, position: jax.Array) -> tuple[jax.Array, Mamba2Cache]:
        """One token per sequence; repeated over L tokens it equals the call on all of them."""
        del position
        z_BI, xBC_BK, dt_BH = self._project(x_BD)
        xBC_BK, conv_BWK = causal_conv1d_step(cache.conv_BWK, xBC_BK, *self._conv())
        operands = self._operands(xBC_BK, dt_BH)
        y_BHP, state_BHPN = ssd_step(cache.state_BHPN, *operands, D=self.D, dt_bias=self.dt_bias)
        return self._out(y_BHP, z_BI), Mamba2Cache(conv_BWK, state_BHPN)

    def _project(self, x):
        c = self.config
        return jnp.split(self.in_proj(x), [c.inner, c.inner + c.channels], axis=-1)

    def _conv(self):
        return self.conv_weight.astype(self.config.dtype), self.conv_bias.astype(self.config.dtype)

    def _operands(self, xBC, dt):
        c, lead = self.config, xBC.shape[:-1]
        x, B, C = jnp.split(xBC, [c.inner, c.inner + c.groups * c.state], axis=-1)
        B, C = (u.reshape(*lead, c.groups, c.state) for u in (B, C))
        return x.reshape(*lead, c.heads, c.head_dim), dt, -jnp.exp(self.A_log), B, C

    def _out(self, y, z):
        c = self.config
        return self.out_proj(gated_rmsnorm(y.reshape(z.shape), z, self.norm_weight, groups=c.groups, eps=c.eps))
