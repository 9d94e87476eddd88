"""ssd and ssd_step: the Mamba-2 sequence mixer over whole sequences, and one token at a time.

B batch, L time, H heads, P head dim, G groups, N state dim.
"""

import functools

import jax

from kernels_pallas.common import dispatch
from kernels_pallas.common.dispatch import Impl
from kernels_pallas.common.numerics import wide
from kernels_pallas.ssd import checks, chunked, reference, support, xla_scan
from kernels_pallas.ssd.inputs import Inputs, step_size

INF = float("inf")


def ssd(
    x,
    dt,
    A,
    B,
    C,
    *,
    D=None,
    dt_bias=None,
    initial_state=None,
    segment_ids=None,
    chunk: int | None = None,
    return_final_state: bool = False,
    impl: str | Impl = Impl.AUTO,
    dt_limit: tuple[float, float] = (0.0, INF),
):
    """The selective state space recurrence h_t = exp(dt_t A) h_{t-1} + dt_t x_t B_t^T, y_t = h_t C_t + D x_t.

    Args:
      x: [B,L,H,P] bfloat16 or float32 (float64 with impl reference, xla, xla_scan).
      dt: [B,L,H] steps. With `dt_bias` (zeros will do) dt is raw and softplus(dt + dt_bias) is the step; without, dt is
        the positive step itself. Always float32 inside.
      A: [H] float32, negative.
      B, C: [B,L,G,N] in x.dtype; H must be a multiple of G.
      D: [H] or [H,P] skip weight. dt_bias: [H].
      initial_state: [B,H,P,N] float32, seen by the first run only.
      segment_ids: [B,L] integer. Contiguous equal ids form a run; no state crosses from run to run, and an id that
        comes back is a new run. No id is special.
      chunk: positions per chunk (None: chosen for the device); affects rounding and speed only.
      return_final_state: also return the state after the last position, differentiable.
      impl: see `kernels_pallas.Impl`; a named implementation runs or raises, it is never exchanged.
      dt_limit: the step is clipped to this interval.

    A NaN may reach earlier positions of its chunk and other runs of its row, never other rows; small steps beside large
    ones lose digits (README.md has both).

    Returns: y [B,L,H,P] in x.dtype, or (y, final state [B,H,P,N] float32).
    Raises: ValueError naming argument, value and mend.
    Source: Dao and Gu 2024, arXiv 2405.21060, section 6; see ssd/README.md for the formulas and their gradients.
    """
    inputs = Inputs(x, dt, A, B, C, D, dt_bias, initial_state, segment_ids)
    spec = checks.inputs(inputs, chunk, dt_limit)
    choice = dispatch.resolve(support.OP, spec, impl, chunk=chunk)
    y, final = _run(inputs, choice=choice, dt_limit=tuple(map(float, dt_limit)), interpret=dispatch.interpreting())
    return (y, final) if return_final_state else y


@functools.partial(jax.jit, static_argnames=("choice", "dt_limit", "interpret"))
def _run(inputs: Inputs, *, choice: dispatch.Choice, dt_limit, interpret: bool):
    if choice.impl is Impl.REFERENCE:
        return reference.ssd(inputs, dt_limit=dt_limit)
    if choice.impl is Impl.XLA_SCAN:
        return xla_scan.ssd(inputs, chunk=choice.chunk, dt_limit=dt_limit)
    chunk = choice.chunk if choice.impl.is_pallas else min(choice.chunk, inputs.x.shape[1])
    return chunked.ssd(inputs, chunked.Plan(support.stages(choice, interpret), chunk, dt_limit))


def ssd_step(state, x, dt, A, B, C, *, D=None, dt_bias=None, dt_limit: tuple[float, float] = (0.0, INF)):
    """One decoding step of `ssd`.

    Args: state [B,H,P,N] float32, x [B,H,P], dt [B,H], A [H] float32, B and C [B,G,N]; the rest as in `ssd`.
    Returns: y [B,H,P] in x.dtype and the new state [B,H,P,N] float32. L steps equal one `ssd` over L positions.
    """
    checks.step(state, x, dt, A, B, C, D, dt_bias, dt_limit)
    steps = step_size(dt, dt_bias, tuple(map(float, dt_limit)), wide(x.dtype))
    state, y = reference.recur(state, x, steps, A, B, C, D)
    return y.astype(x.dtype), state
