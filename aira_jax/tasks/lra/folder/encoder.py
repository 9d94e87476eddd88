"""A valid model to start from: one convolution over the tokens, then the mean over what is no padding.

B batch, L length, D model dim.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp


class CustomEncoder(nn.Module):
    """inputs [B, L] int32, 0 = padding -> logits [B, C]."""

    vocab_size: int
    num_classes: int
    emb_dim: int = 128

    @nn.compact
    def __call__(self, inputs_BL: jax.Array, *, train: bool = False) -> jax.Array:
        mask_BL1 = (inputs_BL > 0)[..., None]
        x_BLD = jnp.where(mask_BL1, nn.Embed(self.vocab_size, self.emb_dim)(inputs_BL), 0)
        x_BLD = nn.gelu(nn.Conv(self.emb_dim, (7,))(x_BLD))
        pooled_BD = jnp.sum(x_BLD, axis=1, where=mask_BL1) / jnp.maximum(mask_BL1.sum(axis=1), 1)
        return nn.Dense(self.num_classes)(pooled_BD)
