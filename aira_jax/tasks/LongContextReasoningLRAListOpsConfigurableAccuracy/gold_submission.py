"""DWConv + BiLinAttn: gated local convolution, linear attention, gated MLP (ListOps, Configurable).

    x += W(DW31(LN x) * sigmoid(W LN x))
    x += W_o attention(LN x),  attention = phi(q) (phi(k)^T v) / (phi(q) . sum phi(k)),  phi = elu + 1
    x += W3(silu(W1 LN x) * W2 LN x)
Cost O(L). 3,171,658 parameters with the globals below and SEQ_LEN 2000.
Published: 0.5050 test accuracy, found by greedy Opus 4.6 (arXiv 2605.15871, table 14, with NUM_LAYERS, EMB_DIM,
MLP_DIM, LR and BATCH_SIZE as below). Written from the description there; QKV_DIM is not published.
B batch, L length, D model dim, H heads, P head dim, E value dim of a head.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

NUM_LAYERS = 6
NUM_HEADS = 8
EMB_DIM = 192
QKV_DIM = EMB_DIM
MLP_DIM = 384
LR = 1e-3
BATCH_SIZE = 64


def linear_attention(q_BLHP: jax.Array, k_BLHP: jax.Array, v_BLHE: jax.Array, mask_BL1: jax.Array) -> jax.Array:
    """phi(q) (phi(k)^T v) / (phi(q) . sum phi(k) + 1e-6) over the real keys, phi = elu + 1."""
    q_BLHP = nn.elu(q_BLHP) + 1
    k_BLHP = jnp.where(mask_BL1[..., None], nn.elu(k_BLHP) + 1, 0)
    memory_BHPE = jnp.einsum("blhp,blhe->bhpe", k_BLHP, v_BLHE)
    total_BLH = jnp.einsum("blhp,bhp->blh", q_BLHP, k_BLHP.sum(axis=1))
    return jnp.einsum("blhp,bhpe->blhe", q_BLHP, memory_BHPE) / (total_BLH[..., None] + 1e-6)


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


class LinearAttention(nn.Module):
    """The global mixer: x [B, L, D] -> [B, L, D], projections without bias."""

    width: int
    heads: int

    @nn.compact
    def __call__(self, x_BLD: jax.Array, mask_BL1: jax.Array) -> jax.Array:
        if self.width % self.heads:
            raise ValueError(f"qkv_dim = {self.width} is no multiple of num_heads = {self.heads}")
        shape = (*x_BLD.shape[:2], self.heads, self.width // self.heads)
        q, k, v = (nn.Dense(self.width, use_bias=False, name=name)(x_BLD).reshape(shape) for name in "qkv")
        y_BLQ = linear_attention(q, k, v, mask_BL1).reshape(*shape[:2], self.width)
        return nn.Dense(x_BLD.shape[-1], use_bias=False, name="out")(y_BLQ)


class GatedConv(nn.Module):
    """The local mixer: W(DW(x) * sigmoid(W x))."""

    width: int

    @nn.compact
    def __call__(self, x_BLD: jax.Array, mask_BL1: jax.Array) -> jax.Array:
        gate_BLD = nn.sigmoid(nn.Dense(x_BLD.shape[-1], name="gate")(x_BLD))
        return nn.Dense(x_BLD.shape[-1], name="out")(DepthwiseConv(self.width)(x_BLD, mask_BL1) * gate_BLD)


class CustomEncoder(nn.Module):
    """inputs [B, L] int32, 0 = padding -> logits [B, C]. Raises: ValueError when num_heads does not divide qkv_dim."""

    vocab_size: int
    num_classes: int = 10
    emb_dim: int = EMB_DIM
    num_heads: int = NUM_HEADS
    num_layers: int = NUM_LAYERS
    qkv_dim: int = QKV_DIM
    mlp_dim: int = MLP_DIM
    max_len: int = 2000
    dropout_rate: float = 0.1
    conv_width: int = 31

    @nn.compact
    def __call__(self, inputs_BL: jax.Array, *, train: bool = False) -> jax.Array:
        drop = nn.Dropout(self.dropout_rate, deterministic=not train)
        mask_BL1 = (inputs_BL > 0)[..., None]
        x_BLD = nn.Embed(self.vocab_size, self.emb_dim, embedding_init=nn.initializers.normal(1.0))(inputs_BL)
        table_LD = self.param("positions", nn.initializers.normal(0.02), (self.max_len, self.emb_dim))
        x_BLD = drop(x_BLD + table_LD[: inputs_BL.shape[1]])
        for _ in range(self.num_layers):
            x_BLD = x_BLD + drop(GatedConv(self.conv_width)(nn.LayerNorm()(x_BLD), mask_BL1))
            x_BLD = x_BLD + drop(LinearAttention(self.qkv_dim, self.num_heads)(nn.LayerNorm()(x_BLD), mask_BL1))
            gate_BLM, value_BLM = jnp.split(nn.Dense(2 * self.mlp_dim)(nn.LayerNorm()(x_BLD)), 2, axis=-1)
            x_BLD = x_BLD + drop(nn.Dense(self.emb_dim)(drop(nn.silu(gate_BLM) * value_BLM)))
        x_BLD = nn.LayerNorm()(x_BLD)
        mean_BD = x_BLD.sum(axis=1, where=mask_BL1) / jnp.maximum(mask_BL1.sum(axis=1), 1)
        return nn.Dense(self.num_classes)(nn.relu(nn.Dense(self.mlp_dim)(mean_BD)))
