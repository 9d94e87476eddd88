"""The proxy model of sequence tasks: embedding, any arrangement of primitives, norm, linear head.

B batch, L length, D model dim, V vocabulary.
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from aira_jax.primitives.block import Large, Small
from aira_jax.primitives.linear import Linear
from aira_jax.primitives.norm import Norm


class LanguageModel(nn.Module):
    """tokens [batch, length] int -> logits [batch, length, vocab] float32; causal.

    `layers` are tokens of the pattern language. `embed`, `blocks`, `decode` are the call in three parts; untied head.
    """

    primitives: Small | Large
    layers: tuple[str, ...]
    vocab: int

    def setup(self):
        p = self.primitives
        self.embedding = self.param("embedding", nn.initializers.normal(0.02), (self.vocab, p.dim), jnp.float32)
        self.blocks = [p.block(primitive) for primitive in self.layers]
        self.norm = Norm(p.norm)
        self.head = Linear(self.vocab, bias=True, init=p.init, dtype=p.dtype)

    def __call__(self, tokens_BL: jax.Array) -> jax.Array:
        x_BLD = self.embed(tokens_BL)
        for block in self.blocks:
            x_BLD = block(x_BLD)
        return self.decode(x_BLD)

    def embed(self, tokens_BL: jax.Array) -> jax.Array:
        """The residual stream [batch, length, dim] float32 before the first block."""
        return self.embedding[tokens_BL]

    def decode(self, x_BLD: jax.Array) -> jax.Array:
        """Logits from the residual stream after the last block."""
        return self.head(self.norm(x_BLD)).astype(jnp.float32)

    def init_caches(self, batch: int, length: int) -> list[Any]:
        """The memory of every block, for `batch` empty sequences that will grow to at most `length` tokens."""
        return [block.init_cache(batch, length) for block in self.blocks]

    def step(self, tokens_B: jax.Array, caches: list[Any], position: jax.Array) -> tuple[jax.Array, list[Any]]:
        """Logits [batch, vocab] of one more token per sequence; equals the call on all tokens at that position."""
        x_BD, grown = self.embedding[tokens_B], []
        for block, cache in zip(self.blocks, caches, strict=True):
            x_BD, cache = block.step(x_BD, cache, position)
            grown.append(cache)
        return self.decode(x_BD), grown
