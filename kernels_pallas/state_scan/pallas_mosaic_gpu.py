"""state_scan in Pallas for Hopper GPUs (Mosaic GPU): a warpgroup per tile, the carry in registers.

B batch, c chunks, H heads, F flattened state.
"""

import dataclasses

import jax
import jax.numpy as jnp

from kernels_pallas.common import backends

WARPGROUP = 128


@dataclasses.dataclass(frozen=True)
class Scan:
    """A `core.Kernel`; `tile` is a multiple of four values for each of the 128 threads of a warpgroup."""

    tile: int = 512
    dtype: str = "float32"
    interpret: bool = False

    def __call__(self, decay_BcH, states_BcHF, initial_BHF, reverse: bool):
        f = states_BcHF.shape[-1]
        padding = [(0, 0)] * 2 + [(0, -f % self.tile)]
        states_BcHF, initial_BHF = jnp.pad(states_BcHF, [(0, 0), *padding]), jnp.pad(initial_BHF, padding)
        before, final = self._call(decay_BcH, states_BcHF, initial_BHF, reverse)
        return before[..., :f], final[..., :f]

    def _call(self, decay_BcH, states_BcHF, initial_BHF, reverse: bool):
        pl, plgpu = backends.pallas(), backends.load("mosaic_gpu")
        b, c, h, f = states_BcHF.shape
        layout = plgpu.Layout.WG_STRIDED((self.tile,), vec_size=self.tile // WARPGROUP)

        def fold(decay_ref, states_ref, initial_ref, before_ref, final_ref):
            row, columns = jax.lax.axis_index("row"), pl.ds(jax.lax.axis_index("tile") * self.tile, self.tile)
            i, head = row // h, row % h

            def step(k, carry):
                k = c - 1 - k if reverse else k
                before_ref[i, k, head, columns] = carry.astype(before_ref.dtype)
                state = backends.mosaic_gpu_load(states_ref.at[i, k, head, columns], layout)
                return decay_ref[i, k, head] * carry + state

            carry = backends.mosaic_gpu_load(initial_ref.at[i, head, columns], layout)
            final_ref[i, head, columns] = jax.lax.fori_loop(0, c, step, carry)

        return plgpu.kernel(
            fold,
            out_type=[
                jax.ShapeDtypeStruct(states_BcHF.shape, self.dtype),
                jax.ShapeDtypeStruct(initial_BHF.shape, jnp.float32),
            ],
            grid=(b * h, f // self.tile),
            grid_names=("row", "tile"),
            compiler_params=plgpu.CompilerParams(lowering_semantics=plgpu.LoweringSemantics.Lane),
            **({"interpret": plgpu.InterpretGPUParams()} if self.interpret else {}),
        )(decay_BcH, states_BcHF, initial_BHF)
