"""The forward stages of chunked ssd for Hopper GPUs (Mosaic GPU); the gradient uses the einsum stages.

chunk_scan: one warpgroup computes a tile of 64 rows of one chunk and head. TMA brings C, the state and the tiles of x
into shared memory; the products run on the tensor cores (wgmma), the decay mask is made in registers between them.

B batch, c chunks, Q chunk, T tile, H heads, P head dim, G groups, N state dim.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp

from kernels_pallas.common import backends
from kernels_pallas.ssd.chunked import Chunks
from kernels_pallas.ssd.xla import XlaStages
from kernels_pallas.state_scan import pallas_mosaic_gpu as scan
from kernels_pallas.state_scan.core import scan_states

TILE = 64  # rows of one wgmma


@dataclasses.dataclass(frozen=True)
class MosaicStages(XlaStages):
    """See `chunked.Stages`."""

    scan_tile: int = 512
    interpret: bool = False

    def scan(self, decay, states, initial, *, reverse: bool, dtype):
        kernel = scan.Scan(tile=self.scan_tile, dtype=str(jnp.dtype(dtype)), interpret=self.interpret)
        return scan_states(kernel, decay, states, initial, reverse)

    def chunk_scan(self, k: Chunks, states):
        plgpu = backends.load("mosaic_gpu")
        b, c, q, h, p = k.x.shape
        n, dtype = k.B.shape[-1], k.x.dtype
        inputs = {"C": k.C, "h": states, "cb": k.cb, "log": k.log_decay, "enter": k.enter, "dt": k.dt, "x": k.x}
        inputs = {name: _fold(v) for name, v in inputs.items()}
        inputs |= {} if k.D is None else {"D": k.D}
        inputs |= {} if k.runs is None else {"runs": _fold(k.runs)}
        y = plgpu.kernel(
            functools.partial(_chunk_scan, names=tuple(inputs), heads_of_group=h // k.B.shape[3]),
            out_type=jax.ShapeDtypeStruct((b * c, q, h, p), dtype),
            scratch_types={
                "C_TN": _shared((TILE, n), dtype),
                "h_PN": _shared((p, n), dtype),
                "x_TP": _shared((q // TILE, TILE, p), dtype),
                "M_TT": _shared((2, TILE, TILE), dtype),
                "y_TP": _shared((TILE, p), dtype),
                "ready": plgpu.Barrier(num_arrivals=2),
                "x_ready": plgpu.Barrier(num_barriers=q // TILE),
            },
            grid=(h, b * c, q // TILE),
            grid_names=("head", "chunk", "tile"),
            kernel_name="ssd_chunk_scan",
            compiler_params=plgpu.CompilerParams(lowering_semantics=plgpu.LoweringSemantics.Lane),
            **({"interpret": plgpu.InterpretGPUParams()} if self.interpret else {}),
        )(*inputs.values())
        return y.reshape(k.x.shape)


def _fold(v_Bc):
    """[B,c,...] to [B*c,...]: TMA takes five dims at most."""
    return v_Bc.reshape(-1, *v_Bc.shape[2:])


def _shared(shape, dtype):
    """Shared memory, tiled and swizzled as TMA writes it and wgmma reads it."""
    plgpu, size = backends.load("mosaic_gpu"), jnp.dtype(dtype).itemsize
    swizzle = plgpu.find_swizzle(shape[-1] * size * 8)
    return plgpu.SMEM(
        shape, dtype, transforms=(plgpu.TilingTransform((8, swizzle // size)), plgpu.SwizzleTransform(swizzle))
    )


def _chunk_scan(*refs, names, heads_of_group: int, C_TN, h_PN, x_TP, M_TT, y_TP, ready, x_ready):
    """y [T,P] = M X' + E C h^T + D x, over the key tiles up to the diagonal."""
    pl, plgpu = backends.pallas(), backends.load("mosaic_gpu")
    inputs, y_ref = dict(zip(names, refs, strict=False)), refs[-1]
    head, chunk, t = (jax.lax.axis_index(name) for name in ("head", "chunk", "tile"))
    tiles = _Tiles(inputs, chunk, head, head // heads_of_group)
    acc_type = plgpu.ACC(y_TP.shape, jnp.float32)
    plgpu.copy_gmem_to_smem(inputs["C"].at[chunk, _rows(t), tiles.group], C_TN, ready)
    plgpu.copy_gmem_to_smem(inputs["h"].at[chunk, head], h_PN, ready)

    def fetch(j, _):
        plgpu.copy_gmem_to_smem(inputs["x"].at[chunk, _rows(j), head], x_TP.at[j], x_ready.at[j])

    def through_state(acc):
        plgpu.wgmma(acc, C_TN, h_PN.transpose((1, 0)))
        return acc[...]

    def within(acc):
        def add(j, _):
            # Two buffers: a warp that runs ahead never writes what another warp's product still reads.
            M_TT[j % 2] = tiles.mixer(t, j).astype(M_TT.dtype)
            plgpu.commit_smem()
            plgpu.barrier_wait(x_ready.at[j])
            plgpu.wgmma(acc, M_TT.at[j % 2], x_TP.at[j])
            plgpu.wgmma_wait(0)

        jax.lax.fori_loop(0, t + 1, add, None)
        return acc[...]

    jax.lax.fori_loop(0, t + 1, fetch, None)
    plgpu.barrier_wait(ready)
    out_TP = _down(tiles.vector("enter", t, "rows"), y_TP.shape) * pl.run_scoped(through_state, acc_type)
    out_TP += pl.run_scoped(within, acc_type)
    if "D" in inputs:
        x = backends.mosaic_gpu_load(x_TP.at[t], plgpu.Layout.WGMMA).astype(jnp.float32)
        out_TP += _across(_from_global(inputs["D"].at[head], "columns"), y_TP.shape) * x
    y_TP[...] = out_TP.astype(y_TP.dtype)
    plgpu.commit_smem()
    plgpu.copy_smem_to_gmem(y_TP, y_ref.at[chunk, _rows(t), head])
    plgpu.wait_smem_to_gmem(0)


@dataclasses.dataclass(frozen=True)
class _Tiles:
    """Tiles of the inputs of one chunk and head in registers, in the layouts in which wgmma returns its results."""

    inputs: dict
    chunk: jax.Array
    head: jax.Array
    group: jax.Array

    def vector(self, name: str, i, along: str):
        """Tile i of a vector [Q] of the chunk, spread along "rows" or "columns" of a tile [T,T]."""
        at = (self.chunk, _rows(i)) if name == "runs" else (self.chunk, self.head, _rows(i))
        return _from_global(self.inputs[name].at[at], along)

    def mixer(self, t, j):
        """M_qk dt_k [T,T] for the rows q of tile t and the keys k of tile j."""
        plgpu, shape = backends.load("mosaic_gpu"), (TILE, TILE)
        place = functools.partial(plgpu.broadcasted_iota, jnp.int32, shape, layout=plgpu.Layout.WGMMA)
        seen = t * TILE + place(0) >= j * TILE + place(1)
        if "runs" in self.inputs:
            seen &= _down(self.vector("runs", t, "rows"), shape) == _across(self.vector("runs", j, "columns"), shape)
        gap = _down(self.vector("log", t, "rows"), shape) - _across(self.vector("log", j, "columns"), shape)
        decay = jnp.where(seen, jnp.exp(jnp.where(seen, gap, 0.0)), 0.0)
        cb = _from_global(self.inputs["cb"].at[self.chunk, self.group, _rows(t), _rows(j)], "both")
        return decay * cb * _across(self.vector("dt", j, "columns"), shape)


def _rows(i):
    return backends.pallas().ds(i * TILE, TILE)


def _from_global(ref, along: str):
    """Values of global memory in registers: a tile ("both"), or a vector along the "rows" or "columns" of a tile."""
    layout = backends.load("mosaic_gpu").Layout.WGMMA
    layout = {"both": layout, "rows": layout.reduce(1), "columns": layout.reduce(0)}[along]
    return backends.mosaic_gpu_load(ref, layout, optimized=False)


def _down(v_T, shape):
    """One value for each row."""
    return jax.lax.broadcast_in_dim(v_T, shape, [0])


def _across(v_T, shape):
    """One value for each column."""
    return jax.lax.broadcast_in_dim(v_T, shape, [1])
