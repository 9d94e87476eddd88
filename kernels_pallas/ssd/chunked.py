"""The chunked algorithm and its exact gradient, once, for every implementation that supplies the stages.

Forward: chunk_state (what each chunk adds) -> state_scan over chunks -> chunk_scan (outputs from the state before it).
Backward: saves the inputs only, recomputes the rest; every term of the gradient of the decays is a sum without
cancellation. Formulas: ssd/README.md. Source: Dao and Gu 2024, arXiv 2405.21060, section 6; the gradient is ours.

B batch, c chunks, Q chunk, H heads, P head dim, G groups, N state dim, L = c*Q padded time.
"""

import dataclasses
from typing import NamedTuple, Protocol

import jax
import jax.numpy as jnp

from kernels_pallas.common.numerics import einsum, wide
from kernels_pallas.common.segments import run_ids
from kernels_pallas.ssd.inputs import Inputs, initial_state, step_size


class Chunks(NamedTuple):
    """The inputs cut into chunks, padded with steps of zero, and the decays within a chunk (float32 or float64)."""

    x: jax.Array  # [B,c,Q,H,P] x.dtype
    B: jax.Array  # [B,c,Q,G,N] x.dtype
    C: jax.Array  # [B,c,Q,G,N] x.dtype
    D: jax.Array | None  # [H,P] wide
    dt: jax.Array  # [B,c,H,Q] step sizes
    log_decay: jax.Array  # [B,c,H,Q] inclusive cumulative sum of dt*A within the chunk
    enter: jax.Array  # [B,c,H,Q] how much of the state before the chunk reaches a position
    leave: jax.Array  # [B,c,H,Q] how much of a position reaches the end of the chunk
    cb: jax.Array  # [B,c,G,Q,Q] products C_q . B_k
    runs: jax.Array | None  # [B,c,Q] run ids


class Stages(Protocol):
    """What an implementation supplies. `weights`, `e` and `v` are [B,c,H,Q]; states are [B,c,H,P,N]."""

    def chunk_state(self, weights, x_BcQHP, b_BcQGN):
        """sum_q weights_q x_q b_q^T: [B,c,H,P,N] in float32."""

    def scan(self, decay_BcH, states, initial, *, reverse: bool, dtype):
        """Exclusive scan over chunks: the states before each chunk in `dtype`, and the last one in float32."""

    def chunk_scan(self, k: Chunks, states):
        """y [B,c,Q,H,P] in x.dtype from the states before each chunk."""

    def input_grads(self, k: Chunks, dy, dstates):
        """dx in x.dtype, sum_p of dX'.x, and v: the part of X'.dX' that came through the state."""

    def group_grads(self, k: Chunks, dy, states, dstates):
        """dB and dC [B,c,Q,G,N] in float32, and e: the part of dy.y that came from the state."""

    def decay_grads(self, k: Chunks, dy):
        """sum over q >= i > k of T_qk for each i, T = (dy X'^T) * M: [B,c,H,Q]."""


@dataclasses.dataclass(frozen=True)
class Plan:
    """Static part of a call."""

    stages: Stages
    chunk: int
    dt_limit: tuple[float, float]


def cut(inputs: Inputs, plan: Plan) -> Chunks:
    """Pads to whole chunks (dt = 0: decay one, input zero) and computes the decays within each."""
    x, q, dtype = inputs.x, plan.chunk, wide(inputs.x.dtype)
    h, p = x.shape[2:]
    with jax.named_scope("ssd/chunks"):
        dt_BLH = step_size(inputs.dt, inputs.dt_bias, plan.dt_limit, dtype)
        dt = jnp.swapaxes(pad(dt_BLH, q), 2, 3)
        log_decay = jnp.cumsum(dt * inputs.A.astype(dtype)[:, None], axis=-1)
        enter, leave = jnp.exp(log_decay), jnp.exp(log_decay[..., -1:] - log_decay)
        runs = None
        if inputs.segment_ids is not None:
            runs = pad(run_ids(inputs.segment_ids), q, mode="edge")
            before = jnp.concatenate([runs[:, :1, :1], runs[:, :-1, -1:]], axis=1)
            enter = jnp.where((runs == before)[:, :, None], enter, 0)
            leave = jnp.where((runs == runs[..., -1:])[:, :, None], leave, 0)
        B, C = pad(inputs.B, q), pad(inputs.C, q)
        cb = einsum("bcqgn,bckgn->bcgqk", C, B, dtype=x.dtype)
        D = inputs.D if inputs.D is None or inputs.D.ndim == 2 else jnp.broadcast_to(inputs.D[:, None], (h, p))
    D = None if D is None else D.astype(dtype)
    return Chunks(pad(x, q), B, C, D, dt, log_decay, enter, leave, cb, runs)


def pad(v_BL, q: int, mode: str = "constant"):
    """[B,L,...] to [B,c,Q,...]."""
    b, length, *tail = v_BL.shape
    c = -(-length // q)
    v_BL = jnp.pad(v_BL, [(0, 0), (0, c * q - length)] + [(0, 0)] * len(tail), mode=mode)
    return v_BL.reshape(b, c, q, *tail)


def join(v_BcQ, length: int):
    """[B,c,Q,...] to [B,L,...], without the padding."""
    return v_BcQ.reshape(v_BcQ.shape[0], -1, *v_BcQ.shape[3:])[:, :length]


def states_before(k: Chunks, inputs: Inputs, stages: Stages):
    """The state before each chunk [B,c,H,P,N] in x.dtype, and the final state in float32."""
    with jax.named_scope("ssd/chunk_state"):
        added = stages.chunk_state(k.leave * k.dt, k.x, k.B)
    with jax.named_scope("ssd/state_scan"):
        return stages.scan(k.enter[..., -1], added, initial_state(inputs), reverse=False, dtype=k.x.dtype)


def plain(inputs: Inputs, plan: Plan):
    """y [B,L,H,P] in x.dtype and the final state [B,H,P,N] in float32 (float64 for float64 inputs)."""
    k = cut(inputs, plan)
    states, final = states_before(k, inputs, plan.stages)
    with jax.named_scope("ssd/chunk_scan"):
        y = plan.stages.chunk_scan(k, states)
    return join(y, inputs.x.shape[1]), final


ssd = jax.custom_vjp(plain, nondiff_argnums=(1,))


def _forward(inputs: Inputs, plan: Plan):
    return ssd(inputs, plan), inputs


def _backward(plan: Plan, inputs: Inputs, cotangents):
    dy_BLHP, dfinal = cotangents
    stages, k = plan.stages, cut(inputs, plan)
    dy = pad(dy_BLHP, plan.chunk)
    states, _ = states_before(k, inputs, stages)
    with jax.named_scope("ssd/backward/states"):
        sent = stages.chunk_state(k.enter, dy, k.C)
        dstates, dinitial = stages.scan(k.enter[..., -1], sent, dfinal, reverse=True, dtype=k.x.dtype)
    with jax.named_scope("ssd/backward/inputs"):
        dx, ddt_direct, v = stages.input_grads(k, dy, dstates)
    with jax.named_scope("ssd/backward/groups"):
        dB, dC, e = stages.group_grads(k, dy, states, dstates)
    with jax.named_scope("ssd/backward/decay"):
        da = stages.decay_grads(k, dy) + _through_states(k, states, dstates, e, v)
    return (_collect(inputs, plan, k, dy, dx, dB, dC, dinitial, ddt_direct, da),)


def _through_states(k: Chunks, states, dstates, e, v):
    """The gradient of dt*A that runs through the states: [B,c,H,Q]."""
    kept = einsum("bchpn,bchpn->bch", dstates, states, dtype=e.dtype)
    suffix = jnp.flip(jnp.cumsum(jnp.flip(e, -1), axis=-1), -1)
    prefix = jnp.pad(jnp.cumsum(v, axis=-1)[..., :-1], [(0, 0)] * 3 + [(1, 0)])
    return suffix + prefix + (k.enter[..., -1] * kept)[..., None]


def _collect(inputs: Inputs, plan: Plan, k: Chunks, dy, dx, dB, dC, dinitial, ddt_direct, da) -> Inputs:
    """Gradients in the dtypes and shapes of the inputs."""
    length, dtype = inputs.x.shape[1], wide(inputs.x.dtype)
    dA = einsum("bchq,bchq->h", k.dt, da, dtype=dtype)
    dsteps = join(jnp.swapaxes(ddt_direct + inputs.A.astype(dtype)[:, None] * da, 2, 3), length)
    _, pull = jax.vjp(lambda dt, bias: step_size(dt, bias, plan.dt_limit, dtype), inputs.dt, inputs.dt_bias)
    ddt, dbias = pull(dsteps)
    dD = None
    if inputs.D is not None:
        dD = einsum("bcqhp,bcqhp->hp", dy, k.x, dtype=dtype)
        dD = (dD.sum(1) if inputs.D.ndim == 1 else dD).astype(inputs.D.dtype)
    return Inputs(
        x=join(dx, length),
        dt=ddt,
        A=dA.astype(inputs.A.dtype),
        B=join(dB, length).astype(inputs.B.dtype),
        C=join(dC, length).astype(inputs.C.dtype),
        D=dD,
        dt_bias=dbias,
        initial_state=dinitial.astype(dtype) if inputs.initial_state is not None else None,
        segment_ids=None,
    )


ssd.defvjp(_forward, _backward, optimize_remat=True)
