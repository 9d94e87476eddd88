"""state_scan in Pallas for NVIDIA GPUs (Triton).

fold: one program per (batch, head, tile of the state) walks the chunks with the carry in registers.
two_level: the chunks are cut into segments that fold in parallel, then the segment ends fold, then each element adds
what its segment started with; for shapes whose fold would leave the GPU half empty.

B batch, c chunks, H heads, F flattened state, s segments.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp

from kernels_pallas.common import backends

MIN_CHUNKS_TWO_LEVEL = 64


@dataclasses.dataclass(frozen=True)
class Scan:
    """A `core.Kernel`. `tile` is a power of two; `segments` None decides by how full the device is; `dtype` is that of
    the values before each element (the carry and the final value stay float32)."""

    tile: int = 256
    segments: int | None = None
    num_warps: int = 4
    dtype: str = "float32"
    interpret: bool = False

    def __call__(self, decay_BcH, states_BcHF, initial_BHF, reverse: bool):
        b, c, h, f = states_BcHF.shape
        tile = min(self.tile, power_of_two_above(f))
        padding = [(0, 0)] * 2 + [(0, -f % tile)]
        args = decay_BcH, jnp.pad(states_BcHF, [(0, 0), *padding]), jnp.pad(initial_BHF, padding)
        segments = self.segments or _segments(b * h * (-(-f // tile)), c)
        kernel = dataclasses.replace(self, tile=tile)
        run = kernel._fold if segments == 1 else functools.partial(kernel._two_level, segments=segments)
        before, final = run(*args, reverse)
        return before[..., :f].astype(self.dtype), final[..., :f]

    def _fold(self, decay_BcH, states_BcHF, initial_BHF, reverse: bool):
        pl = backends.pallas()
        b, c, h, f = states_BcHF.shape
        column = pl.BlockSpec((None, c, None), lambda i, t: (i // h, 0, i % h))
        tiles = pl.BlockSpec((None, c, None, self.tile), lambda i, t: (i // h, 0, i % h, t))
        edge = pl.BlockSpec((None, None, self.tile), lambda i, t: (i // h, i % h, t))
        return pl.pallas_call(
            functools.partial(fold_kernel, count=c, reverse=reverse),
            grid=(b * h, f // self.tile),
            in_specs=[column, tiles, edge],
            out_specs=[tiles, edge],
            out_shape=[
                jax.ShapeDtypeStruct(states_BcHF.shape, self.dtype),
                jax.ShapeDtypeStruct(initial_BHF.shape, jnp.float32),
            ],
            compiler_params=None if self.interpret else backends.triton_params(self.num_warps, num_stages=2),
            interpret=self.interpret,
            name="state_scan_reverse" if reverse else "state_scan",
        )(decay_BcH, states_BcHF, initial_BHF)

    def _two_level(self, decay_BcH, states_BcHF, initial_BHF, reverse: bool, *, segments: int):
        b, c, h, f = states_BcHF.shape
        padding = [(0, 0), (0, -c % segments), (0, 0)]
        decay_sBcH = jnp.pad(decay_BcH, padding, constant_values=1).reshape(b * segments, -1, h)
        states_sBcHF = jnp.pad(states_BcHF, [*padding, (0, 0)]).reshape(b * segments, -1, h, f)
        wide = dataclasses.replace(self, dtype="float32")
        local, ends = wide._fold(decay_sBcH, states_sBcHF, jnp.zeros((b * segments, h, f), jnp.float32), reverse)
        products = jax.lax.cumprod(decay_sBcH, axis=1, reverse=reverse)
        last, first = (0, -1) if reverse else (-1, 0)
        whole = products[:, last].reshape(b, segments, h)
        starts, final = wide._fold(whole, ends.reshape(b, segments, h, f), initial_BHF, reverse)
        before = jnp.roll(products, -1 if reverse else 1, axis=1).at[:, first].set(1)
        out = local + before[..., None] * starts.reshape(b * segments, 1, h, f)
        return out.reshape(b, -1, h, f)[:, :c], final


def fold_kernel(decay_ref, states_ref, initial_ref, before_ref, final_ref, *, count: int, reverse: bool):
    """carry = decay_i carry + state_i over all i, writing the carry before each step."""

    def step(i, carry):
        i = count - 1 - i if reverse else i
        before_ref[i, :] = carry.astype(before_ref.dtype)
        return decay_ref[i] * carry + states_ref[i, :]

    final_ref[...] = jax.lax.fori_loop(0, count, step, initial_ref[...])


def power_of_two_above(n: int) -> int:
    return 1 << (n - 1).bit_length()


def _segments(programs: int, c: int) -> int:
    """Segments that bring the programs of a fold to twice the multiprocessors, at least eight chunks in each."""
    target = 2 * backends.sm_count()
    if c < MIN_CHUNKS_TWO_LEVEL or programs >= target:
        return 1
    return min(power_of_two_above(-(-target // programs)), c // 8)
