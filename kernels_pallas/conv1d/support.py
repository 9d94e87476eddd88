"""Which causal_conv1d implementation can run what, and the order in which `auto` tries them."""

from kernels_pallas.common import backends
from kernels_pallas.common.dispatch import Impl, Op
from kernels_pallas.common.specs import ConvSpec

MIN_CHANNELS = 16


def _anything(spec: ConvSpec) -> str | None:
    return None


def _triton(spec: ConvSpec) -> str | None:
    if spec.dtype == "float64":
        return 'Pallas kernels take bfloat16 and float32, not float64; use impl="xla"'
    if spec.K % MIN_CHANNELS:
        return f'K={spec.K} channels are no multiple of {MIN_CHANNELS}; use impl="xla"'
    return backends.missing("triton")


def _passes(spec: ConvSpec, impl: Impl) -> str | None:
    if impl is Impl.PALLAS_TRITON and spec.dtype == "float32":
        return "float32 is left to XLA until a measurement says otherwise"
    return None


OP = Op(
    name="causal_conv1d",
    supports={Impl.REFERENCE: _anything, Impl.XLA: _anything, Impl.PALLAS_TRITON: _triton},
    auto={"cpu": (Impl.XLA,), "gpu": (Impl.PALLAS_TRITON, Impl.XLA), "tpu": (Impl.XLA,)},
    passes=_passes,
)
