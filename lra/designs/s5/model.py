"""S5, a diagonal state-space model in both directions: ListOps and Text (CustomEncoder), Retrieval (CustomDualEncoder).

    x_t = exp(Lambda dt) x_{t-1} + ((exp(Lambda dt) - 1) / Lambda) B u_t        (complex states)
    y_t = 2 Re(C1 x_t + C2 x'_t) + D * u_t                                      (x' runs from right to left)
    layer: u + dropout(glu(y)), u normalised by BatchNorm over the real tokens

Cost O(L sqrt(L)) per state by two levels of matrix products (`scan`), which is exact.
Published accuracy: ListOps 62.15, Text 89.31, Retrieval 91.40 percent (Smith et al. 2022, arXiv 2208.04933, table 1),
with its own recipe, which sees 2.7 to 74 times the examples of arXiv 2605.15871's defaults.
`ssm_init="lru"` starts as a linear recurrent unit instead (Orvieto et al. 2023, arXiv 2303.06349).
B batch, L length, H model dim, P complex states, N chunks, Q chunk size, J blocks, R real and imaginary part.
"""

import dataclasses
import math

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np


@dataclasses.dataclass(frozen=True)
class Config:
    """`states` real states (P = states / 2 complex ones are kept) in `blocks` equal blocks.

    `half_glu` 1: g * sigmoid(W g) with g = gelu(y); 2: y * sigmoid(W g). `row_init` draws every row of C on its own.
    """

    states: int
    blocks: int
    half_glu: int
    row_init: bool
    dropout: float


LISTOPS = Config(states=16, blocks=8, half_glu=2, row_init=False, dropout=0.0)
TEXT = Config(states=192, blocks=12, half_glu=2, row_init=False, dropout=0.1)
RETRIEVAL = Config(states=256, blocks=16, half_glu=1, row_init=True, dropout=0.0)


def hippo(size: int) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues [size/2] with negative imaginary part and eigenvectors [size, size/2] of HiPPO-LegS' normal part."""
    n = np.arange(size)
    root = np.sqrt(2 * n + 1)
    legs = np.diag(n) - np.tril(np.outer(root, root))
    normal = legs + np.outer(np.sqrt(n + 0.5), np.sqrt(n + 0.5))
    imaginary, vectors = np.linalg.eigh(-1j * normal)
    return np.diag(normal).mean() + 1j * imaginary[: size // 2], vectors[:, : size // 2]


def decays(log_a_P: jax.Array, lags: np.ndarray) -> jax.Array:
    """a^lag where lag >= 0, else 0: complex [P, *lags.shape]."""
    exponents = log_a_P.reshape(-1, *[1] * lags.ndim) * np.maximum(lags, 0)
    return jnp.where(lags >= 0, jnp.exp(exponents), 0)


def scan(log_a_P: jax.Array, u_PBL: jax.Array, *, reverse: bool = False) -> jax.Array:
    """x_t = a x_{t-1} + u_t from zero, a = exp(log_a); `reverse` runs from the last position to the first.

    Complex [P, B, L] in and out. Chunks of about sqrt(L) positions are summed as one matrix product with the powers of
    a, the states between chunks likewise; no step waits for another.
    """
    states, batch, length = u_PBL.shape
    size = 2 ** round(math.log2(max(length, 2)) / 2)
    chunks = -(-length // size)
    u_PBNQ = jnp.pad(u_PBL, ((0, 0), (0, 0), (0, chunks * size - length))).reshape(states, batch, chunks, size)
    step_Q, step_N = (np.arange(n)[::-1] if reverse else np.arange(n) for n in (size, chunks))
    inside_PBNQ = jnp.einsum("pbnk,pkq->pbnq", u_PBNQ, decays(log_a_P, step_Q - step_Q[:, None]))
    last_PBN = inside_PBNQ[..., 0 if reverse else -1]
    before_PBN = jnp.einsum("pbm,pmn->pbn", last_PBN, decays(log_a_P * size, step_N - step_N[:, None] - 1))
    x_PBNQ = inside_PBNQ + before_PBN[..., None] * decays(log_a_P, step_Q + 1)[:, None, None]
    return x_PBNQ.reshape(states, batch, chunks * size)[..., :length]


def enter(gain_P: jax.Array, b_PH: jax.Array, u_BLH: jax.Array, mask_BL: jax.Array) -> jax.Array:
    """gain B u, complex [P, B, L], as products of real numbers, for u is real; nothing enters at padding."""
    b_RPH = jnp.stack([(gain_P[:, None] * b_PH).real, (gain_P[:, None] * b_PH).imag])
    in_RPBL = jnp.where(mask_BL, jnp.einsum("rph,blh->rpbl", b_RPH, u_BLH), 0)
    return jax.lax.complex(in_RPBL[0], in_RPBL[1])


def leave(c_PH: jax.Array, x_PBL: jax.Array) -> jax.Array:
    """Re(C x), [B, L, H], without computing the imaginary part."""
    c_RPH, x_RPBL = jnp.stack([c_PH.real, -c_PH.imag]), jnp.stack([x_PBL.real, x_PBL.imag])
    return jnp.einsum("rph,rpbl->blh", c_RPH, x_RPBL)


class Ssm(nn.Module):
    """u [B, L, H] -> y [B, L, H], both directions; padding gives no input."""

    config: Config
    ssm_init: str

    @nn.compact
    def __call__(self, u_BLH: jax.Array, mask_BL: jax.Array) -> jax.Array:
        dim, states = u_BLH.shape[-1], self.config.states
        basis = hippo(states // self.config.blocks) if self.ssm_init == "hippo" else None
        log_a_P, gain_P = self._lru() if basis is None else self._zoh(np.tile(basis[0], self.config.blocks))
        b_PH = self._complex("B", lambda key: rotate_b(draw_b(key, states, dim), basis))
        c_PH = [self._complex(name, lambda key: rotate_c(self._draw_c(key, dim), basis)) for name in ("C1", "C2")]
        drive_PBL = enter(gain_P, b_PH, u_BLH, mask_BL)
        x_PBL = jnp.concatenate([scan(log_a_P, drive_PBL), scan(log_a_P, drive_PBL, reverse=True)])
        d_H = self.param("D", nn.initializers.normal(1.0), (dim,))
        return leave(2 * jnp.concatenate(c_PH), x_PBL) + d_H * u_BLH

    def _complex(self, name: str, draw) -> jax.Array:
        value_R = self.param(name, lambda key: jnp.stack([draw(key).real, draw(key).imag], axis=-1).astype(jnp.float32))
        return jax.lax.complex(value_R[..., 0], value_R[..., 1])

    def _draw_c(self, key: jax.Array, dim: int) -> jax.Array:
        fan_in = self.config.states * (1 if self.config.row_init else dim)
        parts = jax.random.truncated_normal(key, -2, 2, (2, dim, self.config.states)) / (0.8796 * math.sqrt(fan_in))
        return jax.lax.complex(parts[0], parts[1])

    def _zoh(self, eigenvalues_P: np.ndarray) -> tuple[jax.Array, jax.Array]:
        real_P = self.param("Lambda_re", lambda _: jnp.asarray(eigenvalues_P.real, jnp.float32))
        imag_P = self.param("Lambda_im", lambda _: jnp.asarray(eigenvalues_P.imag, jnp.float32))
        low, high = math.log(1e-3), math.log(1e-1)
        step_P = self.param("log_step", lambda key: jax.random.uniform(key, real_P.shape, minval=low, maxval=high))
        lambda_P = jax.lax.complex(real_P, imag_P)
        log_a_P = lambda_P * jnp.exp(step_P)
        return log_a_P, (jnp.exp(log_a_P) - 1) / lambda_P

    def _lru(self) -> tuple[jax.Array, jax.Array]:
        shape = (self.config.states // 2,)
        nu_P = self.param("nu", lambda key: jnp.log(-0.5 * jnp.log(0.99**2 * _open_unit(key, shape))))
        theta_P = self.param("theta", lambda key: jnp.log(2 * jnp.pi * _open_unit(key, shape)))
        log_a_P = jax.lax.complex(-jnp.exp(nu_P), jnp.exp(theta_P))
        return log_a_P, jnp.sqrt(-jnp.expm1(2 * log_a_P.real)).astype(log_a_P.dtype)


def _open_unit(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    return jax.random.uniform(key, shape, minval=1e-6, maxval=1.0)


def draw_b(key: jax.Array, states: int, dim: int) -> jax.Array:
    """[states, H] real, variance 1 / states."""
    return nn.initializers.lecun_normal()(key, (states, dim))


def rotate_b(b_SH: jax.Array, basis) -> jax.Array:
    """B in the eigenvector basis of each block, [P, H]; without a basis the first half of the rows."""
    if basis is None:
        return b_SH[: len(b_SH) // 2].astype(jnp.complex64)
    vectors = basis[1].astype(np.complex64)
    blocks_JSH = b_SH.reshape(-1, len(vectors), b_SH.shape[-1])
    return jnp.einsum("sp,jsh->jph", vectors.conj(), blocks_JSH).reshape(-1, b_SH.shape[-1])


def rotate_c(c_HS: jax.Array, basis) -> jax.Array:
    """C in the eigenvector basis of each block, [P, H]; without a basis the first half of the columns."""
    if basis is None:
        return c_HS[:, : c_HS.shape[-1] // 2].T
    vectors = basis[1].astype(np.complex64)
    blocks_HJS = c_HS.reshape(len(c_HS), -1, len(vectors))
    return jnp.einsum("hjs,sp->jph", blocks_HJS, vectors).reshape(-1, len(c_HS))


class Layer(nn.Module):
    """u + dropout(glu(SSM(norm u)))."""

    config: Config
    ssm_init: str

    @nn.compact
    def __call__(self, u_BLH: jax.Array, mask_BL: jax.Array, *, train: bool) -> jax.Array:
        norm = nn.BatchNorm(use_running_average=not train, momentum=0.95, name="norm")
        y_BLH = Ssm(self.config, self.ssm_init, name="ssm")(norm(u_BLH, mask=mask_BL[..., None]), mask_BL)
        drop = nn.Dropout(self.config.dropout, deterministic=not train)
        g_BLH = drop(nn.gelu(y_BLH))
        gated_BLH = g_BLH if self.config.half_glu == 1 else y_BLH
        return u_BLH + drop(gated_BLH * nn.sigmoid(nn.Dense(u_BLH.shape[-1], name="gate")(g_BLH)))


class Stack(nn.Module):
    """inputs [B, L] int32, 0 = padding -> the mean state of the real tokens, [B, H]."""

    vocab_size: int
    dim: int
    layers: int
    config: Config
    ssm_init: str

    @nn.compact
    def __call__(self, inputs_BL: jax.Array, *, train: bool) -> jax.Array:
        if self.ssm_init not in ("hippo", "lru"):
            raise ValueError(f"ssm_init = {self.ssm_init!r}: choose 'hippo' or 'lru'")
        if self.config.states % (2 * self.config.blocks):
            raise ValueError(f"states = {self.config.states} is no multiple of 2 * blocks = {2 * self.config.blocks}")
        mask_BL = inputs_BL > 0
        u_BLH = nn.Embed(self.vocab_size, self.dim, embedding_init=nn.initializers.normal(1.0))(inputs_BL)
        for layer in range(self.layers):
            u_BLH = Layer(self.config, self.ssm_init, name=f"layer_{layer}")(u_BLH, mask_BL, train=train)
        return u_BLH.sum(axis=1, where=mask_BL[..., None]) / jnp.maximum(mask_BL.sum(axis=1, keepdims=True), 1)


class CustomEncoder(nn.Module):
    """inputs [B, L] int32, 0 = padding -> logits [B, C]. `config` None: TEXT with two classes, else LISTOPS.

    The defaults are the published ListOps model of 187,978 parameters; Text is emb_dim 256, num_layers 6.
    """

    vocab_size: int
    num_classes: int = 10
    emb_dim: int = 128
    num_layers: int = 8
    config: Config | None = None
    ssm_init: str = "hippo"

    @nn.compact
    def __call__(self, inputs_BL: jax.Array, *, train: bool = False) -> jax.Array:
        config = self.config or (TEXT if self.num_classes == 2 else LISTOPS)
        stack = Stack(self.vocab_size, self.emb_dim, self.num_layers, config, self.ssm_init, name="stack")
        return nn.Dense(self.num_classes, name="logits")(stack(inputs_BL, train=train))


class CustomDualEncoder(nn.Module):
    """inputs1, inputs2 [B, L] int32, 0 = padding -> logits [B, 2]; one stack reads both, batched together."""

    vocab_size: int
    num_classes: int = 2
    emb_dim: int = 128
    num_layers: int = 6
    config: Config = RETRIEVAL
    ssm_init: str = "hippo"

    @nn.compact
    def __call__(self, inputs1_BL: jax.Array, inputs2_BL: jax.Array, *, train: bool = False) -> jax.Array:
        stack = Stack(self.vocab_size, self.emb_dim, self.num_layers, self.config, self.ssm_init, name="stack")
        e1_BH, e2_BH = jnp.split(stack(jnp.concatenate([inputs1_BL, inputs2_BL]), train=train), 2)
        pair_BF = jnp.concatenate([e1_BH, e2_BH, e1_BH - e2_BH, e1_BH * e2_BH], axis=-1)
        hidden_BH = nn.gelu(nn.Dense(self.emb_dim, name="compare")(pair_BF))
        return nn.Dense(self.num_classes, name="logits")(hidden_BH)
