"""state_scan in Pallas for TPUs: the chunks are the sequential grid dim, the carry lives in VMEM.

B batch, c chunks, H heads, F flattened state.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp

from kernels_pallas.common import backends


@dataclasses.dataclass(frozen=True)
class Scan:
    """A `core.Kernel`; `tile` columns of the state per program, all heads at once."""

    tile: int = 512
    dtype: str = "float32"
    interpret: bool = False

    def __call__(self, decay_BcH, states_BcHF, initial_BHF, reverse: bool):
        pl, pltpu = backends.pallas(), backends.load("tpu")
        b, c, h, f = states_BcHF.shape
        tile = min(self.tile, f + -f % 128)
        padding = [(0, 0)] * 2 + [(0, -f % tile)]
        states_BcHF, initial_BHF = jnp.pad(states_BcHF, [(0, 0), *padding]), jnp.pad(initial_BHF, padding)

        def chunk(i, t, k):
            return (i, c - 1 - k if reverse else k, 0, t)

        tiles = pl.BlockSpec((None, None, h, tile), chunk)
        column = pl.BlockSpec((None, None, h, 1), lambda i, t, k: (*chunk(i, 0, k)[:3], 0))
        edge = pl.BlockSpec((None, h, tile), lambda i, t, k: (i, 0, t))
        before, final = pl.pallas_call(
            functools.partial(_kernel, count=c),
            grid=(b, states_BcHF.shape[-1] // tile, c),
            in_specs=[column, tiles, edge],
            out_specs=[tiles, edge],
            out_shape=[
                jax.ShapeDtypeStruct(states_BcHF.shape, self.dtype),
                jax.ShapeDtypeStruct(initial_BHF.shape, jnp.float32),
            ],
            scratch_shapes=[pltpu.VMEM((h, tile), jnp.float32)],
            compiler_params=None
            if self.interpret
            else pltpu.CompilerParams(dimension_semantics=("parallel", "parallel", "arbitrary")),
            interpret=self.interpret,
            name="state_scan_reverse" if reverse else "state_scan",
        )(decay_BcH[..., None], states_BcHF, initial_BHF)
        return before[..., :f], final[..., :f]


def _kernel(decay_ref, states_ref, initial_ref, before_ref, final_ref, carry_ref, *, count: int):
    pl = backends.pallas()
    k = pl.program_id(2)

    @pl.when(k == 0)
    def _():
        carry_ref[...] = initial_ref[...]

    before_ref[...] = carry_ref[...].astype(before_ref.dtype)
    carry_ref[...] = decay_ref[...] * carry_ref[...] + states_ref[...]

    @pl.when(k == count - 1)
    def _():
        final_ref[...] = carry_ref[...]
