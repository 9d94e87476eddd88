"""state_scan by jax.lax.associative_scan over chunks.

B batch, c chunks, H heads; states are [B,c,H,...].
"""

import jax
import jax.numpy as jnp


def exclusive_scan(decay_BcH, states, initial, reverse: bool):
    """The value before each element (after it, when reversed) [B,c,H,...], and the final value [B,H,...]."""
    decay = decay_BcH.reshape(*decay_BcH.shape, *[1] * (states.ndim - 3))
    edge = -1 if reverse else 0
    states = states.at[:, edge].add(decay[:, edge] * initial)

    def combine(one, two):
        return one[0] * two[0], two[0] * one[1] + two[1]

    _, inclusive = jax.lax.associative_scan(combine, (decay, states), axis=1, reverse=reverse)
    if reverse:
        return jnp.concatenate([inclusive[:, 1:], initial[:, None]], axis=1), inclusive[:, 0]
    return jnp.concatenate([initial[:, None], inclusive[:, :-1]], axis=1), inclusive[:, -1]
