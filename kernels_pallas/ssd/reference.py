"""The Mamba-2 recurrence, one token at a time: the definition that every other implementation is held to.

Source: Dao and Gu 2024, "Transformers are SSMs", arXiv 2405.21060, eq. 1 with scalar A per head.
B batch, L time, H heads, P head dim, G groups, N state dim.
"""

import jax
import jax.numpy as jnp

from kernels_pallas.common.numerics import wide
from kernels_pallas.common.segments import run_ids
from kernels_pallas.ssd.inputs import Inputs, initial_state, skip, step_size


def recur(state_BHPN, x_BHP, dt_BH, A_H, B_BGN, C_BGN, D):
    """One step h = exp(dt A) h + dt x B^T, y = h C + D x, everything in the dtype of the state."""
    groups = B_BGN.shape[1]
    heads = x_BHP.shape[1] // groups
    B_BHN, C_BHN = (jnp.repeat(v.astype(state_BHPN.dtype), heads, axis=1) for v in (B_BGN, C_BGN))
    x_BHP = x_BHP.astype(state_BHPN.dtype)
    state_BHPN = jnp.exp(dt_BH * A_H)[..., None, None] * state_BHPN
    state_BHPN += (dt_BH[..., None] * x_BHP)[..., None] * B_BHN[:, :, None, :]
    y_BHP = jnp.sum(state_BHPN * C_BHN[:, :, None, :], axis=-1)
    return state_BHPN, y_BHP if D is None else y_BHP + skip(D.astype(y_BHP.dtype), x_BHP)


def ssd(inputs: Inputs, *, dt_limit):
    """y [B,L,H,P] in x.dtype and the final state [B,H,P,N]; float64 when x is float64, else float32 inside."""
    x, dtype = inputs.x, wide(inputs.x.dtype)
    dt_BLH = step_size(inputs.dt, inputs.dt_bias, dt_limit, dtype)
    start_BL = jnp.zeros(x.shape[:2], bool)
    if inputs.segment_ids is not None:
        start_BL = start_BL.at[:, 1:].set(jnp.diff(run_ids(inputs.segment_ids), axis=1) != 0)

    def step(state_BHPN, token):
        x_BHP, dt_BH, B_BGN, C_BGN, start_B = token
        state_BHPN = jnp.where(start_B[:, None, None, None], 0, state_BHPN)
        return recur(state_BHPN, x_BHP, dt_BH, inputs.A.astype(dtype), B_BGN, C_BGN, inputs.D)

    tokens = [jnp.moveaxis(v, 1, 0) for v in (x, dt_BLH, inputs.B, inputs.C, start_BL)]
    final_BHPN, y_LBHP = jax.lax.scan(step, initial_state(inputs), tuple(tokens))
    return jnp.moveaxis(y_LBHP, 0, 1).astype(x.dtype), final_BHPN
