"""The learning rate as a product of named factors, as Long Range Arena writes it: "constant * linear_warmup".

t update from 0, W warm-up, T updates in all. Source: Tay et al. 2020 (arXiv 2011.04006), its training code.
"""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp

from aira_jax.core import choices
from aira_jax.train.groups import Decay

HALVE_EVERY = 20_000
COSINE_PERIOD = 100_000

Schedule = Callable[[jax.Array | int], jax.Array]
Factor = Callable[[jax.Array, float, int], jax.Array]  # (t, base learning rate, W)

FACTORS: dict[str, Factor] = {
    "constant": lambda t, lr, warmup: jnp.asarray(lr, jnp.float32),
    "linear_warmup": lambda t, lr, warmup: jnp.minimum(1.0, t / warmup),
    "rsqrt_decay": lambda t, lr, warmup: jax.lax.rsqrt(jnp.maximum(t, warmup)),
    "rsqrt_normalized_decay": lambda t, lr, warmup: math.sqrt(warmup) * jax.lax.rsqrt(jnp.maximum(t, warmup)),
    "decay_every": lambda t, lr, warmup: 0.5 ** jnp.floor(t / HALVE_EVERY),
    "cosine_decay": lambda t, lr, warmup: _half_cosine(jnp.maximum(0.0, (t - warmup) / COSINE_PERIOD) % 1.0),
}


def parse(factors: str) -> tuple[str, ...]:
    """The names in "a * b * c"; ValueError naming an unknown one and listing the six."""
    names = tuple(name.strip() for name in factors.split("*"))
    for name in names:
        choices.among("schedule factor", name, FACTORS)
    return names


def schedule(
    factors: str, learning_rate: float, warmup: int, *, decay: Decay = Decay.NONE, total: int | None = None
) -> Schedule:
    """t -> learning rate, float32 scalar. `decay` brings it to 0 at t = `total`, from the end of the warm-up on."""
    chosen = [FACTORS[name] for name in parse(factors)]

    def at(t: jax.Array | int) -> jax.Array:
        t = jnp.asarray(t, jnp.float32)
        rate = math.prod((factor(t, learning_rate, warmup) for factor in chosen), start=jnp.float32(1))
        return rate * _remaining(t, warmup, decay, total)

    return at


def _remaining(t: jax.Array, warmup: int, decay: Decay, total: int | None) -> jax.Array | float:
    if decay is Decay.NONE:
        return 1.0
    done = jnp.clip((t - warmup) / max(total - warmup, 1), 0.0, 1.0)
    return 1.0 - done if decay is Decay.LINEAR else _half_cosine(done)


def _half_cosine(share: jax.Array) -> jax.Array:
    return jnp.maximum(0.0, 0.5 * (1.0 + jnp.cos(jnp.pi * share)))
