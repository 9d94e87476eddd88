"""Ways to attend over a padded sequence: softmax, softmax in blocks, linear, and random features.

Each is a function (queries, keys, values, mask, drop) -> [B, L, H, P] over [B, L, H, P] arrays and a [B, L] mask that
is true at real tokens; `drop` is the dropout of attention weights, used where weights exist.
B batch, L length, H heads, P head dim, K keys, R random features, N blocks, S block size.
"""

import enum
import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

BLOCK = 50
EPS = 1e-6


class Attention(enum.StrEnum):
    """The kinds of attention that `attend` knows."""

    SOFTMAX = "softmax"
    LOCAL = "local"
    LINEAR = "linear"
    PERFORMER = "performer"


def attend(kind: Attention, *operands) -> jax.Array:
    """Attention of the given kind over (queries, keys, values, mask, drop)."""
    kinds = {
        Attention.SOFTMAX: softmax,
        Attention.LOCAL: local,
        Attention.LINEAR: linear,
        Attention.PERFORMER: performer,
    }
    return kinds[kind](*operands)


def softmax(q_BLHP, k_BKHP, v_BKHP, mask_BK, drop: Callable[[jax.Array], jax.Array]) -> jax.Array:
    """softmax(q k^T / sqrt(P)) v over the real keys; O(L^2) time and memory."""
    scores_BHLK = jnp.einsum("blhp,bkhp->bhlk", q_BLHP * q_BLHP.shape[-1] ** -0.5, k_BKHP)
    hidden = jnp.finfo(scores_BHLK.dtype).min
    weights_BHLK = jax.nn.softmax(jnp.where(mask_BK[:, None, None, :], scores_BHLK, hidden), axis=-1)
    return jnp.einsum("bhlk,bkhp->blhp", drop(weights_BHLK), v_BKHP)


def local(q_BLHP, k_BLHP, v_BLHP, mask_BL, drop, block: int = BLOCK) -> jax.Array:
    """Softmax attention inside blocks of 50 that do not overlap (the size of Long Range Arena); O(L * 50)."""
    batch, length = mask_BL.shape
    tail = -length % block

    def blocks(x_BL):
        padded_BL = jnp.pad(x_BL, [(0, 0), (0, tail)] + [(0, 0)] * (x_BL.ndim - 2))
        return padded_BL.reshape(-1, block, *x_BL.shape[2:])

    out_NSHP = softmax(blocks(q_BLHP), blocks(k_BLHP), blocks(v_BLHP), blocks(mask_BL), drop)
    return out_NSHP.reshape(batch, length + tail, *q_BLHP.shape[2:])[:, :length]


def linear(q_BLHP, k_BLHP, v_BLHP, mask_BL, drop) -> jax.Array:
    """phi(q) (phi(k)^T v) / (phi(q) . sum phi(k) + 1e-6) with phi = elu + 1; O(L). Katharopoulos et al. 2020."""
    del drop
    return _contract(jax.nn.elu(q_BLHP) + 1, jax.nn.elu(k_BLHP) + 1, v_BLHP, mask_BL)


def performer(q_BLHP, k_BLHP, v_BLHP, mask_BL, drop) -> jax.Array:
    """Softmax attention estimated with 2P positive orthogonal random features; O(L). Choromanski et al. 2020.

    The features are a constant of the head dim, so that a trained model needs no state beside its parameters.
    """
    del drop
    log_q_BLHR, log_k_BLHR = _log_features(q_BLHP), _log_features(k_BLHP)
    real_BL11 = mask_BL[:, :, None, None]
    top_q = jax.lax.stop_gradient(log_q_BLHR.max(axis=-1, keepdims=True))
    lowest = jnp.finfo(log_k_BLHR.dtype).min
    top_k = jax.lax.stop_gradient(jnp.where(real_BL11, log_k_BLHR, lowest).max(axis=(1, 3), keepdims=True))
    phi_k_BLHR = jnp.exp(jnp.where(real_BL11, log_k_BLHR - top_k, 0))
    return _contract(jnp.exp(log_q_BLHR - top_q), phi_k_BLHR, v_BLHP, mask_BL)


def _contract(q_BLHR, k_BLHR, v_BLHP, mask_BL) -> jax.Array:
    k_BLHR = jnp.where(mask_BL[:, :, None, None], k_BLHR, 0)
    memory_BHRP = jnp.einsum("blhr,blhp->bhrp", k_BLHR, v_BLHP)
    total_BLH1 = jnp.einsum("blhr,bhr->blh", q_BLHR, k_BLHR.sum(axis=1))[..., None]
    return jnp.einsum("blhr,bhrp->blhp", q_BLHR, memory_BHRP) / (total_BLH1 + EPS)


def _log_features(x_BLHP: jax.Array) -> jax.Array:
    """Logarithms of exp(w . x - |x|^2 / 2), whose products estimate exp(q . k / sqrt(P))."""
    dim = x_BLHP.shape[-1]
    x_BLHP = x_BLHP * dim**-0.25
    return jnp.einsum("blhp,rp->blhr", x_BLHP, _directions(dim)) - 0.5 * jnp.square(x_BLHP).sum(-1, keepdims=True)


@functools.cache
def _directions(dim: int) -> np.ndarray:
    """[2P, P] float32: two orthogonal bases from a fixed seed, each row of the length of a Gaussian vector."""
    draws = np.random.default_rng(0)
    bases = [np.linalg.qr(draws.standard_normal((dim, dim)))[0].T for _ in range(2)]
    lengths = np.linalg.norm(draws.standard_normal((2 * dim, dim)), axis=1)
    return (np.concatenate(bases) * lengths[:, None]).astype(np.float32)
