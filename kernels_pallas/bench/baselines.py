"""What a straightforward program would do instead, to measure against; never used by the operators.

B batch, L time, H heads, P head dim, G groups, N state dim, W width, K channels.
"""

import jax
import jax.numpy as jnp

from kernels_pallas.ssd import chunked
from kernels_pallas.ssd.inputs import Inputs
from kernels_pallas.ssd.xla import XlaStages

NO_LIMIT = (0.0, float("inf"))


def einsum_autodiff(x, dt, A, B, C, *, chunk: int):
    """ssd as einsums over all chunks, differentiated by JAX."""
    inputs = Inputs(x, dt, A, B, C, None, None, None, None)
    y, final = chunked.plain(inputs, chunked.Plan(XlaStages(), min(chunk, x.shape[1]), NO_LIMIT))
    return {"y": y, "final_state": final}


def associative_over_time(x, dt, A, B, C):
    """The recurrence by jax.lax.associative_scan over time steps, every state in memory."""
    heads = x.shape[2] // B.shape[2]
    B, C = (jnp.repeat(v, heads, axis=2) for v in (B, C))
    decay = jnp.exp(dt * A)[..., None, None]
    added = (dt[..., None] * x)[..., None] * B[:, :, :, None, :]
    _, states = jax.lax.associative_scan(lambda a, b: (a[0] * b[0], b[0] * a[1] + b[1]), (decay, added), axis=1)
    return {"y": jnp.einsum("blhpn,blhn->blhp", states, C), "final_state": states[:, -1]}


def grouped_convolution(x, w, b):
    """The causal convolution by XLA's grouped convolution primitive."""
    width, channels = w.shape
    y = jax.lax.conv_general_dilated(
        x, w[:, None, :], (1,), [(width - 1, 0)], dimension_numbers=("NWC", "WIO", "NWC"), feature_group_count=channels
    )
    return {"y": jax.nn.silu(y + b), "state": x[:, x.shape[1] - (width - 1) :]}
