"""A cookbook: one encoder whose parts are chosen by the names below; for Retrieval it reads both documents.

    x += mixer(conv(norm x)) * gate;  x += ffn(norm x);  all L real positions pooled to one vector
    scan      h_t = f_t h_{t-1} + (1 - f_t) v_t in both directions, f = sigmoid(W u + 1)
    linear    phi(q) (phi(k)^T v) / (phi(q) . sum phi(k)), phi = elu + 1
    chunk     softmax attention inside chunks of 128 positions
    features  softmax over pairs of features instead of positions (El-Nouby et al. 2021, arXiv 2106.09681)
    conv      no other mixer than the depthwise convolution
Cost O(L) for all of them. Where a search without a language model starts; not a published design.
B batch, L length, D model dim, Q qkv dim, H heads, P and E features of a head, N chunks, C and K positions of a chunk.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

MIXER = "scan"
CONV_WIDTH = 5
GATE = "silu"
FFN = "swiglu"
NORM = "layer"
POSITIONS = "none"
POOL = "mean"
DROPOUT = 0.0
CHUNK = 128


def scan(q_BLHP, k_BLHP, v_BLHP, mask_BL11):
    """A gated recurrence over v in both directions; k is the gate, q passes through. Padding changes no state."""
    keep = jnp.where(mask_BL11, nn.sigmoid(k_BLHP + 1), 1)
    drive = jnp.where(mask_BL11, (1 - nn.sigmoid(k_BLHP + 1)) * v_BLHP, 0)

    def join(early, late):
        return early[0] * late[0], late[0] * early[1] + late[1]

    states = [jax.lax.associative_scan(join, (keep, drive), axis=1, reverse=back)[1] for back in (False, True)]
    return q_BLHP + sum(states)


def linear(q_BLHP, k_BLHP, v_BLHP, mask_BL11):
    """Linear attention over the real keys."""
    q_BLHP, k_BLHP = nn.elu(q_BLHP) + 1, jnp.where(mask_BL11, nn.elu(k_BLHP) + 1, 0)
    memory_BHPE = jnp.einsum("blhp,blhe->bhpe", k_BLHP, v_BLHP)
    total_BLH = jnp.einsum("blhp,bhp->blh", q_BLHP, k_BLHP.sum(axis=1))
    return jnp.einsum("blhp,bhpe->blhe", q_BLHP, memory_BHPE) / (total_BLH[..., None] + 1e-6)


def chunk(q_BLHP, k_BLHP, v_BLHP, mask_BL11):
    """Softmax attention over the real keys of a position's own chunk; the length is padded to whole chunks."""
    batch, length, heads, dim = q_BLHP.shape
    size = min(CHUNK, length)
    tail = -length % size

    def cut(x):
        return jnp.pad(x, ((0, 0), (0, tail), (0, 0), (0, 0))).reshape(batch, -1, size, *x.shape[2:])

    real_BN11K = cut(mask_BL11)[..., 0, 0][:, :, None, None, :]
    scores = jnp.einsum("bnchp,bnkhp->bnhck", cut(q_BLHP) * dim**-0.5, cut(k_BLHP))
    weights = nn.softmax(jnp.where(real_BN11K, scores, jnp.finfo(scores.dtype).min))
    mixed = jnp.einsum("bnhck,bnkhp->bnchp", weights, cut(v_BLHP))
    return mixed.reshape(batch, length + tail, heads, dim)[:, :length]


def features(q_BLHP, k_BLHP, v_BLHP, mask_BL11):
    """Softmax over the cosine of feature pairs, taken over the real positions."""

    def unit(x_BLHP):
        x_BLHP = jnp.where(mask_BL11, x_BLHP, 0)
        return x_BLHP * jax.lax.rsqrt(jnp.sum(jnp.square(x_BLHP), axis=1, keepdims=True) + 1e-6)

    weights_BHPE = nn.softmax(jnp.einsum("blhp,blhe->bhpe", unit(q_BLHP), unit(k_BLHP)))
    return jnp.einsum("bhpe,blhe->blhp", weights_BHPE, v_BLHP)


MIXERS = {"scan": scan, "linear": linear, "chunk": chunk, "features": features}
NORMS = {"layer": nn.LayerNorm, "rms": nn.RMSNorm}


class DepthwiseConv(nn.Module):
    """Convolution of each feature over CONV_WIDTH (odd) positions, centred; padding counts as zeros."""

    @nn.compact
    def __call__(self, x_BLD: jax.Array, mask_BL1: jax.Array) -> jax.Array:
        length, dim = x_BLD.shape[1:]
        kernel_WD = self.param("kernel", nn.initializers.lecun_normal(), (CONV_WIDTH, dim))
        half = CONV_WIDTH // 2
        x_BLD = jnp.pad(jnp.where(mask_BL1, x_BLD, 0), ((0, 0), (half, half), (0, 0)))
        return nn.silu(sum(kernel_WD[i] * x_BLD[:, i : i + length] for i in range(CONV_WIDTH)))


class Block(nn.Module):
    """x [B, L, D] -> [B, L, D]."""

    qkv_dim: int
    heads: int
    mlp_dim: int

    @nn.compact
    def __call__(self, x_BLD: jax.Array, mask_BL1: jax.Array, drop) -> jax.Array:
        x_BLD = x_BLD + drop(self._mix(NORMS[NORM]()(x_BLD), mask_BL1))
        return x_BLD + drop(self._ffn(NORMS[NORM]()(x_BLD)))

    def _mix(self, x_BLD: jax.Array, mask_BL1: jax.Array) -> jax.Array:
        if self.qkv_dim % self.heads:
            raise ValueError(f"qkv_dim = {self.qkv_dim} is no multiple of num_heads = {self.heads}")
        mixed = DepthwiseConv(name="conv")(x_BLD, mask_BL1) if CONV_WIDTH else x_BLD
        if MIXER in MIXERS:
            shape = (*mixed.shape[:2], self.heads, self.qkv_dim // self.heads)
            q, k, v = (nn.Dense(self.qkv_dim, name=name)(mixed).reshape(shape) for name in "qkv")
            mixed = MIXERS[MIXER](q, k, v, mask_BL1[..., None]).reshape(*shape[:2], self.qkv_dim)
        if GATE == "silu":
            mixed = mixed * nn.silu(nn.Dense(mixed.shape[-1], name="gate")(x_BLD))
        return nn.Dense(x_BLD.shape[-1], name="out")(mixed)

    def _ffn(self, x_BLD: jax.Array) -> jax.Array:
        act = nn.silu if FFN == "swiglu" else nn.gelu
        hidden = act(nn.Dense(self.mlp_dim, name="up")(x_BLD))
        if FFN != "gelu":
            hidden = hidden * nn.Dense(self.mlp_dim, name="value")(x_BLD)
        return nn.Dense(x_BLD.shape[-1], name="down")(hidden)


def waves(length: int, dim: int) -> np.ndarray:
    """Fixed sinusoidal positions [L, D]: sine on even, cosine on odd features, base 10000."""
    angles = np.arange(length)[:, None] / 10_000 ** (np.arange(dim) // 2 * 2 / dim)
    return np.where(np.arange(dim) % 2, np.cos(angles), np.sin(angles)).astype(np.float32)


class Stack(nn.Module):
    """inputs [B, L] int32, 0 = padding -> one vector per row, [B, D]."""

    vocab_size: int
    emb_dim: int
    heads: int
    layers: int
    qkv_dim: int
    mlp_dim: int
    max_len: int

    @nn.compact
    def __call__(self, inputs_BL: jax.Array, *, train: bool) -> jax.Array:
        drop = nn.Dropout(DROPOUT, deterministic=not train)
        mask_BL1, length = (inputs_BL > 0)[..., None], inputs_BL.shape[1]
        x_BLD = nn.Embed(self.vocab_size, self.emb_dim, embedding_init=nn.initializers.normal(1.0))(inputs_BL)
        if POSITIONS == "learned":
            table_LD = self.param("positions", nn.initializers.normal(0.02), (self.max_len, self.emb_dim))
            x_BLD = x_BLD + table_LD[:length]
        elif POSITIONS == "sinusoidal":
            x_BLD = x_BLD + waves(length, self.emb_dim)
        x_BLD = drop(x_BLD)
        for _ in range(self.layers):
            x_BLD = Block(self.qkv_dim, self.heads, self.mlp_dim)(x_BLD, mask_BL1, drop)
        x_BLD = NORMS[NORM]()(x_BLD)
        if POOL == "max":
            return jnp.max(x_BLD, axis=1, where=mask_BL1, initial=-1e9)
        if POOL == "attention":
            scores_BL1 = jnp.where(mask_BL1, nn.Dense(1, name="pool")(x_BLD), jnp.finfo(x_BLD.dtype).min)
            return jnp.sum(nn.softmax(scores_BL1, axis=1) * x_BLD, axis=1)
        return x_BLD.sum(axis=1, where=mask_BL1) / jnp.maximum(mask_BL1.sum(axis=1), 1)


class CustomEncoder(nn.Module):
    """inputs [B, L] int32, 0 = padding -> logits [B, C]. Raises: ValueError when num_heads does not divide qkv_dim."""

    vocab_size: int
    num_classes: int
    emb_dim: int = 128
    num_heads: int = 4
    num_layers: int = 2
    qkv_dim: int = 128
    mlp_dim: int = 256
    max_len: int = 2000

    @nn.compact
    def __call__(self, inputs_BL: jax.Array, *, train: bool = False) -> jax.Array:
        sizes = (self.emb_dim, self.num_heads, self.num_layers, self.qkv_dim, self.mlp_dim, self.max_len)
        pooled_BD = Stack(self.vocab_size, *sizes, name="stack")(inputs_BL, train=train)
        return nn.Dense(self.num_classes)(nn.relu(nn.Dense(self.mlp_dim)(pooled_BD)))


class CustomDualEncoder(CustomEncoder):
    """inputs1, inputs2 [B, L] int32, 0 = padding -> logits [B, 2]; one stack reads both, batched together."""

    @nn.compact
    def __call__(self, inputs1_BL: jax.Array, inputs2_BL: jax.Array, *, train: bool = False) -> jax.Array:
        sizes = (self.emb_dim, self.num_heads, self.num_layers, self.qkv_dim, self.mlp_dim, self.max_len)
        stack = Stack(self.vocab_size, *sizes, name="stack")
        a_BD, b_BD = jnp.split(stack(jnp.concatenate([inputs1_BL, inputs2_BL]), train=train), 2)
        pair_BF = jnp.concatenate([a_BD, b_BD, a_BD * b_BD, a_BD - b_BD], axis=-1)
        return nn.Dense(self.num_classes)(nn.relu(nn.Dense(self.mlp_dim)(pair_BF)))
