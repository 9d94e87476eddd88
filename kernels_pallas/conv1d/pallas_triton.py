"""Causal convolution in Pallas for NVIDIA GPUs (Triton): one pass over the inputs forward, one backward.

Every program computes a tile of time and channels and gathers its W shifted inputs, which the cache holds; rows before
the first position come from the initial state. The backward pass recomputes the pre-activations it needs and leaves
partial sums of dw and db for each tile, summed afterwards: no atomics.

B batch, L time, K channels, W width, T time tile, n tiles.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp

from kernels_pallas.common import backends
from kernels_pallas.common.segments import run_ids
from kernels_pallas.conv1d import xla
from kernels_pallas.conv1d.window import Activation, Inputs, activate


@dataclasses.dataclass(frozen=True)
class Blocks:
    """Static part of a call. Tiles are powers of two; `channels` is lowered to a divisor of K.

    The defaults are chosen by compilation for Hopper, not measured: 38 registers forward and 80 backward without spills
    at every scale, where tiles of 64 x 128 with 4 warps take 254 and 255 and spill 6 kB a thread backward.
    """

    activation: Activation
    time: int = 32
    channels: int = 64
    num_warps: int = 8
    interpret: bool = False


@functools.partial(jax.custom_vjp, nondiff_argnums=(1,))
def conv(inputs: Inputs, blocks: Blocks):
    """y [B,L,K] in x.dtype."""
    b, length, k = inputs.x.shape
    grid = _Grid(inputs, blocks)
    with jax.named_scope("conv1d/forward"):
        y_BLK = backends.pallas().pallas_call(
            functools.partial(_forward_kernel, length=length, blocks=blocks),
            grid=grid.shape,
            in_specs=grid.in_specs,
            out_specs=grid.rows(),
            out_shape=jax.ShapeDtypeStruct((b, grid.padded, k), inputs.x.dtype),
            **grid.options("conv1d"),
        )(*grid.args)
    return y_BLK[:, :length]


def _forward(inputs: Inputs, blocks: Blocks):
    return conv(inputs, blocks), inputs


def _backward(blocks: Blocks, inputs: Inputs, dy_BLK):
    b, length, k = inputs.x.shape
    width, grid = inputs.w.shape[0], _Grid(inputs, blocks)
    tiles = grid.shape[1]
    with jax.named_scope("conv1d/backward"):
        dx_BLK, dw_BnWK, db_BnK = backends.pallas().pallas_call(
            functools.partial(_backward_kernel, length=length, blocks=blocks),
            grid=grid.shape,
            in_specs=[*grid.in_specs, grid.whole()],
            out_specs=[grid.rows(), grid.partial(width), grid.partial()],
            out_shape=[
                jax.ShapeDtypeStruct((b, grid.padded, k), inputs.x.dtype),
                jax.ShapeDtypeStruct((b, tiles, width, k), jnp.float32),
                jax.ShapeDtypeStruct((b, tiles, k), jnp.float32),
            ],
            **grid.options("conv1d_backward"),
        )(*grid.args, dy_BLK)
    return (
        Inputs(
            x=dx_BLK[:, :length],
            w=dw_BnWK.sum((0, 1)).astype(inputs.w.dtype),
            b=None if inputs.b is None else db_BnK.sum((0, 1)).astype(inputs.b.dtype),
            initial_state=_initial_state_grad(inputs, dy_BLK, blocks.activation),
            segment_ids=None,
        ),
    )


conv.defvjp(_forward, _backward)


def _initial_state_grad(inputs: Inputs, dy_BLK, activation: Activation):
    """Only the first W-1 outputs see the initial state: the XLA gradient of that many positions."""
    if inputs.initial_state is None:
        return None
    few = max(inputs.w.shape[0] - 1, 1)
    ids = None if inputs.segment_ids is None else inputs.segment_ids[:, :few]
    (grads,) = xla.backward(activation, inputs._replace(x=inputs.x[:, :few], segment_ids=ids), dy_BLK[:, :few])
    return grads.initial_state


class _Grid:
    """Grid (batch, time tile, channel tile), block specs and arguments of both kernels."""

    def __init__(self, inputs: Inputs, blocks: Blocks):
        b, length, k = inputs.x.shape
        self.blocks, self.length = blocks, length
        self.channels = min(blocks.channels, k & -k)
        self.shape = (b, -(-length // blocks.time), k // self.channels)
        self.padded = self.shape[1] * blocks.time
        runs = None if inputs.segment_ids is None else run_ids(inputs.segment_ids)
        w, bias = inputs.w.astype(jnp.float32), None if inputs.b is None else inputs.b.astype(jnp.float32)
        state = inputs.initial_state if inputs.w.shape[0] > 1 else None
        self.args = (inputs.x, w, bias, state, runs)
        specs = [self.whole(), self._spec(w.shape[0]), self._spec(), self.whole(w.shape[0] - 1), self._runs()]
        self.in_specs = [None if arg is None else spec for arg, spec in zip(self.args, specs, strict=True)]

    def _spec(self, *rows: int):
        block, leading = (*rows, self.channels), (0,) * len(rows)
        return backends.pallas().BlockSpec(block, lambda i, t, j: (*leading, j))

    def _runs(self):
        return backends.pallas().BlockSpec((None, self.length), lambda i, t, j: (i, 0))

    def whole(self, rows: int | None = None):
        """All rows of one batch element: [B,rows,K]."""
        return backends.pallas().BlockSpec((None, rows or self.length, self.channels), lambda i, t, j: (i, 0, j))

    def rows(self):
        """The time tile of [B,L,K]."""
        return backends.pallas().BlockSpec((None, self.blocks.time, self.channels), lambda i, t, j: (i, t, j))

    def partial(self, *rows: int):
        """One tile's part of a sum: [B,n,..,K]."""
        leading = (0,) * len(rows)
        block = (None, None, *rows, self.channels)
        return backends.pallas().BlockSpec(block, lambda i, t, j: (i, t, *leading, j))

    def options(self, name: str) -> dict:
        params = None if self.blocks.interpret else backends.triton_params(self.blocks.num_warps, num_stages=2)
        return {"compiler_params": params, "interpret": self.blocks.interpret, "name": name}


def _tap(refs, row_T, from_row_T, columns_K, length: int):
    """Inputs [T,K] of the positions `row_T`, zero where they do not lie in the run of `from_row_T`."""
    x_ref, w_ref, _, state_ref, runs_ref = refs
    inside = jnp.clip(row_T, 0, length - 1)
    x_TK = x_ref[inside[:, None], columns_K[None, :]].astype(jnp.float32)
    before_TK = jnp.zeros_like(x_TK)
    if state_ref is not None:
        rows = w_ref.shape[0] - 1
        before_TK = state_ref[jnp.clip(row_T + rows, 0, rows - 1)[:, None], columns_K[None, :]].astype(jnp.float32)
    x_TK = jnp.where((row_T >= 0)[:, None], x_TK, before_TK)
    if runs_ref is None:
        return x_TK
    run_T = jnp.where(row_T >= 0, runs_ref[inside], 0)
    return jnp.where((run_T == runs_ref[jnp.clip(from_row_T, 0, length - 1)])[:, None], x_TK, 0)


def _pre(refs, row_T, columns_K, length: int):
    """Pre-activations [T,K] of the positions `row_T`, and their taps."""
    _, w_ref, b_ref, _, _ = refs
    width = w_ref.shape[0]
    taps = [_tap(refs, row_T - (width - 1) + k, row_T, columns_K, length) for k in range(width)]
    pre_TK = sum(w_ref[k, :][None, :] * tap for k, tap in enumerate(taps))
    return (pre_TK if b_ref is None else pre_TK + b_ref[...][None, :]), taps


def _place(blocks: Blocks, channels: int):
    row_T = backends.pallas().program_id(1) * blocks.time + jnp.arange(blocks.time)
    return row_T, jnp.arange(channels)


def _forward_kernel(*refs, length: int, blocks: Blocks):
    *inputs, y_ref = refs
    row_T, columns_K = _place(blocks, y_ref.shape[1])
    y_ref[...] = activate(_pre(inputs, row_T, columns_K, length)[0], blocks.activation).astype(y_ref.dtype)


def _backward_kernel(*refs, length: int, blocks: Blocks):
    *inputs, dy_ref, dx_ref, dw_ref, db_ref = refs
    _, w_ref, _, _, runs_ref = inputs
    row_T, columns_K = _place(blocks, dx_ref.shape[1])
    width, dx_TK = w_ref.shape[0], jnp.zeros(dx_ref.shape, jnp.float32)
    for shift in range(width):
        later_T = row_T + shift
        pre_TK, taps = _pre(inputs, later_T, columns_K, length)
        dpre_TK = dy_ref[jnp.clip(later_T, 0, length - 1)[:, None], columns_K[None, :]].astype(jnp.float32)
        if blocks.activation is Activation.SILU:
            gate_TK = jax.nn.sigmoid(pre_TK)
            dpre_TK *= gate_TK * (1 + pre_TK * (1 - gate_TK))
        reaches_T = later_T < length
        if runs_ref is not None:
            clipped = [jnp.clip(r, 0, length - 1) for r in (row_T, later_T)]
            reaches_T &= runs_ref[clipped[0]] == runs_ref[clipped[1]]
        dpre_TK = jnp.where(reaches_T[:, None], dpre_TK, 0)
        dx_TK += w_ref[width - 1 - shift, :][None, :] * dpre_TK
        if shift == 0:
            for k, tap in enumerate(taps):
                dw_ref[k, :] = jnp.sum(dpre_TK * tap, axis=0)
            db_ref[...] = jnp.sum(dpre_TK, axis=0)
    dx_ref[...] = dx_TK.astype(dx_ref.dtype)
