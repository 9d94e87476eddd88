"""How far a network's way back is from the derivative of its forward pass, measured by differences.

B batch, C classes, K step lengths.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from lra.network import Inputs, Network, cross_entropy

TOLERATED = 0.2  # no encoder or design of this package is farther off than 0.02
STEPS = (1e-2, 1e-3, 1e-4)  # of the norm of the parameters


def error(
    network: Network, params: Any, batch_stats: Any, inputs: Inputs, targets_B: jax.Array, key: jax.Array
) -> float:
    """The relative error of a slope: of the loss, made linear in the logits, along a random half of its gradient.

    A half of the entries, drawn from `key`, because a linear map of the gradient may have the right slope along itself,
    but not along its halves. The best of several step lengths counts; at most 1, and 0 where there is no
    gradient at all.
    """
    draw, dropout = jax.random.split(key)

    def measured(params: Any) -> tuple[jax.Array, jax.Array]:
        logits_BC, _, pull = network.forward(params, batch_stats, inputs, dropout)
        cotangent_BC = jax.grad(cross_entropy)(logits_BC, targets_B)
        leaves, tree = jax.tree.flatten(pull(cotangent_BC))
        keys = jax.random.split(draw, len(leaves))
        half = [jnp.where(jax.random.bernoulli(k, shape=g.shape), g, 0) for k, g in zip(keys, leaves, strict=True)]
        slope = optax.tree.norm(half)
        direction = jax.tree.unflatten(tree, [g / slope for g in half])

        def height(length: jax.Array) -> jax.Array:
            moved = jax.tree.map(lambda p, d: (p + length * d).astype(p.dtype), params, direction)
            return jnp.vdot(cotangent_BC, network.forward(moved, batch_stats, inputs, dropout)[0])

        lengths_K = jnp.array(STEPS) * optax.tree.norm(params)
        above_K, below_K = jnp.split(jax.lax.map(height, jnp.concatenate([lengths_K, -lengths_K])), 2)
        return slope, (above_K - below_K) / (2 * lengths_K)

    slope, slopes_K = map(np.asarray, jax.jit(measured)(params))
    if slope == 0:
        return 0.0
    return float(min(1.0, *np.nan_to_num(np.abs(slopes_K / slope - 1), nan=1.0)))
