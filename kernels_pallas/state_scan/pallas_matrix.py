"""state_scan as a product with the triangular matrix of decays: an alternative kept to measure the fold against.

Only for c a power of two >= 16, without resets (logarithms of the decays), forward and inclusive.
B batch, c chunks, H heads, F flattened state.
"""

import jax
import jax.numpy as jnp

from kernels_pallas.common import backends


def matrix_scan(log_decay_BcH, states_BcHF, *, tile: int = 64, interpret: bool = False):
    """out = tril(exp(cl_i - cl_j)) @ states with cl the cumulative log decay; [B,c,H,F] float32."""
    pl = backends.pallas()
    b, c, h, f = states_BcHF.shape
    if c < 16 or c & (c - 1) or f % tile:
        raise ValueError(f"matrix_scan: c={c}, F={f}; needs c a power of two >= 16 and F a multiple of tile={tile}")
    column = pl.BlockSpec((None, c, None), lambda i, t: (i // h, 0, i % h))
    tiles = pl.BlockSpec((None, c, None, tile), lambda i, t: (i // h, 0, i % h, t))
    return pl.pallas_call(
        _kernel,
        grid=(b * h, f // tile),
        in_specs=[column, tiles],
        out_specs=tiles,
        out_shape=jax.ShapeDtypeStruct(states_BcHF.shape, jnp.float32),
        compiler_params=None if interpret else backends.triton_params(num_warps=4, num_stages=2),
        interpret=interpret,
        name="state_scan_matrix",
    )(jnp.cumsum(log_decay_BcH, axis=1), states_BcHF)


def _kernel(log_ref, states_ref, out_ref):
    log_c = log_ref[...]
    i, j = (jax.lax.broadcasted_iota(jnp.int32, (log_c.size, log_c.size), d) for d in (0, 1))
    gap = log_c[:, None] - log_c[None, :]
    decays = jnp.where(i >= j, jnp.exp(jnp.where(i >= j, gap, 0)), 0)
    out_ref[...] = jnp.dot(decays, states_ref[...], precision=jax.lax.Precision.HIGHEST)
