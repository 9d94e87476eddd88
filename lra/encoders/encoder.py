"""The frame of an encoder: embedding, positions, blocks, pool and head; the blocks are what encoders differ in.

B batch, L length, D model dim, C classes.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from lra.encoders.parts import Head, Pool, Positions, pool_named, pooled


class Encoder(nn.Module):
    """inputs [B, L] int32, 0 = padding -> logits [B, C]; with `classifier` False the states [B, L, D].

    Every argument has the meaning it has in Long Range Arena's own models (Tay et al. 2020, arXiv 2011.04006). The CLS
    pool of a classifier puts a learned token in front of the sequence, visible to every position.
    Raises: ValueError for an unknown `classifier_pool`.
    """

    vocab_size: int
    num_classes: int = 10
    emb_dim: int = 512
    num_heads: int = 8
    num_layers: int = 6
    qkv_dim: int = 512
    mlp_dim: int = 2048
    max_len: int = 512
    dropout_rate: float = 0.1
    attention_dropout_rate: float = 0.1
    learn_pos_emb: bool = False
    classifier: bool = True
    classifier_pool: str = Pool.CLS

    positions = True

    @nn.compact
    def __call__(self, inputs_BL: jax.Array, *, train: bool = False) -> jax.Array:
        pool = pool_named(self.classifier_pool)
        x_BLD = nn.Embed(self.vocab_size, self.emb_dim, embedding_init=nn.initializers.normal(1.0))(inputs_BL)
        mask_BL = inputs_BL > 0
        leading = int(self.classifier and pool is Pool.CLS)
        if leading:
            x_BLD, mask_BL = self._lead(x_BLD, mask_BL)
        if self.positions:
            x_BLD = Positions(self.max_len + leading, self.learn_pos_emb, name="positions")(x_BLD)
        x_BLD = nn.Dropout(self.dropout_rate, deterministic=not train)(x_BLD)
        for layer in range(self.num_layers):
            x_BLD = self.block(f"block_{layer}")(x_BLD, mask_BL, train=train)
        x_BLD = nn.LayerNorm(name="norm")(x_BLD)
        if not self.classifier:
            return x_BLD
        return Head((self.mlp_dim,), self.num_classes, name="head")(pooled(x_BLD, mask_BL, pool))

    def block(self, name: str) -> nn.Module:
        """A new block, called as block(x [B, L, D], mask [B, L], train=...) -> [B, L, D]."""
        raise NotImplementedError

    def _lead(self, x_BLD: jax.Array, mask_BL: jax.Array) -> tuple[jax.Array, jax.Array]:
        token_D = self.param("cls", nn.initializers.zeros, (1, 1, self.emb_dim))
        token_BD = jnp.broadcast_to(token_D, (x_BLD.shape[0], 1, self.emb_dim))
        return jnp.concatenate([token_BD, x_BLD], axis=1), jnp.pad(mask_BL, [(0, 0), (1, 0)], constant_values=True)
