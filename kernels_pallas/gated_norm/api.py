"""gated_rmsnorm: RMSNorm(y * silu(z)) * w. K channels."""

import functools
import math

import jax

from kernels_pallas.common import dispatch
from kernels_pallas.common.dispatch import Impl, Op
from kernels_pallas.common.errors import activation_dtype, bind, fail
from kernels_pallas.common.specs import NormSpec
from kernels_pallas.gated_norm import reference, xla


def _anything(spec: NormSpec) -> str | None:
    return None


OP = Op(
    name="gated_rmsnorm",
    supports={Impl.REFERENCE: _anything, Impl.XLA: _anything},
    auto={"cpu": (Impl.XLA,), "gpu": (Impl.XLA,), "tpu": (Impl.XLA,)},
)


def gated_rmsnorm(
    y, z, w, *, groups: int = 1, eps: float = 1e-5, norm_before_gate: bool = False, impl: str | Impl = Impl.AUTO
):
    """w * u * rsqrt(mean(u^2) + eps) with u = y * silu(z), means over groups of K/groups channels, in float32.

    Args: y, z [...,K] of one shape, bfloat16, float32 or float64; w [K]. `norm_before_gate` normalises y alone and
    applies the gate afterwards. Returns [...,K] in y.dtype. Raises: ValueError naming argument, value and mend.
    Source: the output norm of Mamba-2, Dao and Gu 2024, arXiv 2405.21060, section 7.
    """
    op = "gated_rmsnorm"
    dtype = activation_dtype(op, "y", y)
    if y.ndim < 1 or 0 in y.shape:
        fail(op, f"y has shape {list(y.shape)}; needs [...,K] without empty dims")
    if z.shape != y.shape:
        fail(op, f"z has shape {list(z.shape)}; needs the shape of y, {list(y.shape)}")
    activation_dtype(op, "z", z)
    bind(op, "w", w, "K", {"K": y.shape[-1]})
    activation_dtype(op, "w", w)
    if groups < 1 or y.shape[-1] % groups:
        fail(op, f"groups={groups} does not divide K={y.shape[-1]}; choose a divisor")
    if not eps > 0:
        fail(op, f"eps={eps}; needs a positive number: rows of zeros would give NaN")
    spec = NormSpec(T=math.prod(y.shape[:-1]), K=y.shape[-1], groups=groups, dtype=str(dtype))
    choice = dispatch.resolve(OP, spec, impl)
    return _run(y, z, w, choice=choice, groups=groups, eps=eps, norm_before_gate=norm_before_gate)


@functools.partial(jax.jit, static_argnames=("choice", "groups", "eps", "norm_before_gate"))
def _run(y, z, w, *, choice: dispatch.Choice, groups: int, eps: float, norm_before_gate: bool):
    if choice.impl is Impl.REFERENCE:
        return reference.norm(y, z, w, groups=groups, eps=eps, norm_before_gate=norm_before_gate)
    return xla.norm(y, z, w, groups, eps, norm_before_gate)
