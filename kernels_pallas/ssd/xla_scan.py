"""ssd as one lax.scan over chunks: the CPU default, differentiated by plain autodiff.

The whole body of a chunk sits under jax.checkpoint, so that the backward pass recomputes the decay masks instead of
reading them from memory; on CPUs that is faster as well as smaller. B and C stay per group. Broadcasts whose gradient
is a long sum are written as einsum or concatenation: XLA's CPU backend is several times slower at the reductions that
plain broadcasting leaves behind.

B batch, L time, H = G*R heads, P head dim, G groups, N state dim, Q chunk, c chunks.
"""

import functools

import jax
import jax.numpy as jnp

from kernels_pallas.common.numerics import einsum, wide
from kernels_pallas.common.segments import run_ids
from kernels_pallas.ssd.inputs import Inputs, initial_state, step_size


def ssd(inputs: Inputs, *, chunk: int, dt_limit):
    """y [B,L,H,P] in x.dtype and the final state [B,H,P,N] in float32 (float64 for float64 inputs)."""
    x = inputs.x
    b, length, h, p = x.shape
    g, n = inputs.B.shape[2:]
    q, r, dtype = min(chunk, length), h // g, wide(x.dtype)
    c = -(-length // q)

    def chunks(v, *tail):
        v = jnp.pad(v, [(0, 0), (0, c * q - length)] + [(0, 0)] * (v.ndim - 2))
        return jnp.moveaxis(v.reshape(b, c, q, *tail), 1, 0)

    with jax.named_scope("ssd/chunks"):
        dt_BLH = step_size(inputs.dt, inputs.dt_bias, dt_limit, dtype)
        dt_cBGRQ = jnp.moveaxis(chunks(dt_BLH, g, r), 2, -1)
        cs_cBGRQ = jnp.cumsum(dt_cBGRQ * inputs.A.astype(dtype).reshape(g, r, 1), axis=-1)
        x_cBGRQP = jnp.moveaxis(chunks(x, g, r, p), 2, 4)
        B_cBGQN, C_cBGQN = (jnp.swapaxes(chunks(v, g, n), 2, 3) for v in (inputs.B, inputs.C))
        runs = _runs(inputs.segment_ids, c, q)
    state = initial_state(inputs).reshape(b, g, r, p, n)
    D_GRP = None if inputs.D is None else inputs.D.astype(dtype).reshape(g, r, -1)
    body = jax.checkpoint(functools.partial(_chunk, D_GRP), prevent_cse=False)
    final, y_cBGRQP = jax.lax.scan(body, state, (x_cBGRQP, dt_cBGRQ, cs_cBGRQ, B_cBGQN, C_cBGQN, runs))
    y = jnp.moveaxis(y_cBGRQP, (0, 4), (1, 2)).reshape(b, c * q, h, p)[:, :length]
    return y.astype(x.dtype), final.reshape(b, h, p, n)


def _runs(segment_ids, c: int, q: int):
    """Run ids [c,B,Q] and the id at the end of the chunk before [c,B]; None without segments."""
    if segment_ids is None:
        return None
    runs_BL = run_ids(segment_ids)
    runs_BL = jnp.pad(runs_BL, ((0, 0), (0, c * q - runs_BL.shape[1])), mode="edge")
    runs_BcQ = runs_BL.reshape(-1, c, q)
    before_Bc = jnp.concatenate([runs_BcQ[:, :1, 0], runs_BcQ[:, :-1, -1]], axis=1)
    return jnp.moveaxis(runs_BcQ, 1, 0), before_Bc.T


def _chunk(D_GRP, state_BGRPN, operands):
    """One chunk: the state after it, and its outputs; everything in the dtype of the state.

    x, B and C are widened once, so that their gradients are rounded once: a cast at every use would round each term
    of a gradient and then the sum. A position's decay to itself is one and has no gradient: as exp(cs - cs) it would
    have two that cancel, but for their rounding, which is all that is left of dA where runs are short.
    """
    x_BGRQP, dt_BGRQ, cs_BGRQ, B_BGQN, C_BGQN, runs = operands
    q, dtype = cs_BGRQ.shape[-1], state_BGRPN.dtype
    x_BGRQP, B_BGQN, C_BGQN = (v.astype(dtype) for v in (x_BGRQP, B_BGQN, C_BGQN))
    dot = functools.partial(einsum, dtype=dtype)
    same, before = jnp.tril(jnp.ones((q, q), bool)), jnp.tril(jnp.ones((q, q), bool), -1)
    enter_BGRQ = jnp.exp(cs_BGRQ)
    stay_BGRQ = jnp.exp(jnp.where(before[-1], cs_BGRQ[..., -1:] - cs_BGRQ, 0))
    if runs is not None:
        run_BQ, before_B = runs
        same = same & (run_BQ[:, :, None] == run_BQ[:, None, :])[:, None, None]
        enter_BGRQ = jnp.where((run_BQ == before_B[:, None])[:, None, None], enter_BGRQ, 0)
        stay_BGRQ = jnp.where((run_BQ == run_BQ[:, -1:])[:, None, None], stay_BGRQ, 0)
    gap_BGRQQ = cs_BGRQ[..., :, None] - cs_BGRQ[..., None, :]
    decay_BGRQQ = jnp.where(same, jnp.exp(jnp.where(same & before, gap_BGRQQ, 0)), 0)
    cb_BGRQQ = _for_heads(dot("bgqn,bgkn->bgqk", C_BGQN, B_BGQN), dt_BGRQ.shape[2])
    scale = functools.partial(dot, "bgrq,bgrqp->bgrqp")
    dx_BGRQP = scale(dt_BGRQ, x_BGRQP)
    y_BGRQP = dot("bgrqk,bgrkp->bgrqp", decay_BGRQQ * cb_BGRQQ, dx_BGRQP)
    y_BGRQP += scale(enter_BGRQ, dot("bgqn,bgrpn->bgrqp", C_BGQN, state_BGRPN))
    if D_GRP is not None:
        y_BGRQP += D_GRP[:, :, None] * x_BGRQP
    new_BGRPN = dot("bgrkp,bgkn->bgrpn", scale(stay_BGRQ, dx_BGRQP), B_BGQN)
    return enter_BGRQ[..., -1, None, None] * state_BGRPN + new_BGRPN, y_BGRQP


def _for_heads(v_BGQQ, heads: int):
    """The same products for every head of a group; the gradient adds the heads up without a reduction."""
    return jnp.concatenate([v_BGQQ[:, :, None]] * heads, axis=2)
