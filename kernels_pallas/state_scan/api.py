"""state_scan: the associative scan over (decay, state) pairs, (a2, b2) o (a1, b1) = (a1 a2, a2 b1 + b2).

B batch, c chunks, H heads, F flattened state.
"""

import functools
import math

import jax
import jax.numpy as jnp

from kernels_pallas.common import dispatch
from kernels_pallas.common.dispatch import Choice, Impl
from kernels_pallas.common.errors import bind, fail, positive
from kernels_pallas.common.specs import ScanSpec
from kernels_pallas.state_scan import reference, support
from kernels_pallas.state_scan.core import exclusive_scan


def state_scan(
    decay, states, *, initial=None, reverse: bool = False, exclusive: bool = False, impl: str | Impl = Impl.AUTO
):
    """out_i = decay_i * out_{i-1} + states_i along dim 1.

    Args:
      decay: [B,c,H] float32 in [0,1] (float64 with reference and xla); an exact 0 resets.
      states: [B,c,H,...] in the dtype of `decay`; c need not be a power of two.
      initial: [B,H,...], the value before the first element (after the last one when reversed); None: zeros.
      reverse: from the right, out_i = decay_i * out_{i+1} + states_i.
      exclusive: return the value before element i (after it when reversed) instead of the one that includes it.
      impl: see `kernels_pallas.Impl`.

    Returns: (out [B,c,H,...], final [B,H,...]). Differentiable in decay, states and initial; the gradient is the scan
    from the other end. Raises: ValueError naming argument, value and mend.
    Source: Blelloch 1990, "Prefix sums and their applications", section 1.4.1.
    """
    spec = _check(decay, states, initial)
    choice = dispatch.resolve(support.OP, spec, impl)
    if initial is None:
        initial = jnp.zeros((spec.B, *states.shape[2:]), states.dtype)
    return _run(
        decay, states, initial, reverse=reverse, exclusive=exclusive, choice=choice, interpret=dispatch.interpreting()
    )


@functools.partial(jax.jit, static_argnames=("reverse", "exclusive", "choice", "interpret"))
def _run(decay, states, initial, *, reverse: bool, exclusive: bool, choice: Choice, interpret: bool):
    flat = states.reshape(*states.shape[:3], -1)
    start = initial.reshape(*initial.shape[:2], -1)
    with jax.named_scope("state_scan"):
        if choice.impl is Impl.REFERENCE:
            before, final = reference.exclusive_scan(decay, flat, start, reverse)
        else:
            before, final = exclusive_scan(decay, flat, start, reverse, support.kernel(choice, interpret))
        out = before if exclusive else decay[..., None] * before + flat
    return out.reshape(states.shape), final.reshape(initial.shape)


def _check(decay, states, initial) -> ScanSpec:
    op, sizes = "state_scan", {}
    bind(op, "decay", decay, "BcH", sizes)
    positive(op, **sizes)
    if states.shape[:3] != decay.shape:
        fail(op, f"states has shape {list(states.shape)}; needs [B,c,H,...] with B,c,H={list(decay.shape)}")
    flat = math.prod(states.shape[3:])
    positive(op, F=flat)
    for name, array in (("decay", decay), ("states", states), ("initial", initial)):
        if array is not None and array.dtype not in (jnp.float32, jnp.float64):
            fail(op, f"{name} is {array.dtype}; decays and states stay in float32 (or float64)")
        if array is not None and array.dtype != decay.dtype:
            fail(op, f"{name} is {array.dtype} but decay is {decay.dtype}; cast one of them")
    want = (*states.shape[:1], *states.shape[2:])
    if initial is not None and initial.shape != want:
        fail(op, f"initial has shape {list(initial.shape)}; needs [B,H,...] = {list(want)}")
    b, c, h = decay.shape
    return ScanSpec(b, c, h, flat, str(decay.dtype))
