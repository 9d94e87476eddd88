"""The forward stages of chunked ssd as Pallas kernels for TPUs; the gradient uses the einsum stages.

TPU blocks want their last two dims whole or in multiples of (8, 128), so that arrays are laid out with heads outside:
x [B,c,H,Q,P], B and C [B,c,G,Q,N], vectors [B,c,H,1,Q]. One program computes a whole chunk of one head.

B batch, c chunks, Q chunk, H heads, P head dim, G groups, N state dim.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp

from kernels_pallas.common import backends
from kernels_pallas.ssd import kernels
from kernels_pallas.ssd.chunked import Chunks
from kernels_pallas.ssd.xla import XlaStages
from kernels_pallas.state_scan import pallas_tpu as scan
from kernels_pallas.state_scan.core import scan_states


@dataclasses.dataclass(frozen=True)
class TpuStages(XlaStages):
    """See `chunked.Stages`."""

    scan_tile: int = 512
    interpret: bool = False

    def chunk_state(self, weights, x, b):
        spec, args = self._blocks(x.shape, b.shape[3:]), (_vector(weights), _heads_out(x), _heads_out(b))
        out = jax.ShapeDtypeStruct((*x.shape[:2], *x.shape[3:], b.shape[-1]), jnp.float32)
        specs = [spec("h", None, x.shape[2]), spec("h", *x.shape[2::2]), spec("g", x.shape[2], b.shape[-1])]
        return self._call(kernels.chunk_state, x.shape, specs, spec("h", *out.shape[3:]), out, args)

    def scan(self, decay, states, initial, *, reverse: bool, dtype):
        kernel = scan.Scan(tile=self.scan_tile, dtype=str(jnp.dtype(dtype)), interpret=self.interpret)
        return scan_states(kernel, decay, states, initial, reverse)

    def chunk_scan(self, k: Chunks, states):
        q, p, n = k.x.shape[2], k.x.shape[4], k.B.shape[4]
        spec = self._blocks(k.x.shape, k.B.shape[3:])
        vector, x = spec("h", None, q), spec("h", q, p)
        D = None if k.D is None else jnp.broadcast_to(k.D[None, None, :, None], (*k.x.shape[:2], k.x.shape[3], 1, p))
        runs = None if k.runs is None else k.runs[:, :, None, None]
        specs = [spec("g", q, n), spec("h", p, n), spec("g", q, q), vector, vector, vector, x]
        specs += [spec("h", None, p), spec("1", None, q)]
        vectors = [_vector(v) for v in (k.log_decay, k.enter, k.dt)]
        args = (_heads_out(k.C), states, k.cb, *vectors, _heads_out(k.x), D, runs)
        shape = (*k.x.shape[:2], k.x.shape[3], q, p)
        out = jax.ShapeDtypeStruct(shape, k.x.dtype)
        return _heads_out(self._call(kernels.chunk_scan, k.x.shape, specs, x, out, args))

    def _blocks(self, x_shape, b_shape):
        """Block specs of [B,c,heads|groups|1,rows,columns]; rows None for vectors."""
        chunks, per_group = x_shape[1], x_shape[3] // b_shape[0]

        def spec(over: str, rows: int | None, columns: int):
            def place(h, i, t):
                return (i // chunks, i % chunks, {"h": h, "g": h // per_group, "1": 0}[over], 0, 0)

            return backends.pallas().BlockSpec((None, None, None, rows, columns), place)

        return spec

    def _call(self, kernel, x_shape, specs, out_specs, out_shape, args):
        specs = [None if arg is None else spec for spec, arg in zip(specs, args, strict=True)]
        return backends.pallas().pallas_call(
            functools.partial(kernel, tile=x_shape[2]),
            grid=(x_shape[3], x_shape[0] * x_shape[1], 1),
            in_specs=specs,
            out_specs=out_specs,
            out_shape=out_shape,
            interpret=self.interpret,
            name=f"ssd_{kernel.__name__}",
        )(*args)


def _vector(v_BcHQ):
    return v_BcHQ[..., None, :]


def _heads_out(v_BcQHP):
    return jnp.swapaxes(v_BcQHP, 2, 3)
