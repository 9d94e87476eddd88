"""Retrieval: one encoder reads both documents, a small head compares the two vectors.

B batch, L length, D model dim.
"""

from typing import ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp

from lra.encoders.encoder import Encoder
from lra.encoders.mamba2 import Mamba2Encoder
from lra.encoders.parts import Head, Pool, pool_named, pooled
from lra.encoders.transformer import LinearEncoder, LocalEncoder, PerformerEncoder, TransformerEncoder

NLI = "NLI"
SHARED = (
    *("vocab_size", "emb_dim", "num_heads", "num_layers", "qkv_dim", "mlp_dim", "max_len"),
    *("dropout_rate", "attention_dropout_rate", "learn_pos_emb"),
)  # with the encoder of one document


def features(e1_BD: jax.Array, e2_BD: jax.Array, interaction: str | None) -> jax.Array:
    """[e1, e2], or with "NLI" [e1, e2, e1 * e2, e1 - e2]; ValueError for any other interaction."""
    if interaction is None:
        return jnp.concatenate([e1_BD, e2_BD], axis=-1)
    if interaction == NLI:
        return jnp.concatenate([e1_BD, e2_BD, e1_BD * e2_BD, e1_BD - e2_BD], axis=-1)
    raise ValueError(f"interaction = {interaction!r}: choose None or {NLI!r}")


class DualEncoder(nn.Module):
    """inputs1, inputs2 [B, L] int32, 0 = padding -> logits [B, 2].

    One encoder without classification token reads both documents, stacked along the batch; no attention crosses
    between them. The CLS pool is the state of the first byte. Head: Dense(mlp_dim), Dense(mlp_dim // 2), classes.
    Source: the dual encoder of Long Range Arena (Tay et al. 2020, arXiv 2011.04006).
    """

    vocab_size: int
    num_classes: int = 2
    emb_dim: int = 128
    num_heads: int = 4
    num_layers: int = 4
    qkv_dim: int = 128
    mlp_dim: int = 512
    max_len: int = 4000
    dropout_rate: float = 0.1
    attention_dropout_rate: float = 0.1
    learn_pos_emb: bool = False
    classifier_pool: str = Pool.CLS
    interaction: str | None = None

    encoder: ClassVar[type[Encoder]]

    @nn.compact
    def __call__(self, inputs1_BL: jax.Array, inputs2_BL: jax.Array, *, train: bool = False) -> jax.Array:
        inputs_BL = jnp.concatenate([inputs1_BL, inputs2_BL])
        sizes = {name: getattr(self, name) for name in SHARED}
        encoder = self.encoder(**sizes, classifier=False, name="encoder")
        states_BLD = encoder(inputs_BL, train=train)
        e1_BD, e2_BD = jnp.split(pooled(states_BLD, inputs_BL > 0, pool_named(self.classifier_pool)), 2)
        head = Head((self.mlp_dim, self.mlp_dim // 2), self.num_classes, name="head")
        return head(features(e1_BD, e2_BD, self.interaction))


class TransformerDualEncoder(DualEncoder):
    """The reference transformer on pairs; O(L^2)."""

    encoder = TransformerEncoder


class LocalDualEncoder(DualEncoder):
    """Softmax inside blocks of 50 positions, on pairs."""

    encoder = LocalEncoder


class LinearDualEncoder(DualEncoder):
    """Linear attention on pairs."""

    encoder = LinearEncoder


class PerformerDualEncoder(DualEncoder):
    """Positive random features on pairs."""

    encoder = PerformerEncoder


class Mamba2DualEncoder(DualEncoder):
    """Bidirectional Mamba-2 on pairs, mean pool."""

    encoder = Mamba2Encoder
    classifier_pool: str = Pool.MEAN
