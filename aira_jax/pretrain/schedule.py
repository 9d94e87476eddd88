"""The learning rate of a pretraining: linear warm-up, then a cosine to a tenth, or constant and a linear end."""

import enum
from collections.abc import Callable

import jax
import jax.numpy as jnp

WARMUP_SHARE, LEAST_WARMUP, MOST_WARMUP = 0.02, 100, 2000
LEAST_BEYOND = 10  # updates after the warm-up
COSINE_END = 0.1  # of the peak
WSD_SHARE = 0.2  # of the updates, for the linear end


class Decay(enum.StrEnum):
    """COSINE: to a tenth of the peak over exactly the run. WSD: constant, then linear to 0 over the last fifth."""

    COSINE = "cosine"
    WSD = "wsd"


def warmup_steps(steps: int) -> int:
    """2 % of the updates, within 100 and 2000."""
    return min(max(round(WARMUP_SHARE * steps), LEAST_WARMUP), MOST_WARMUP)


def learning_rate(decay: Decay, peak: float, steps: int, warmup: int) -> Callable[[jax.Array | int], jax.Array]:
    """t (update from 0) -> rate, float32: (t + 1) / warmup of the peak, then `decay`, whose end is that of update
    `steps` - 1. Raises ValueError for a run that ends before it has begun."""
    if steps < warmup + LEAST_BEYOND:
        raise ValueError(
            f"steps={steps} is shorter than a warm-up of {warmup} and {LEAST_BEYOND} more: "
            f"give at least {warmup + LEAST_BEYOND} steps, or a shorter optimizer.warmup"
        )
    last = steps - 1

    def at(t: jax.Array | int) -> jax.Array:
        t = jnp.asarray(t, jnp.float32)
        rise = jnp.minimum(1.0, (t + 1) / max(warmup, 1))
        if decay is Decay.COSINE:
            done = jnp.clip((t - warmup) / max(last - warmup, 1), 0.0, 1.0)
            fall = COSINE_END + (1 - COSINE_END) * 0.5 * (1 + jnp.cos(jnp.pi * done))
        else:
            length = max(round(WSD_SHARE * steps), 1)
            fall = jnp.clip((last - t) / length, 0.0, 1.0)
        return peak * rise * fall

    return at
