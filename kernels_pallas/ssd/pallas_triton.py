"""The stages of chunked ssd as Pallas kernels for NVIDIA GPUs (Triton).

Grid of every kernel: (heads or shares of heads, batch * chunks, tiles of a chunk); heads run fastest, so that programs
at work together read the same B, C and C B^T from the cache. No atomics: results are bitwise reproducible.

B batch, c chunks, Q chunk, H heads, P head dim, G groups, N state dim, S heads of a share.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp

from kernels_pallas.common import backends
from kernels_pallas.ssd import kernels
from kernels_pallas.ssd.chunked import Chunks
from kernels_pallas.state_scan import pallas_triton as scan
from kernels_pallas.state_scan.core import scan_states


@dataclasses.dataclass(frozen=True)
class TritonStages:
    """See `chunked.Stages`. `tile` rows of a chunk per program, forward, and `grad_tile` in the gradient kernels, whose
    registers hold more; `heads` at most per share in the group gradients. `grad_warps` is chosen by compilation, not
    measured: with 4, the gradients of B and C spill at N 256."""

    tile: int = 64
    num_warps: int = 4
    grad_tile: int = 64
    grad_warps: int = 8
    num_stages: int = 2
    heads: int = 16
    scan_tile: int = 256
    interpret: bool = False

    def chunk_state(self, weights, x, b):
        g = self._grid(x.shape, b.shape)
        out = jax.ShapeDtypeStruct((*x.shape[:2], *x.shape[3:], b.shape[-1]), jnp.float32)
        specs = [g.per_head(), g.of_head(), g.of_group()]
        return self._call(kernels.chunk_state, g, specs, g.state(), out, (weights, x, b), tiles=1)

    def scan(self, decay, states, initial, *, reverse: bool, dtype):
        kernel = scan.Scan(tile=self.scan_tile, dtype=str(jnp.dtype(dtype)), interpret=self.interpret)
        return scan_states(kernel, decay, states, initial, reverse)

    def chunk_scan(self, k: Chunks, states):
        g = self._grid(k.x.shape, k.B.shape)
        specs = [g.of_group(tiled=True), g.state(), g.products(rows=True), *[g.per_head()] * 3, g.of_head(), g.skip()]
        args = (k.C, states, k.cb, k.log_decay, k.enter, k.dt, k.x, k.D, k.runs)
        out = jax.ShapeDtypeStruct(k.x.shape, k.x.dtype)
        return self._call(kernels.chunk_scan, g, [*specs, g.run_ids()], g.of_head(tiled=True), out, args)

    def input_grads(self, k: Chunks, dy, dstates):
        g = self._grads_grid(k)
        specs = [g.of_group(tiled=True), g.state(), g.products(columns=True), *[g.per_head()] * 3]
        specs += [g.of_head(tiled=True), g.of_head(), g.skip(), g.run_ids()]
        args = (k.B, dstates, k.cb, k.log_decay, k.leave, k.dt, k.x, dy, k.D, k.runs)
        vector = jax.ShapeDtypeStruct(k.dt.shape, jnp.float32)
        outs = [jax.ShapeDtypeStruct(k.x.shape, k.x.dtype), vector, vector]
        out_specs = [g.of_head(tiled=True), g.per_head(tiled=True), g.per_head(tiled=True)]
        return self._call(kernels.input_grads, g, specs, out_specs, outs, args)

    def group_grads(self, k: Chunks, dy, states, dstates):
        g = self._grads_grid(k, share=_divisor(k.x.shape[3] // k.B.shape[3], self.heads))
        vectors, heads, partial = [g.per_head()] * 3, [g.of_head()] * 2, g.partial(tiled=True)
        shape = jax.ShapeDtypeStruct((*k.B.shape[:3], g.programs, k.B.shape[4]), jnp.float32)
        specs = [g.of_group(tiled=True), g.of_group(), g.state(), *vectors, *heads, g.run_ids()]
        args = (k.C, k.B, states, k.log_decay, k.enter, k.dt, k.x, dy, k.runs)
        outs = [shape, jax.ShapeDtypeStruct(k.dt.shape, jnp.float32)]
        dC, e = self._call(kernels.c_grads, g, specs, [partial, g.per_head(tiled=True)], outs, args)
        specs = [g.of_group(), g.state(), *vectors, *heads, g.run_ids()]
        args = (k.C, dstates, k.log_decay, k.leave, k.dt, k.x, dy, k.runs)
        dB = self._call(kernels.b_grads, g, specs, partial, shape, args)
        dB, dC = (v.reshape(*k.B.shape[:4], -1, k.B.shape[4]).sum(4) for v in (dB, dC))
        return dB, dC, e

    def decay_grads(self, k: Chunks, dy):
        g = self._grads_grid(k)
        specs = [g.products(), *[g.per_head()] * 2, *[g.of_head()] * 2, g.run_ids()]
        args = (k.cb, k.log_decay, k.dt, k.x, dy, k.runs)
        out = jax.ShapeDtypeStruct(k.dt.shape, jnp.float32)
        return self._call(kernels.decay_grads, g, specs, g.per_head(tiled=True), out, args)

    def _grid(self, x_shape, b_shape):
        return _Grid(x_shape, b_shape[3:], min(self.tile, x_shape[2]), self.num_warps)

    def _grads_grid(self, k: Chunks, share: int | None = None):
        return _Grid(k.x.shape, k.B.shape[3:], min(self.grad_tile, k.x.shape[2]), self.grad_warps, share)

    def _call(self, kernel, g, specs, out_specs, out_shape, args, tiles: int | None = None):
        specs = [None if arg is None else spec for spec, arg in zip(specs, args, strict=True)]
        return backends.pallas().pallas_call(
            functools.partial(kernel, tile=g.tile),
            grid=(g.programs, g.x[0] * g.x[1], tiles or g.x[2] // g.tile),
            in_specs=specs,
            out_specs=out_specs,
            out_shape=out_shape,
            compiler_params=None if self.interpret else backends.triton_params(g.warps, self.num_stages),
            interpret=self.interpret,
            name=f"ssd_{kernel.__name__}",
        )(*args)


@dataclasses.dataclass(frozen=True)
class _Grid:
    """Block specs for x [B,c,Q,H,P] and b [G,N]. `share` None: one head per program, else so many of one group."""

    x: tuple[int, ...]
    b: tuple[int, int]
    tile: int
    warps: int
    share: int | None = None

    @property
    def programs(self) -> int:
        return self.x[3] // (self.share or 1)

    def _spec(self, block, index):
        """`index` maps (batch, chunk, head block, group, tile) to block indices."""
        chunks, per_group = self.x[1], self.programs // self.b[0]

        def place(h, i, t):
            return index(i // chunks, i % chunks, h, h // per_group, t)

        return backends.pallas().BlockSpec(block, place)

    def _rows(self, tiled: bool) -> int:
        return self.tile if tiled else self.x[2]

    def of_head(self, tiled: bool = False):
        """x, y, dy: [B,c,Q,H,P]."""
        block = (None, None, self._rows(tiled), self.share, self.x[4])
        return self._spec(block, lambda b, c, h, g, t: (b, c, t if tiled else 0, h, 0))

    def of_group(self, tiled: bool = False):
        """B, C: [B,c,Q,G,N]."""
        block = (None, None, self._rows(tiled), None, self.b[1])
        return self._spec(block, lambda b, c, h, g, t: (b, c, t if tiled else 0, g, 0))

    def partial(self, tiled: bool):
        """A share's part of dB or dC: [B,c,Q,shares,N]."""
        block = (None, None, self._rows(tiled), None, self.b[1])
        return self._spec(block, lambda b, c, h, g, t: (b, c, t if tiled else 0, h, 0))

    def per_head(self, tiled: bool = False):
        """Vectors along the chunk: [B,c,H,Q]."""
        block = (None, None, self.share, self._rows(tiled))
        return self._spec(block, lambda b, c, h, g, t: (b, c, h, t if tiled else 0))

    def state(self):
        """[B,c,H,P,N]."""
        return self._spec((None, None, self.share, self.x[4], self.b[1]), lambda b, c, h, g, t: (b, c, h, 0, 0))

    def products(self, rows: bool = False, columns: bool = False):
        """C B^T: [B,c,G,Q,Q]."""
        block = (None, None, None, self._rows(rows), self._rows(columns))
        return self._spec(block, lambda b, c, h, g, t: (b, c, g, t if rows else 0, t if columns else 0))

    def skip(self):
        """D: [H,P]."""
        return self._spec((None, self.x[4]), lambda b, c, h, g, t: (h, 0))

    def run_ids(self):
        """[B,c,Q]."""
        return self._spec((None, None, self.x[2]), lambda b, c, h, g, t: (b, c, 0))


def _divisor(n: int, at_most: int) -> int:
    """The largest divisor of n that is not above `at_most`."""
    return next(d for d in range(min(n, at_most), 0, -1) if n % d == 0)
