"""The reference transformer of Long Range Arena, and its relatives with cheaper attention.

B batch, L length, D model dim, H heads, P head dim.
"""

import flax.linen as nn
import jax

from lra.encoders.attention import Attention, attend
from lra.encoders.encoder import Encoder
from lra.encoders.parts import Mlp


class SelfAttention(nn.Module):
    """x [B, L, D] -> [B, L, D]: projections without bias, Xavier-uniform, `width` wide over all heads."""

    kind: Attention
    heads: int
    width: int
    dropout_rate: float

    @nn.compact
    def __call__(self, x_BLD: jax.Array, mask_BL: jax.Array, *, train: bool) -> jax.Array:
        if self.width % self.heads:
            raise ValueError(f"qkv_dim = {self.width} is no multiple of num_heads = {self.heads}")
        xavier = nn.initializers.xavier_uniform()
        shape = (*x_BLD.shape[:2], self.heads, self.width // self.heads)

        def project(name: str) -> jax.Array:
            return nn.Dense(self.width, use_bias=False, kernel_init=xavier, name=name)(x_BLD).reshape(shape)

        drop = nn.Dropout(self.dropout_rate, deterministic=not train)
        out_BLHP = attend(self.kind, project("query"), project("key"), project("value"), mask_BL, drop)
        out_BLQ = out_BLHP.reshape(*shape[:2], self.width)
        return nn.Dense(x_BLD.shape[-1], use_bias=False, kernel_init=xavier, name="out")(out_BLQ)


class Block(nn.Module):
    """x + drop(attention(LN x)), then x + MLP(LN x)."""

    kind: Attention
    heads: int
    width: int
    hidden: int
    dropout_rate: float
    attention_dropout_rate: float

    @nn.compact
    def __call__(self, x_BLD: jax.Array, mask_BL: jax.Array, *, train: bool) -> jax.Array:
        mixer = SelfAttention(self.kind, self.heads, self.width, self.attention_dropout_rate, name="attention")
        mixed_BLD = mixer(nn.LayerNorm(name="attention_norm")(x_BLD), mask_BL, train=train)
        x_BLD = x_BLD + nn.Dropout(self.dropout_rate, deterministic=not train)(mixed_BLD)
        mlp = Mlp(self.hidden, self.dropout_rate, name="mlp")
        return x_BLD + mlp(nn.LayerNorm(name="mlp_norm")(x_BLD), train=train)


class TransformerEncoder(Encoder):
    """Pre-norm transformer with fixed sinusoids (the reference of arXiv 2011.04006), O(L^2) in the length.

    Published accuracies: ListOps 36.37, Text 64.27, Retrieval 57.46 percent (same paper, table 1).
    Raises: ValueError when qkv_dim is no multiple of num_heads.
    """

    attention: Attention = Attention.SOFTMAX

    def block(self, name: str) -> nn.Module:
        return Block(
            kind=self.attention,
            heads=self.num_heads,
            width=self.qkv_dim,
            hidden=self.mlp_dim,
            dropout_rate=self.dropout_rate,
            attention_dropout_rate=self.attention_dropout_rate,
            name=name,
        )


class LocalEncoder(TransformerEncoder):
    """Softmax inside blocks of 50. Published: ListOps 15.82, Text 52.98, Retrieval 53.39 (arXiv 2011.04006)."""

    attention: Attention = Attention.LOCAL


class LinearEncoder(TransformerEncoder):
    """Linear attention, elu + 1. Published: ListOps 16.13, Text 65.90, Retrieval 53.09 (arXiv 2011.04006)."""

    attention: Attention = Attention.LINEAR


class PerformerEncoder(TransformerEncoder):
    """Positive random features. Published: ListOps 18.01, Text 65.40, Retrieval 53.82 (arXiv 2011.04006)."""

    attention: Attention = Attention.PERFORMER
