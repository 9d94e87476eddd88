"""The causal convolution, one token at a time: the definition.

B batch, L time, K channels, W width.
"""

import jax
import jax.numpy as jnp

from kernels_pallas.common.numerics import wide
from kernels_pallas.common.segments import run_ids
from kernels_pallas.conv1d.window import Activation, Inputs, activate, extend


def step(window_BWK, w_WK, b_K, activation: Activation):
    """One output [B,K] from the last W inputs [B,W,K] (the newest last): act(b + sum_k w_k in_k)."""
    pre_BK = jnp.sum(window_BWK * w_WK, axis=1)
    return activate(pre_BK if b_K is None else pre_BK + b_K, activation)


def conv(inputs: Inputs, *, activation: Activation):
    """y [B,L,K] in x.dtype; float32 (float64 for float64 inputs) inside."""
    x, width, dtype = inputs.x, inputs.w.shape[0], wide(inputs.x.dtype)
    w_WK, b_K = inputs.w.astype(dtype), None if inputs.b is None else inputs.b.astype(dtype)
    start_BL = jnp.zeros(x.shape[:2], bool)
    if inputs.segment_ids is not None:
        start_BL = start_BL.at[:, 1:].set(jnp.diff(run_ids(inputs.segment_ids), axis=1) != 0)

    def token(before_BWK, row):
        x_BK, start_B = row
        before_BWK = jnp.where(start_B[:, None, None], 0, before_BWK)
        window_BWK = jnp.concatenate([before_BWK, x_BK[:, None].astype(dtype)], axis=1)
        return window_BWK[:, 1:], step(window_BWK, w_WK, b_K, activation)

    before = extend(inputs)[:, : width - 1].astype(dtype)
    _, y_LBK = jax.lax.scan(token, before, (jnp.moveaxis(x, 1, 0), start_BL.T))
    return jnp.moveaxis(y_LBK, 0, 1).astype(x.dtype)
