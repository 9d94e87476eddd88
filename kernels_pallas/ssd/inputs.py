"""What every ssd implementation starts from: the inputs as one pytree, step sizes, initial state.

B batch, L time, H heads, P head dim, G groups, N state dim.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from kernels_pallas.common.numerics import wide


class Inputs(NamedTuple):
    """Arguments of `ssd`; optional ones are None."""

    x: jax.Array  # [B,L,H,P]
    dt: jax.Array  # [B,L,H]
    A: jax.Array  # [H]
    B: jax.Array  # [B,L,G,N]
    C: jax.Array  # [B,L,G,N]
    D: jax.Array | None  # [H] or [H,P]
    dt_bias: jax.Array | None  # [H]
    initial_state: jax.Array | None  # [B,H,P,N]
    segment_ids: jax.Array | None  # [B,L] integer


def step_size(dt, dt_bias, dt_limit: tuple[float, float], dtype):
    """Positive steps in `dtype`: softplus(dt + dt_bias), or dt itself without a bias; clipped to `dt_limit`."""
    dt = dt.astype(dtype)
    if dt_bias is not None:
        dt = jax.nn.softplus(dt + dt_bias.astype(dtype))
    low, high = dt_limit
    return dt if (low, high) == (0.0, float("inf")) else jnp.clip(dt, low, high)


def initial_state(inputs: Inputs):
    """The state [B,H,P,N] before the first position, zeros unless given."""
    b, _, h, p = inputs.x.shape
    if inputs.initial_state is not None:
        return inputs.initial_state.astype(wide(inputs.x.dtype))
    return jnp.zeros((b, h, p, inputs.B.shape[-1]), wide(inputs.x.dtype))


def skip(D, x):
    """D x in the dtype of D, with D [H] or [H,P] and x [...,H,P]."""
    return (D[:, None] if D.ndim == 1 else D) * x.astype(D.dtype)
