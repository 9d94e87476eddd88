"""Parts that the encoders share: padding masks, positions, pools, the MLP and the classification head.

B batch, L length, D model dim, M hidden dim, C classes, F features.
"""

import enum

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np


class Pool(enum.StrEnum):
    """How one vector stands for a sequence. MEAN and SUM see real tokens only; CLS is the first position."""

    CLS = "CLS"
    MEAN = "MEAN"
    SUM = "SUM"
    FLATTEN = "FLATTEN"


def pool_named(name: str) -> Pool:
    """The pool that `name` means; ValueError with the list otherwise."""
    try:
        return Pool(name)
    except ValueError as error:
        raise ValueError(f"classifier_pool = {name!r}: choose one of {', '.join(Pool)}") from error


def mean_pool(x_BLD: jax.Array, mask_BL: jax.Array) -> jax.Array:
    """The mean of the real positions, [B, D]; zero for a row without any."""
    count_B1 = jnp.maximum(jnp.sum(mask_BL, axis=1, keepdims=True), 1)
    return jnp.sum(x_BLD, axis=1, where=mask_BL[..., None]) / count_B1


def pooled(x_BLD: jax.Array, mask_BL: jax.Array, pool: Pool) -> jax.Array:
    """[B, D], or [B, L*D] for FLATTEN, where padding becomes zeros."""
    match pool:
        case Pool.CLS:
            return x_BLD[:, 0]
        case Pool.MEAN:
            return mean_pool(x_BLD, mask_BL)
        case Pool.SUM:
            return jnp.sum(x_BLD, axis=1, where=mask_BL[..., None])
        case Pool.FLATTEN:
            return jnp.where(mask_BL[..., None], x_BLD, 0).reshape(x_BLD.shape[0], -1)


def sinusoids(length: int, dim: int) -> np.ndarray:
    """[L, D] float32: sin on even and cos on odd features, wave lengths 2 pi to 10000 * 2 pi (Vaswani et al. 2017)."""
    angles = np.arange(length)[:, None] * np.exp(np.arange(0, dim, 2) * -(np.log(10000.0) / dim))
    table_LD = np.empty((length, dim), np.float32)
    table_LD[:, 0::2] = np.sin(angles)
    table_LD[:, 1::2] = np.cos(angles)[:, : dim // 2]
    return table_LD


class Positions(nn.Module):
    """x [B, L, D] plus fixed sinusoids, or plus a learned table of `max_len` rows, initialised N(0, 0.02)."""

    max_len: int
    learned: bool = False

    @nn.compact
    def __call__(self, x_BLD: jax.Array) -> jax.Array:
        length, dim = x_BLD.shape[1:]
        if not self.learned:
            return x_BLD + sinusoids(length, dim)
        if length > self.max_len:
            raise ValueError(f"learned positions: length {length} exceeds max_len {self.max_len}; raise max_len")
        table_LD = self.param("table", nn.initializers.normal(0.02), (self.max_len, dim))
        return x_BLD + table_LD[:length]


class Mlp(nn.Module):
    """Dense(hidden), GELU, dropout, Dense(D), dropout."""

    hidden: int
    dropout_rate: float

    @nn.compact
    def __call__(self, x_BLD: jax.Array, *, train: bool) -> jax.Array:
        drop = nn.Dropout(self.dropout_rate, deterministic=not train)
        hidden_BLM = drop(nn.gelu(nn.Dense(self.hidden, name="up")(x_BLD)))
        return drop(nn.Dense(x_BLD.shape[-1], name="down")(hidden_BLM))


class Head(nn.Module):
    """features [B, F] -> logits [B, C]: a ReLU layer per entry of `widths`, then the classes."""

    widths: tuple[int, ...]
    classes: int

    @nn.compact
    def __call__(self, x_BF: jax.Array) -> jax.Array:
        for width in self.widths:
            x_BF = nn.relu(nn.Dense(width)(x_BF))
        return nn.Dense(self.classes, name="logits")(x_BF)
