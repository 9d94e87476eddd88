"""States across devices that each hold a span of time: the associative scan once more, over shards.

B batch, H heads, P head dim, N state dim.
"""

import jax
import jax.numpy as jnp

from kernels_pallas.common.numerics import wide
from kernels_pallas.ssd.inputs import step_size
from kernels_pallas.state_scan.api import state_scan


def state_before(arrays: dict, initial, axis: str, run, dt_limit: tuple[float, float]):
    """The state [B,H,P,N] before this device's span, and the final state of the whole sequence.

    Every device contributes the product of its decays and its final state from zero; the gathered pairs are scanned.
    """
    dtype = wide(arrays["x"].dtype)
    _, own = run(**arrays)
    dt_BLH = step_size(arrays["dt"], arrays.get("dt_bias"), dt_limit, dtype)
    decay_BH = jnp.exp(jnp.sum(dt_BLH, axis=1) * arrays["A"])
    decays, states = (jax.lax.all_gather(v, axis, axis=1) for v in (decay_BH, own))
    before, final = state_scan(decays, states, initial=initial, exclusive=True, impl="xla")
    return jax.lax.dynamic_index_in_dim(before, jax.lax.axis_index(axis), axis=1, keepdims=False), final
