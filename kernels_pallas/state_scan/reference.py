"""state_scan, one element at a time: the definition.

B batch, c chunks, H heads; states are [B,c,H,...].
"""

import jax
import jax.numpy as jnp


def exclusive_scan(decay_BcH, states, initial, reverse: bool):
    """The value before each element (after it, when reversed) [B,c,H,...], and the final value [B,H,...]."""

    def step(carry, element):
        decay_BH, state = element
        return decay_BH.reshape(*decay_BH.shape, *[1] * (carry.ndim - 2)) * carry + state, carry

    elements = (jnp.moveaxis(decay_BcH, 1, 0), jnp.moveaxis(states, 1, 0))
    final, before = jax.lax.scan(step, initial, elements, reverse=reverse)
    return jnp.moveaxis(before, 0, 1), final
