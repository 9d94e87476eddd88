"""Input checks of ssd and ssd_step.

B batch, L time, H heads, P head dim, G groups, N state dim.
"""

import jax.numpy as jnp
import numpy as np

from kernels_pallas.common.errors import activation_dtype, bind, fail, integer, is_concrete, positive, same_dtype
from kernels_pallas.common.numerics import wide
from kernels_pallas.common.specs import SsdSpec
from kernels_pallas.ssd.inputs import Inputs


def inputs(args: Inputs, chunk: int | None, dt_limit) -> SsdSpec:
    """Checks every argument of `ssd`; returns the spec of the call."""
    sizes: dict[str, int] = {}
    bind("ssd", "x", args.x, "BLHP", sizes)
    positive("ssd", **sizes)
    bind("ssd", "dt", args.dt, "BLH", sizes)
    bind("ssd", "B", args.B, "BLGN", sizes)
    bind("ssd", "C", args.C, "BLGN", sizes)
    _shared("ssd", args.x, args.dt, args.A, args.B, args.C, args.D, args.dt_bias, dt_limit, sizes)
    if args.initial_state is not None:
        _state("ssd", "initial_state", args.initial_state, args.x, sizes)
    if args.segment_ids is not None:
        integer("ssd", "segment_ids", args.segment_ids)
        bind("ssd", "segment_ids", args.segment_ids, "BL", sizes)
    if chunk is not None and (not isinstance(chunk, int | np.integer) or chunk < 1):
        fail("ssd", f"chunk={chunk!r}; needs an integer of at least 1 (Pallas: 16, 32, 64, 128 or 256)")
    dims = {k: sizes[k] for k in "BLHPGN"}
    return SsdSpec(**dims, dtype=str(args.x.dtype), chunk=chunk, segments=args.segment_ids is not None)


def step(state, x, dt, A, B, C, D, dt_bias, dt_limit) -> None:
    """Checks every argument of `ssd_step`."""
    sizes: dict[str, int] = {}
    bind("ssd_step", "x", x, "BHP", sizes)
    positive("ssd_step", **sizes)
    bind("ssd_step", "dt", dt, "BH", sizes)
    bind("ssd_step", "B", B, "BGN", sizes)
    bind("ssd_step", "C", C, "BGN", sizes)
    _shared("ssd_step", x, dt, A, B, C, D, dt_bias, dt_limit, sizes)
    _state("ssd_step", "state", state, x, sizes)


def _shared(op: str, x, dt, A, B, C, D, dt_bias, dt_limit, sizes: dict[str, int]) -> None:
    dtype = activation_dtype(op, "x", x)
    activation_dtype(op, "dt", dt)
    same_dtype(op, "B", B, "x", dtype)
    same_dtype(op, "C", C, "x", dtype)
    if sizes["G"] == 0 or sizes["H"] % sizes["G"]:
        fail(op, f"H={sizes['H']} heads cannot be shared by G={sizes['G']} groups; H must be a multiple of G")
    positive(op, N=sizes["N"])
    if A.dtype != wide(dtype):
        fail(op, f"A is {A.dtype}; pass A in {wide(dtype)}: A = -jnp.exp(A_log.astype(jnp.{wide(dtype)}))")
    bind(op, "A", A, "H", sizes)
    negative(op, A)
    if D is not None:
        activation_dtype(op, "D", D)
        bind(op, "D", D, "H" if D.ndim == 1 else "HP", sizes)
    if dt_bias is not None:
        activation_dtype(op, "dt_bias", dt_bias)
        bind(op, "dt_bias", dt_bias, "H", sizes)
    if not isinstance(dt_limit, tuple | list) or len(dt_limit) != 2 or not 0 <= dt_limit[0] < dt_limit[1]:
        fail(op, f"dt_limit={dt_limit}; needs (low, high) with 0 <= low < high")


def _state(op: str, name: str, state, x, sizes: dict[str, int]) -> None:
    bind(op, name, state, "BHPN", sizes)
    if state.dtype != wide(x.dtype):
        fail(op, f"{name} is {state.dtype}; the state stays in {wide(x.dtype)} between calls")


def negative(op: str, A) -> None:
    """Refuses decay rates A >= 0 (growth); looks at concrete values only."""
    if is_concrete(A) and (bad := np.flatnonzero(np.asarray(A) >= 0)).size:
        head = int(bad[0])
        fail(op, f"A[{head}]={float(np.asarray(A)[head])}; A must be negative: A = -jnp.exp(A_log)")


def values(A, dt, dt_bias=None) -> None:
    """The slow check of debug runs: A negative, and steps non-negative where no softplus makes them so."""
    negative("ssd", A)
    if dt_bias is None and is_concrete(dt) and bool(jnp.any(dt < 0)):
        place = tuple(int(i) for i in np.argwhere(np.asarray(dt, np.float32) < 0)[0])
        fail("ssd", f"dt{list(place)}={float(dt[place])} < 0; pass positive steps, or raw ones together with dt_bias")
