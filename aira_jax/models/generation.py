"""Sampling from a HybridLM: what all prompts have in common in length is read at once, the rest token by token.

B prompts, V vocabulary.
"""

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from aira_jax.models.hybrid import HybridLM


@dataclasses.dataclass(frozen=True)
class Sampling:
    """`temperature` 0 takes the most likely token. `top_k` tokens at most, the fewest that hold `top_p` of the mass."""

    temperature: float = 1.0
    top_k: int | None = None
    top_p: float = 1.0

    def __post_init__(self):
        if self.temperature < 0 or not 0 < self.top_p <= 1 or (self.top_k is not None and self.top_k < 1):
            raise ValueError(f"{self}: needs temperature >= 0, 0 < top_p <= 1, top_k >= 1 or none")

    def draw(self, logits_BV: jax.Array, keys_B: jax.Array) -> jax.Array:
        """One token a row, int32 [B]."""
        if self.temperature == 0:
            return jnp.argmax(logits_BV, -1).astype(jnp.int32)
        scaled_BV = logits_BV / self.temperature
        if self.top_k is not None:
            least_B1 = jax.lax.top_k(scaled_BV, min(self.top_k, scaled_BV.shape[-1]))[0][:, -1:]
            scaled_BV = jnp.where(scaled_BV < least_B1, -jnp.inf, scaled_BV)
        if self.top_p < 1:
            scaled_BV = jnp.where(_in_nucleus(scaled_BV, self.top_p), scaled_BV, -jnp.inf)
        return jax.vmap(jax.random.categorical)(keys_B, scaled_BV).astype(jnp.int32)


def _in_nucleus(logits_BV: jax.Array, mass: float) -> jax.Array:
    """Whether less than `mass` lies on the tokens that are likelier."""
    order_BV = jnp.argsort(-logits_BV, axis=-1)
    p_BV = jax.nn.softmax(jnp.take_along_axis(logits_BV, order_BV, -1), -1)
    kept_BV = jnp.cumsum(p_BV, -1) - p_BV < mass
    return jnp.take_along_axis(kept_BV, jnp.argsort(order_BV, axis=-1), -1)


def generate(
    model: HybridLM,
    params: Any,
    prompts: Sequence[Sequence[int]],
    max_new_tokens: int,
    *,
    sampling: Sampling = Sampling(),
    seed: int = 0,
    limit: int | None = None,
) -> list[list[int]]:
    """`max_new_tokens` tokens after each prompt. Row and seed decide a row's draws: its neighbours do not matter.

    Raises: ValueError for an empty prompt, a token outside of the vocabulary, or more tokens than `limit`.
    """
    lengths = [len(prompt) for prompt in prompts]
    if not lengths or not min(lengths) or max_new_tokens < 1:
        raise ValueError("generate needs at least one prompt, a token in each, and max_new_tokens >= 1")
    total = max(lengths) + max_new_tokens
    if limit is not None and total > limit:
        raise ValueError(f"{max(lengths)} prompt tokens and {max_new_tokens} new ones exceed the limit of {limit}")
    tokens_BT = np.zeros((len(prompts), total), np.int32)
    for row, prompt in enumerate(prompts):
        tokens_BT[row, : len(prompt)] = prompt
    if tokens_BT.min() < 0 or tokens_BT.max() >= model.vocab:
        raise ValueError(f"a prompt holds a token outside of the vocabulary of {model.vocab}")
    made_BT = _run(model, sampling, min(lengths), params, tokens_BT, np.array(lengths), jax.random.key(seed))
    return [
        row[length : length + max_new_tokens].tolist() for row, length in zip(np.asarray(made_BT), lengths, strict=True)
    ]


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def _run(model: HybridLM, sampling: Sampling, common: int, params, tokens_BT, lengths_B, key) -> jax.Array:
    """Every row with its prompt, then its draws; `common` tokens of all prompts are read at once."""
    batch, total = tokens_BT.shape
    keys_B = jax.vmap(jax.random.fold_in, (None, 0))(key, jnp.arange(batch))

    def place(tokens_BT, logits_BV, position):
        """The token at `position`: the prompt's, or a draw."""
        at_B = jax.vmap(jax.random.fold_in, (0, 0))(keys_B, position - lengths_B)
        drawn_B = sampling.draw(logits_BV, at_B)
        next_B = jnp.where(position < lengths_B, tokens_BT[:, position], drawn_B)
        return tokens_BT.at[:, position].set(next_B), next_B

    def one(carry, position):
        tokens_BT, caches, logits_BV = carry
        tokens_BT, next_B = place(tokens_BT, logits_BV, position)
        logits_BV, caches = model.step(params, next_B, caches, position)
        return (tokens_BT, caches, logits_BV), None

    logits_BV, caches = model.prefill(params, tokens_BT[:, :common], model.init_caches(batch, total))
    carry, _ = jax.lax.scan(one, (tokens_BT, caches, logits_BV), jnp.arange(common, total - 1))
    return place(carry[0], carry[2], total - 1)[0]
