"""The exclusive scan of (decay, state) pairs with its gradient: the reversed scan.

For h_i = decay_i h_{i-1} + state_i: d state_i = dH_i, d decay_i = <dH_i, h_{i-1}>, d initial = the final value of the
scan of the cotangents from the other end.

B batch, c chunks, H heads, P head dim, N state dim, F flattened state.
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp

Kernel = Callable  # (decay [B,c,H], states [B,c,H,F], initial [B,H,F], reverse) -> (before [B,c,H,F], final [B,H,F])


@functools.partial(jax.custom_vjp, nondiff_argnums=(3, 4))
def exclusive_scan(decay_BcH, states_BcHF, initial_BHF, reverse: bool, kernel: Kernel):
    """(value before each element, final value) by `kernel`, a hashable callable."""
    return kernel(decay_BcH, states_BcHF, initial_BHF, reverse)


def _forward(decay_BcH, states_BcHF, initial_BHF, reverse, kernel):
    before, final = kernel(decay_BcH, states_BcHF, initial_BHF, reverse)
    return (before, final), (decay_BcH, before)


def _backward(reverse, kernel, saved, cotangents):
    decay_BcH, before_BcHF = saved
    dbefore_BcHF, dfinal_BHF = cotangents
    dstates_BcHF, dinitial_BHF = kernel(decay_BcH, dbefore_BcHF, dfinal_BHF, not reverse)
    return jnp.sum(dstates_BcHF * before_BcHF, axis=-1), dstates_BcHF, dinitial_BHF


exclusive_scan.defvjp(_forward, _backward)


def scan_states(kernel: Kernel, decay_BcH, states_BcHPN, initial_BHPN, reverse: bool):
    """`kernel` on states [B,c,H,P,N]: the values before each element and the final one, in the same shape."""
    flat_BcHF = states_BcHPN.reshape(*states_BcHPN.shape[:3], -1)
    before, final = kernel(decay_BcH, flat_BcHF, initial_BHPN.reshape(*initial_BHPN.shape[:2], -1), reverse)
    return before.reshape(states_BcHPN.shape), final.reshape(initial_BHPN.shape)
