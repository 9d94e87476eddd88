"""A first submission for Text: byte n-grams by convolution, their strongest and their mean response, two dense layers.

    python scripts/lra_train.py --model=lra/examples/text_cnn.py --config=configs/lra.py:text,configurable=true \\
        --data=DIR --workdir=W

Cost O(L). The numbers below count with `configurable` only; without it they are the profile's.
B batch, L length, D features.
"""

import flax.linen as nn
import jax.numpy as jnp

SEQ_LEN = 400
EMB_DIM = 32
MLP_DIM = 128
BATCH_SIZE = 64
LR = 2e-3
NUM_TRAIN_STEPS = 1500
WARMUP_STEPS = 100
EVAL_FREQUENCY = 100


class CustomEncoder(nn.Module):
    """inputs [B, L] int32, 0 = padding -> logits [B, C]."""

    vocab_size: int
    num_classes: int = 2
    emb_dim: int = EMB_DIM
    mlp_dim: int = MLP_DIM
    dropout_rate: float = 0.3

    @nn.compact
    def __call__(self, inputs_BL, *, train: bool = False):
        drop = nn.Dropout(self.dropout_rate, deterministic=not train)
        mask_BL1 = (inputs_BL > 0)[..., None]
        x_BLD = jnp.where(mask_BL1, nn.Embed(self.vocab_size, self.emb_dim)(inputs_BL), 0)
        x_BLD = nn.relu(nn.Conv(self.mlp_dim, kernel_size=(7,))(x_BLD))
        most_BD = jnp.max(x_BLD, axis=1, where=mask_BL1, initial=0.0)
        mean_BD = x_BLD.sum(axis=1, where=mask_BL1) / jnp.maximum(mask_BL1.sum(axis=1), 1)
        features_BF = drop(jnp.concatenate([most_BD, mean_BD], axis=-1))
        return nn.Dense(self.num_classes)(drop(nn.relu(nn.Dense(self.mlp_dim)(features_BF))))
