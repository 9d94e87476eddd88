"""causal_conv1d and its one-token step.

B batch, L time, K channels, W width.
"""

import functools

import jax
import jax.numpy as jnp

from kernels_pallas.common import dispatch
from kernels_pallas.common.dispatch import Impl
from kernels_pallas.common.errors import activation_dtype, bind, fail, integer, positive, same_dtype
from kernels_pallas.common.numerics import wide
from kernels_pallas.common.specs import ConvSpec
from kernels_pallas.conv1d import pallas_triton, reference, support, xla
from kernels_pallas.conv1d.window import Activation, Inputs, final_state


def causal_conv1d(
    x,
    w,
    b=None,
    *,
    initial_state=None,
    segment_ids=None,
    activation: str | Activation = Activation.SILU,
    return_final_state: bool = False,
    impl: str | Impl = Impl.AUTO,
):
    """Depthwise causal convolution y_t = act(b + sum_{k<W} w_k x_{t-(W-1)+k}); w_{W-1} multiplies the current token.

    Args:
      x: [B,L,K] bfloat16, float32 or float64. w: [W,K], b: [K], any float dtype; sums run in float32.
      initial_state: [B,W-1,K] in x.dtype, the inputs before the first position (None: zeros).
      segment_ids: [B,L] integer; the window never crosses the border of a contiguous run.
      activation: "silu" or "none".
      return_final_state: also return the last W-1 inputs of the last run, zero-padded on the left.
      impl: see `kernels_pallas.Impl`.

    Returns: y [B,L,K] in x.dtype, or (y, state [B,W-1,K]). Raises: ValueError naming argument, value and mend.
    """
    inputs = Inputs(x, w, b, initial_state, segment_ids)
    spec, activation = _check(inputs), _activation("causal_conv1d", activation)
    choice = dispatch.resolve(support.OP, spec, impl)
    y = _run(inputs, choice=choice, activation=activation, interpret=dispatch.interpreting())
    return (y, final_state(inputs)) if return_final_state else y


@functools.partial(jax.jit, static_argnames=("choice", "activation", "interpret"))
def _run(inputs: Inputs, *, choice: dispatch.Choice, activation: Activation, interpret: bool):
    if choice.impl is Impl.REFERENCE:
        return reference.conv(inputs, activation=activation)
    if choice.impl is Impl.XLA:
        return xla.conv(inputs, activation)
    return pallas_triton.conv(inputs, pallas_triton.Blocks(activation, **dict(choice.blocks), interpret=interpret))


def causal_conv1d_step(state, x, w, b=None, *, activation: str | Activation = Activation.SILU):
    """One decoding step of `causal_conv1d`: state [B,W-1,K], x [B,K], w [W,K], b [K].

    Returns: y [B,K] in x.dtype and the new state [B,W-1,K] in the dtype of `state`.
    """
    op, sizes = "causal_conv1d_step", {}
    bind(op, "x", x, "BK", sizes)
    positive(op, **sizes)
    dtype = wide(activation_dtype(op, "x", x))
    _weights(op, w, b, sizes)
    _bind_state(op, "state", state, sizes)
    activation_dtype(op, "state", state)
    window = jnp.concatenate([state.astype(dtype), x[:, None].astype(dtype)], axis=1)
    bias = None if b is None else b.astype(dtype)
    y = reference.step(window, w.astype(dtype), bias, _activation(op, activation))
    return y.astype(x.dtype), window[:, 1:].astype(state.dtype)


def _check(inputs: Inputs) -> ConvSpec:
    op, sizes = "causal_conv1d", {}
    bind(op, "x", inputs.x, "BLK", sizes)
    positive(op, **sizes)
    dtype = activation_dtype(op, "x", inputs.x)
    _weights(op, inputs.w, inputs.b, sizes)
    if inputs.initial_state is not None:
        _bind_state(op, "initial_state", inputs.initial_state, sizes)
        same_dtype(op, "initial_state", inputs.initial_state, "x", dtype)
    if inputs.segment_ids is not None:
        integer(op, "segment_ids", inputs.segment_ids)
        bind(op, "segment_ids", inputs.segment_ids, "BL", sizes)
    dims = {k: sizes[k] for k in "BLKW"}
    return ConvSpec(**dims, dtype=str(dtype), segments=inputs.segment_ids is not None)


def _weights(op: str, w, b, sizes: dict[str, int]) -> None:
    bind(op, "w", w, "WK", sizes)
    positive(op, **sizes)
    activation_dtype(op, "w", w)
    if b is not None:
        bind(op, "b", b, "K", sizes)
        activation_dtype(op, "b", b)


def _bind_state(op: str, name: str, state, sizes: dict[str, int]) -> None:
    width = sizes["W"]
    if state.ndim == 3 and state.shape[1] == width:
        fail(op, f"{name} has {width} rows; needs W-1={width - 1}: caches of mamba_ssm hold W rows, drop the first")
    bind(op, name, state, ("B", "W-1", "K"), {**sizes, "W-1": width - 1})


def _activation(op: str, name) -> Activation:
    try:
        return Activation(name)
    except ValueError:
        raise ValueError(f"{op}: unknown activation {name!r}; one of {', '.join(Activation)}") from None
