"""A valid model to start from: one convolution over the bytes, then the mean over what is no padding.

B batch, L length, D model dim.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

LR = 1e-3


class CustomDualEncoder(nn.Module):
    """inputs1, inputs2 [B, L] int32, 0 = padding -> logits [B, 2]; one encoder reads both."""

    vocab_size: int
    num_classes: int = 2
    emb_dim: int = 128

    @nn.compact
    def __call__(self, inputs1_BL: jax.Array, inputs2_BL: jax.Array, *, train: bool = False) -> jax.Array:
        embed, mix = nn.Embed(self.vocab_size, self.emb_dim), nn.Conv(self.emb_dim, (7,))

        def encode(inputs_BL: jax.Array) -> jax.Array:
            mask_BL1 = (inputs_BL > 0)[..., None]
            x_BLD = nn.gelu(mix(jnp.where(mask_BL1, embed(inputs_BL), 0)))
            return jnp.sum(x_BLD, axis=1, where=mask_BL1) / jnp.maximum(mask_BL1.sum(axis=1), 1)

        a_BD, b_BD = encode(inputs1_BL), encode(inputs2_BL)
        return nn.Dense(self.num_classes)(jnp.concatenate([a_BD, b_BD, a_BD * b_BD, a_BD - b_BD], axis=-1))
