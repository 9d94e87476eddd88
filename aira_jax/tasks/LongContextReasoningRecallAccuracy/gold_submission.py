"""Bi-SSM: a gated recurrence with forget and input gates in each direction (Text, Configurable).

    per direction: u = silu(DW3(x));  f = sigmoid(W u + b), b = 1 at the start;  i = sigmoid(W u);  v = W u
    h_t = f_t h_{t-1} + i_t (1 - f_t) v_t, f = 1 and no input at padding
    y = W(concat(h_forward, h_backward) * silu(W x))
Cost O(L). 996,482 parameters with the globals below.
Published: 0.8792 test accuracy, found by greedy Gemini 3 Pro (arXiv 2605.15871, table 14, with the globals below).
Written from the description there; the exact recurrence is not published, (1 - f) bounds the state by its inputs.
B batch, L length, D model dim.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

NUM_LAYERS = 4
EMB_DIM = 128
QKV_DIM = EMB_DIM
MLP_DIM = 256
LR = 5e-4
BATCH_SIZE = 16


def scan(a_BLD: jax.Array, u_BLD: jax.Array, *, reverse: bool = False) -> jax.Array:
    """h_t = a_t h_{t-1} + u_t from zero along axis 1; `reverse` runs from the last position to the first."""

    def join(early, late):
        return early[0] * late[0], late[0] * early[1] + late[1]

    return jax.lax.associative_scan(join, (a_BLD, u_BLD), axis=1, reverse=reverse)[1]


class DepthwiseConv(nn.Module):
    """Convolution of each feature over `width` (odd) positions, centred; padding counts as zeros."""

    width: int

    @nn.compact
    def __call__(self, x_BLD: jax.Array, mask_BL1: jax.Array) -> jax.Array:
        length, dim = x_BLD.shape[1:]
        kernel_WD = self.param("kernel", nn.initializers.lecun_normal(), (self.width, dim))
        bias_D = self.param("bias", nn.initializers.zeros, (dim,))
        half = self.width // 2
        x_BLD = jnp.pad(jnp.where(mask_BL1, x_BLD, 0), ((0, 0), (half, half), (0, 0)))
        return bias_D + sum(kernel_WD[i] * x_BLD[:, i : i + length] for i in range(self.width))


class Direction(nn.Module):
    """The states of one direction: x [B, L, D] -> h [B, L, D]."""

    reverse: bool

    @nn.compact
    def __call__(self, x_BLD: jax.Array, mask_BL1: jax.Array) -> jax.Array:
        dim = x_BLD.shape[-1]
        u_BLD = nn.silu(DepthwiseConv(3)(x_BLD, mask_BL1))
        forget_BLD = nn.sigmoid(nn.Dense(dim, bias_init=nn.initializers.ones, name="forget")(u_BLD))
        enter_BLD = nn.sigmoid(nn.Dense(dim, name="enter")(u_BLD))
        drive_BLD = enter_BLD * (1 - forget_BLD) * nn.Dense(dim, name="value")(u_BLD)
        return scan(jnp.where(mask_BL1, forget_BLD, 1), jnp.where(mask_BL1, drive_BLD, 0), reverse=self.reverse)


class BiSsm(nn.Module):
    """The mixer: x [B, L, D] -> [B, L, D]."""

    @nn.compact
    def __call__(self, x_BLD: jax.Array, mask_BL1: jax.Array) -> jax.Array:
        both = [Direction(reverse, name=f"reverse_{reverse}")(x_BLD, mask_BL1) for reverse in (False, True)]
        gate = nn.silu(nn.Dense(2 * x_BLD.shape[-1], name="gate")(x_BLD))
        return nn.Dense(x_BLD.shape[-1], name="out")(jnp.concatenate(both, axis=-1) * gate)


class CustomEncoder(nn.Module):
    """inputs [B, L] int32, 0 = padding -> logits [B, C]."""

    vocab_size: int
    num_classes: int = 2
    emb_dim: int = EMB_DIM
    num_layers: int = NUM_LAYERS
    mlp_dim: int = MLP_DIM
    dropout_rate: float = 0.1

    @nn.compact
    def __call__(self, inputs_BL: jax.Array, *, train: bool = False) -> jax.Array:
        drop = nn.Dropout(self.dropout_rate, deterministic=not train)
        mask_BL1 = (inputs_BL > 0)[..., None]
        x_BLD = drop(nn.Embed(self.vocab_size, self.emb_dim, embedding_init=nn.initializers.normal(1.0))(inputs_BL))
        for _ in range(self.num_layers):
            x_BLD = x_BLD + drop(BiSsm()(nn.LayerNorm()(x_BLD), mask_BL1))
            hidden_BLM = drop(nn.gelu(nn.Dense(self.mlp_dim)(nn.LayerNorm()(x_BLD))))
            x_BLD = x_BLD + drop(nn.Dense(self.emb_dim)(hidden_BLM))
        x_BLD = nn.LayerNorm()(x_BLD)
        mean_BD = x_BLD.sum(axis=1, where=mask_BL1) / jnp.maximum(mask_BL1.sum(axis=1), 1)
        return nn.Dense(self.num_classes)(nn.relu(nn.Dense(self.mlp_dim)(mean_BD)))
