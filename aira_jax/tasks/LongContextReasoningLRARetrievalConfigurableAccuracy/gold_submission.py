"""Hybrid Local-Global: softmax inside chunks, gated against linear attention (Retrieval, Configurable).

    q, k, v shared by both;  local = softmax(q k^T / sqrt(P)) v inside chunks of 256 that do not overlap
    global = phi(q) (phi(k)^T v) / (phi(q) . sum phi(k) + 1e-6), phi = elu + 1
    g = sigmoid(W_g x) per position and feature;  x += W_o(g * local + (1 - g) * global);  then a GELU MLP
Cost O(256 L). 2,105,666 parameters with the globals below.
Published: 0.7943 test accuracy, found by greedy Opus 4.6 (arXiv 2605.15871, table 14, with SEQ_LEN, NUM_LAYERS,
EMB_DIM, MLP_DIM, LR and BATCH_SIZE as below). Written from the description there; QKV_DIM is not published.
B batch, L length, D model dim, H heads, P head dim, E value dim of a head, N chunks, C and K positions of a chunk.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

SEQ_LEN = 4000
NUM_LAYERS = 4
NUM_HEADS = 4
EMB_DIM = 192
QKV_DIM = EMB_DIM
MLP_DIM = 512
LR = 3e-4
BATCH_SIZE = 8
CHUNK = 256


def linear_attention(q_BLHP: jax.Array, k_BLHP: jax.Array, v_BLHE: jax.Array, mask_BL1: jax.Array) -> jax.Array:
    """phi(q) (phi(k)^T v) / (phi(q) . sum phi(k) + 1e-6) over the real keys, phi = elu + 1."""
    q_BLHP = nn.elu(q_BLHP) + 1
    k_BLHP = jnp.where(mask_BL1[..., None], nn.elu(k_BLHP) + 1, 0)
    memory_BHPE = jnp.einsum("blhp,blhe->bhpe", k_BLHP, v_BLHE)
    total_BLH = jnp.einsum("blhp,bhp->blh", q_BLHP, k_BLHP.sum(axis=1))
    return jnp.einsum("blhp,bhpe->blhe", q_BLHP, memory_BHPE) / (total_BLH[..., None] + 1e-6)


def chunk_attention(q_BLHP, k_BLHP, v_BLHP, mask_BL1, chunk: int = CHUNK) -> jax.Array:
    """Softmax attention over the real keys of a position's own chunk; the length is padded to whole chunks."""
    batch, length, heads, dim = q_BLHP.shape
    tail = -length % chunk
    padded = (jnp.pad(x, ((0, 0), (0, tail), (0, 0), (0, 0))) for x in (q_BLHP, k_BLHP, v_BLHP))
    q_BNCHP, k_BNKHP, v_BNKHP = (x.reshape(batch, -1, chunk, heads, dim) for x in padded)
    real_BN11K = jnp.pad(mask_BL1[..., 0], ((0, 0), (0, tail))).reshape(batch, -1, 1, 1, chunk)
    scores_BNHCK = jnp.einsum("bnchp,bnkhp->bnhck", q_BNCHP * dim**-0.5, k_BNKHP)
    weights_BNHCK = nn.softmax(jnp.where(real_BN11K, scores_BNHCK, jnp.finfo(scores_BNHCK.dtype).min), axis=-1)
    out_BNCHP = jnp.einsum("bnhck,bnkhp->bnchp", weights_BNHCK, v_BNKHP)
    return out_BNCHP.reshape(batch, -1, heads, dim)[:, :length]


def sinusoids(length: int, dim: int) -> np.ndarray:
    """[L, D]: sin on even features, cos on odd ones, base 10000."""
    angles = np.arange(length)[:, None] * np.exp(np.arange(0, dim, 2) * -(np.log(10000.0) / dim))
    return np.stack([np.sin(angles), np.cos(angles)], axis=-1).reshape(length, -1)[:, :dim].astype(np.float32)


class LocalGlobal(nn.Module):
    """The mixer: x [B, L, D] -> [B, L, D], projections without bias, the gate with one."""

    width: int
    heads: int

    @nn.compact
    def __call__(self, x_BLD: jax.Array, mask_BL1: jax.Array) -> jax.Array:
        if self.width % self.heads:
            raise ValueError(f"qkv_dim = {self.width} is no multiple of num_heads = {self.heads}")
        shape = (*x_BLD.shape[:2], self.heads, self.width // self.heads)
        q, k, v = (nn.Dense(self.width, use_bias=False, name=name)(x_BLD).reshape(shape) for name in "qkv")
        gate = nn.sigmoid(nn.Dense(self.width, name="gate")(x_BLD)).reshape(shape)
        y = gate * chunk_attention(q, k, v, mask_BL1) + (1 - gate) * linear_attention(q, k, v, mask_BL1)
        return nn.Dense(x_BLD.shape[-1], use_bias=False, name="out")(y.reshape(*shape[:2], self.width))


class Encoder(nn.Module):
    """inputs [B, L] int32, 0 = padding -> (states [B, L, D], mask [B, L, 1])."""

    vocab_size: int
    emb_dim: int
    num_heads: int
    num_layers: int
    qkv_dim: int
    mlp_dim: int
    dropout_rate: float

    @nn.compact
    def __call__(self, inputs_BL: jax.Array, *, train: bool) -> tuple[jax.Array, jax.Array]:
        drop = nn.Dropout(self.dropout_rate, deterministic=not train)
        mask_BL1 = (inputs_BL > 0)[..., None]
        x_BLD = nn.Embed(self.vocab_size, self.emb_dim, embedding_init=nn.initializers.normal(1.0))(inputs_BL)
        x_BLD = drop(x_BLD + sinusoids(inputs_BL.shape[1], self.emb_dim))
        for _ in range(self.num_layers):
            x_BLD = x_BLD + drop(LocalGlobal(self.qkv_dim, self.num_heads)(nn.LayerNorm()(x_BLD), mask_BL1))
            hidden_BLM = drop(nn.gelu(nn.Dense(self.mlp_dim)(nn.LayerNorm()(x_BLD))))
            x_BLD = x_BLD + drop(nn.Dense(self.emb_dim)(hidden_BLM))
        return nn.LayerNorm()(x_BLD), mask_BL1


class CustomDualEncoder(nn.Module):
    """inputs1, inputs2 [B, L] int32, 0 = padding -> logits [B, 2]; one encoder reads both, batched together.

    Head over the means of the real tokens: [e1, e2], with interaction "NLI" [e1, e2, e1 * e2, e1 - e2].
    Raises: ValueError when num_heads does not divide qkv_dim, or for another interaction.
    """

    vocab_size: int
    num_classes: int = 2
    emb_dim: int = EMB_DIM
    num_heads: int = NUM_HEADS
    num_layers: int = NUM_LAYERS
    qkv_dim: int = QKV_DIM
    mlp_dim: int = MLP_DIM
    dropout_rate: float = 0.1
    interaction: str | None = "NLI"

    @nn.compact
    def __call__(self, inputs1_BL: jax.Array, inputs2_BL: jax.Array, *, train: bool = False) -> jax.Array:
        if self.interaction not in (None, "NLI"):
            raise ValueError(f"interaction = {self.interaction!r}: choose None or 'NLI'")
        sizes = (self.num_heads, self.num_layers, self.qkv_dim, self.mlp_dim)
        encoder = Encoder(self.vocab_size, self.emb_dim, *sizes, self.dropout_rate, name="encoder")
        x_BLD, mask_BL1 = encoder(jnp.concatenate([inputs1_BL, inputs2_BL]), train=train)
        e1_BD, e2_BD = jnp.split(x_BLD.sum(axis=1, where=mask_BL1) / jnp.maximum(mask_BL1.sum(axis=1), 1), 2)
        pair = [e1_BD, e2_BD] + ([e1_BD * e2_BD, e1_BD - e2_BD] if self.interaction else [])
        hidden_BM = nn.relu(nn.Dense(self.mlp_dim)(jnp.concatenate(pair, axis=-1)))
        return nn.Dense(self.num_classes)(nn.relu(nn.Dense(self.mlp_dim // 2)(hidden_BM)))
