"""Mega, moving average and gated attention: ListOps and Text (CustomEncoder), Retrieval (CustomDualEncoder).

    EMA of each feature with n states, both directions: kernel_l = (1 / sqrt n) sum_j p_j beta_j gamma_j q_j^l,
    p = sigmoid(delta), q = 1 - p sigmoid(alpha);  x' = silu(kernel * x + omega x)
    Z = silu(W_z x');  Q = kappa_q Z + mu_q;  K = kappa_k Z + mu_k;  V = silu(W_v x)
    O = softmax(Q K^T / sqrt z + relative bias) V;  g = silu(W_g x');  phi = sigmoid(W_phi x')
    x = norm(phi silu(W_h x' + U_h(g O)) + (1 - phi) x);  x = norm(x + W_2 silu(W_1 x))
Cost O(L^2); with `chunk` (128 in Mega-chunk) attention stays inside chunks and only the moving average crosses them:
O(L log L). Published accuracy: ListOps 63.14, Text 90.43, Retrieval 91.25 percent, chunked 58.76, 90.19, 90.97
(Ma et al. 2022, arXiv 2209.10655, table 2), with its own recipe.
B batch, L length, D model dim, N states of a feature, V value dim, Z key dim, S span of attention, C chunks.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

normal = nn.initializers.normal


def convolve(x_BLD: jax.Array, ahead_DL: jax.Array, back_DL: jax.Array) -> jax.Array:
    """y_t = sum_{s <= t} ahead_{t-s} x_s + sum_{s >= t} back_{s-t} x_s by Fourier transforms of length 2L."""
    length = x_BLD.shape[1]
    here_D1 = ahead_DL[:, :1] + back_DL[:, :1]
    ends = (here_D1, ahead_DL[:, 1:], jnp.zeros_like(here_D1), jnp.flip(back_DL[:, 1:], axis=1))
    circle = jnp.concatenate(ends, axis=1)
    x_BDL = jnp.fft.rfft(x_BLD.swapaxes(1, 2), n=2 * length)
    y_BDL = jnp.fft.irfft(x_BDL * jnp.fft.rfft(circle), n=2 * length)[..., :length]
    return y_BDL.swapaxes(1, 2)


class MovingAverage(nn.Module):
    """silu(kernel * x + omega x) over the real tokens: x [B, L, D] -> [B, L, D]."""

    states: int

    @nn.compact
    def __call__(self, x_BLD: jax.Array, mask_BL: jax.Array) -> jax.Array:
        length, dim = x_BLD.shape[1:]
        shape = (2, dim, self.states)
        delta, alpha = self.param("delta", normal(0.2), shape), self.param("alpha", normal(0.2), shape)
        beta, gamma = self.param("beta", self._alternating, shape), self.param("gamma", normal(1.0), shape)
        omega_D = self.param("omega", normal(1.0), (dim,))
        p = nn.sigmoid(delta)
        powers = jnp.exp(jnp.log1p(-p * nn.sigmoid(alpha))[..., None] * np.arange(length, dtype=np.float32))
        ahead_DL, back_DL = jnp.einsum("rdn,rdnl->rdl", p * beta * gamma * self.states**-0.5, powers)
        x_BLD = jnp.where(mask_BL[..., None], x_BLD, 0)
        return nn.silu(convolve(x_BLD, ahead_DL, back_DL) + omega_D * x_BLD)

    @staticmethod
    def _alternating(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
        return normal(0.02)(key, shape) + np.where(np.arange(shape[-1]) % 2, -1.0, 1.0)


def attend(q_BLZ, k_BLZ, v_BLV, mask_BL, bias_SS, drop) -> jax.Array:
    """Softmax over the real keys inside spans of S positions, S from the bias; the length is padded to whole spans."""
    batch, length = mask_BL.shape
    span = len(bias_SS)
    tail = -length % span
    padded = (jnp.pad(x, ((0, 0), (0, tail), (0, 0))) for x in (q_BLZ, k_BLZ, v_BLV))
    q_BCSZ, k_BCSZ, v_BCSV = (x.reshape(batch, -1, span, x.shape[-1]) for x in padded)
    real_BC1S = jnp.pad(mask_BL, ((0, 0), (0, tail))).reshape(batch, -1, 1, span)
    scores = jnp.einsum("bcqz,bckz->bcqk", q_BCSZ * q_BLZ.shape[-1] ** -0.5, k_BCSZ) + bias_SS
    weights = nn.softmax(jnp.where(real_BC1S, scores, jnp.finfo(scores.dtype).min), axis=-1)
    return jnp.einsum("bcqk,bckv->bcqv", drop(weights), v_BCSV).reshape(batch, length + tail, -1)[:, :length]


class RelativeBias(nn.Module):
    """[S, S] with one learned number for each of the 2 * max_len - 1 distances between positions."""

    max_len: int

    @nn.compact
    def __call__(self, span: int) -> jax.Array:
        if span > self.max_len:
            raise ValueError(f"Mega: length {span} exceeds max_len {self.max_len}; raise max_len")
        bias = self.param("bias", normal(0.02), (2 * self.max_len - 1,))
        places = np.arange(span)
        return bias[places - places[:, None] + self.max_len - 1]


class ScaleNorm(nn.Module):
    """x divided by its root mean square, times one learned scale."""

    @nn.compact
    def __call__(self, x_BLD: jax.Array) -> jax.Array:
        scale = self.param("scale", nn.initializers.ones, ())
        return scale * x_BLD * jax.lax.rsqrt(jnp.mean(jnp.square(x_BLD), axis=-1, keepdims=True) + 1e-5)


class Block(nn.Module):
    """Moving average, gated attention and MLP, each update normalised after it is added."""

    mlp_dim: int
    value_dim: int
    key_dim: int
    states: int
    max_len: int
    chunk: int
    scale_norm: bool
    dropout_rate: float

    @nn.compact
    def __call__(self, x_BLD: jax.Array, mask_BL: jax.Array, *, train: bool) -> jax.Array:
        drop = nn.Dropout(self.dropout_rate, deterministic=not train)
        norm = ScaleNorm if self.scale_norm else nn.LayerNorm
        x_BLD = norm(name="mega_norm")(self._gated_attention(x_BLD, mask_BL, drop))
        hidden_BLM = drop(nn.silu(nn.Dense(self.mlp_dim, name="up")(x_BLD)))
        return norm(name="mlp_norm")(x_BLD + drop(nn.Dense(x_BLD.shape[-1], name="down")(hidden_BLM)))

    def _gated_attention(self, x_BLD, mask_BL, drop) -> jax.Array:
        dim = x_BLD.shape[-1]
        sizes = (self.key_dim, self.value_dim, dim, dim)
        average_BLD = drop(MovingAverage(self.states, name="average")(x_BLD, mask_BL))
        z_BLZ, g_BLV, phi_BLD, h_BLD = jnp.split(
            nn.Dense(sum(sizes), name="average_in")(average_BLD), np.cumsum(sizes)[:-1], axis=-1
        )
        kappa_2Z = self.param("kappa", normal(0.02), (2, self.key_dim))
        mu_2Z = self.param("mu", nn.initializers.zeros, (2, self.key_dim))
        q_BLZ, k_BLZ = (kappa_2Z[i] * nn.silu(z_BLZ) + mu_2Z[i] for i in range(2))
        v_BLV = drop(nn.silu(nn.Dense(self.value_dim, name="value")(x_BLD)))
        span = min(self.chunk or x_BLD.shape[1], x_BLD.shape[1])
        bias_SS = RelativeBias(self.chunk or self.max_len, name="relative")(span)
        o_BLV = attend(q_BLZ, k_BLZ, v_BLV, mask_BL, bias_SS, drop)
        out_BLD = nn.Dense(dim, use_bias=False, name="attended")(nn.silu(g_BLV) * o_BLV)
        phi_BLD = nn.sigmoid(phi_BLD)
        return phi_BLD * drop(nn.silu(h_BLD + out_BLD)) + (1 - phi_BLD) * x_BLD


class Stack(nn.Module):
    """inputs [B, L] int32, 0 = padding -> the mean state of the real tokens, [B, D]; values are 2D wide."""

    vocab_size: int
    dim: int
    layers: int
    mlp_dim: int
    max_len: int
    chunk: int
    scale_norm: bool
    dropout_rate: float
    key_dim: int
    states: int

    @nn.compact
    def __call__(self, inputs_BL: jax.Array, *, train: bool) -> jax.Array:
        mask_BL = inputs_BL > 0
        x_BLD = nn.Embed(self.vocab_size, self.dim, embedding_init=normal(self.dim**-0.5))(inputs_BL)
        x_BLD = nn.Dropout(self.dropout_rate, deterministic=not train)(x_BLD)
        sizes = (self.mlp_dim, 2 * self.dim, self.key_dim, self.states, self.max_len, self.chunk)
        for layer in range(self.layers):
            block = Block(*sizes, self.scale_norm, self.dropout_rate, name=f"block_{layer}")
            x_BLD = block(x_BLD, mask_BL, train=train)
        return x_BLD.sum(axis=1, where=mask_BL[..., None]) / jnp.maximum(mask_BL.sum(axis=1, keepdims=True), 1)


class CustomEncoder(nn.Module):
    """inputs [B, L] int32, 0 = padding -> logits [B, C]. ScaleNorm with two classes (Text), else LayerNorm (ListOps).

    The defaults are the published ListOps sizes; Text is emb_dim 128, num_layers 4, mlp_dim 256.
    `chunk` 0 attends over the whole sequence. Raises: ValueError for inputs longer than max_len without chunks.
    """

    vocab_size: int
    num_classes: int = 10
    emb_dim: int = 80
    num_layers: int = 6
    mlp_dim: int = 160
    max_len: int = 2000
    dropout_rate: float = 0.1
    chunk: int = 0
    key_dim: int = 64
    states: int = 16

    @nn.compact
    def __call__(self, inputs_BL: jax.Array, *, train: bool = False) -> jax.Array:
        sizes = (self.emb_dim, self.num_layers, self.mlp_dim, self.max_len, self.chunk)
        kind = (self.num_classes == 2, self.dropout_rate, self.key_dim, self.states)
        mean_BD = Stack(self.vocab_size, *sizes, *kind, name="stack")(inputs_BL, train=train)
        hidden_BM = nn.gelu(nn.Dense(self.mlp_dim, name="head")(mean_BD))
        return nn.Dense(self.num_classes, name="logits")(hidden_BM)


class CustomDualEncoder(nn.Module):
    """inputs1, inputs2 [B, L] int32, 0 = padding -> logits [B, 2]; one stack reads both, batched together."""

    vocab_size: int
    num_classes: int = 2
    emb_dim: int = 128
    num_layers: int = 6
    mlp_dim: int = 256
    max_len: int = 4000
    dropout_rate: float = 0.1
    chunk: int = 0
    key_dim: int = 64
    states: int = 16

    @nn.compact
    def __call__(self, inputs1_BL: jax.Array, inputs2_BL: jax.Array, *, train: bool = False) -> jax.Array:
        sizes = (self.emb_dim, self.num_layers, self.mlp_dim, self.max_len, self.chunk)
        stack = Stack(self.vocab_size, *sizes, True, self.dropout_rate, self.key_dim, self.states, name="stack")
        e1_BD, e2_BD = jnp.split(stack(jnp.concatenate([inputs1_BL, inputs2_BL]), train=train), 2)
        hidden_BM = nn.gelu(nn.Dense(self.mlp_dim, name="head")(jnp.concatenate([e1_BD, e2_BD], axis=-1)))
        return nn.Dense(self.num_classes, name="logits")(hidden_BM)
