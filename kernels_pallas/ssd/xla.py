"""The stages of chunked ssd as einsums over all chunks at once: the fallback on GPUs.

b batch, c chunks, q and k positions of a chunk, g groups, r heads of a group, p head dim, n state dim.
"""

import dataclasses
import functools

import jax.numpy as jnp

from kernels_pallas.common.numerics import einsum, wide
from kernels_pallas.ssd.chunked import Chunks
from kernels_pallas.state_scan.xla import exclusive_scan


@dataclasses.dataclass(frozen=True)
class XlaStages:
    """See `chunked.Stages`."""

    def chunk_state(self, weights, x, b):
        groups = b.shape[3]
        weighted = _by_group(_last(weights)[..., None] * x.astype(weights.dtype), groups)
        states = einsum("bcqgrp,bcqgn->bcgrpn", weighted, b, dtype=b.dtype)
        return states.reshape(*states.shape[:2], -1, *states.shape[4:])

    def scan(self, decay, states, initial, *, reverse: bool, dtype):
        before, final = exclusive_scan(decay, states, initial, reverse)
        return before.astype(dtype), final

    def chunk_scan(self, k: Chunks, states):
        dot, groups = functools.partial(einsum, dtype=k.x.dtype), k.B.shape[3]
        y = dot("bcgrqk,bckgrp->bcqgrp", _mixer(k), _by_group(_scaled(k), groups))
        carried = dot("bcqgn,bcgrpn->bcqgrp", k.C, _split_heads(states, groups))
        y = _flat(y) + _last(k.enter)[..., None] * _flat(carried)
        if k.D is not None:
            y += k.D * k.x.astype(y.dtype)
        return y.astype(k.x.dtype)

    def input_grads(self, k: Chunks, dy, dstates):
        dot, groups = functools.partial(einsum, dtype=k.x.dtype), k.B.shape[3]
        inter = _flat(dot("bckgn,bcgrpn->bckgrp", k.B, _split_heads(dstates, groups)))
        inter *= _last(k.leave)[..., None]
        dscaled = _flat(dot("bcgrqk,bcqgrp->bckgrp", _mixer(k), _by_group(dy, groups))) + inter
        v = _heads_first(jnp.sum(_scaled(k) * inter, axis=-1))
        ddt_direct = _heads_first(jnp.sum(dscaled * k.x.astype(dscaled.dtype), axis=-1))
        dx = _last(k.dt)[..., None] * dscaled
        if k.D is not None:
            dx += k.D * dy.astype(dx.dtype)
        return dx.astype(k.x.dtype), ddt_direct, v

    def group_grads(self, k: Chunks, dy, states, dstates):
        dot, groups = functools.partial(einsum, dtype=k.x.dtype), k.B.shape[3]
        dcb = jnp.sum(_dmixer(k, dy) * _decays(k), axis=3)
        entered = _by_group(_last(k.enter)[..., None] * dy.astype(k.enter.dtype), groups)
        left = _by_group(_last(k.leave)[..., None] * _scaled(k), groups)
        dC = dot("bcgqk,bckgn->bcqgn", dcb, k.B)
        dC += dot("bcqgrp,bcgrpn->bcqgn", entered, _split_heads(states, groups))
        dB = dot("bcgqk,bcqgn->bckgn", dcb, k.C)
        dB += dot("bckgrp,bcgrpn->bckgn", left, _split_heads(dstates, groups))
        carried = dot("bcqgn,bcgrpn->bcqgrp", k.C, _split_heads(states, groups))
        e = _heads_first(_flat(jnp.sum(entered * carried, axis=-1, keepdims=True))[..., 0])
        return dB, dC, e

    def decay_grads(self, k: Chunks, dy):
        flow = _dmixer(k, dy) * _mixer(k)
        q = flow.shape[-1]
        crossing = jnp.pad(jnp.cumsum(flow, axis=-1)[..., :-1], [(0, 0)] * 5 + [(1, 0)])
        total = jnp.sum(jnp.where(jnp.tril(jnp.ones((q, q), bool)), crossing, 0), axis=-2)
        return total.reshape(*total.shape[:2], -1, q)


def _decays(k: Chunks):
    """L_qk: the decay from k to q where both lie in one run and k <= q, else 0: [b,c,g,r,q,k]."""
    b, c, _, q = k.log_decay.shape
    seen = jnp.tril(jnp.ones((q, q), bool))
    if k.runs is not None:
        # Compared as floats: XLA's CPU backend of jaxlib 0.10.2 aborts on the broadcast of short int32 rows here.
        runs = k.runs.astype(k.log_decay.dtype)
        seen = seen & (runs[..., :, None] == runs[..., None, :])[:, :, None]
    gap = k.log_decay[..., :, None] - k.log_decay[..., None, :]
    decays = jnp.where(seen, jnp.exp(jnp.where(seen, gap, 0)), 0)
    return decays.reshape(b, c, k.B.shape[3], -1, q, q)


def _mixer(k: Chunks):
    """M = L * (C B^T): [b,c,g,r,q,k]."""
    return _decays(k) * k.cb[:, :, :, None]


def _dmixer(k: Chunks, dy):
    """dM_qk = dy_q . X'_k: [b,c,g,r,q,k]."""
    groups = k.B.shape[3]
    return einsum("bcqgrp,bckgrp->bcgrqk", _by_group(dy, groups), _by_group(_scaled(k), groups), dtype=k.x.dtype)


def _scaled(k: Chunks):
    """X' = dt x: [b,c,q,h,p], float32."""
    return _last(k.dt)[..., None] * k.x.astype(wide(k.x.dtype))


def _last(v_bchq):
    return jnp.swapaxes(v_bchq, 2, 3)


_heads_first = _last


def _by_group(v_bcqhp, groups: int):
    return v_bcqhp.reshape(*v_bcqhp.shape[:3], groups, -1, v_bcqhp.shape[-1])


def _flat(v_bcqgrp):
    return v_bcqgrp.reshape(*v_bcqgrp.shape[:3], -1, v_bcqgrp.shape[-1])


def _split_heads(states_bchpn, groups: int):
    b, c, h, p, n = states_bchpn.shape
    return states_bchpn.reshape(b, c, groups, h // groups, p, n)
