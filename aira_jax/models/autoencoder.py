"""The proxy model of compression: the whole sequence must fit into its last position.

B batch, L length, D model dim, V vocabulary.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from aira_jax.primitives.block import Large, Small
from aira_jax.primitives.linear import Linear, LinearInit
from aira_jax.primitives.norm import Norm


def sinusoids(length: int, dim: int) -> jax.Array:
    """[length, dim]: sin(t w_j) for j < dim/2, then cos(t w_j), w_j = 1e4^(-j / (dim/2 - 1))."""
    half = dim // 2
    frequency = jnp.exp(-jnp.log(1e4) * jnp.arange(half) / (half - 1))
    angle = jnp.arange(length)[:, None] * frequency
    return jnp.concatenate([jnp.sin(angle), jnp.cos(angle)], axis=-1)


class AutoEncoder(nn.Module):
    """tokens [batch, length] int -> logits [batch, length, vocab] float32 of the same tokens.

    The encoder's last position, plus a fixed table of positions, goes through a position-wise decoder of two hidden
    layers (GELU with erf). Every linear weight, those of the blocks included, starts normal with deviation 0.02.
    Source: Poli et al. 2024 (MAD).
    """

    primitives: Small | Large
    layers: tuple[str, ...]
    vocab: int

    def setup(self):
        p = self.primitives
        if p.init is not LinearInit.NORMAL:
            raise ValueError("AutoEncoder: its layers start normal; give Small(..., init=LinearInit.NORMAL)")
        self.embedding = self.param("embedding", nn.initializers.normal(0.02), (self.vocab, p.dim), jnp.float32)
        self.blocks = [p.block(primitive) for primitive in self.layers]
        self.norms = [Norm(p.norm) for _ in range(3)]
        self.linears = [
            Linear(features, bias=True, init=LinearInit.NORMAL, dtype=p.dtype)
            for features in (p.dim, p.dim, self.vocab)
        ]

    def __call__(self, tokens_BL: jax.Array) -> jax.Array:
        x_BLD = self.embed(tokens_BL)
        for block in self.blocks:
            x_BLD = block(x_BLD)
        return self.decode(x_BLD)

    def embed(self, tokens_BL: jax.Array) -> jax.Array:
        """The residual stream [batch, length, dim] float32 before the first block."""
        return self.embedding[tokens_BL]

    def decode(self, x_BLD: jax.Array) -> jax.Array:
        """Logits of every position from the last position of the residual stream."""
        x_BLD = x_BLD[:, -1:] + sinusoids(*x_BLD.shape[1:])
        for i, (norm, linear) in enumerate(zip(self.norms, self.linears, strict=True)):
            x_BLD = linear(norm(x_BLD))
            if i < 2:
                x_BLD = nn.gelu(x_BLD, approximate=False)
        return x_BLD.astype(jnp.float32)
