"""Which state_scan implementation can run what, the order in which `auto` tries them, and their kernels."""

from kernels_pallas.common import backends, dispatch
from kernels_pallas.common.dispatch import Choice, Impl, Op
from kernels_pallas.common.specs import ScanSpec
from kernels_pallas.state_scan import pallas_mosaic_gpu, pallas_tpu, pallas_triton, xla


def _anything(spec: ScanSpec) -> str | None:
    return None


def _pallas(backend: str):
    def supports(spec: ScanSpec) -> str | None:
        if spec.dtype != "float32":
            return f'Pallas scans are float32, not {spec.dtype}; use impl="xla"'
        return backends.missing(backend)

    return supports


def mosaic_gpu_missing() -> str | None:
    """Why Mosaic GPU kernels cannot be lowered, or in `interpret_mode` interpreted, by the installed jax."""
    if dispatch.interpreting() and not backends.interprets_mosaic_gpu():
        return "jax before 0.11 has no interpreter of Mosaic GPU kernels"
    return backends.missing("mosaic_gpu")


def _mosaic(spec: ScanSpec) -> str | None:
    return mosaic_gpu_missing() or _pallas("mosaic_gpu")(spec)


OP = Op(
    name="state_scan",
    supports={
        Impl.REFERENCE: _anything,
        Impl.XLA: _anything,
        Impl.PALLAS_TRITON: _pallas("triton"),
        Impl.PALLAS_MOSAIC_GPU: _mosaic,
        Impl.PALLAS_TPU: _pallas("tpu"),
    },
    auto={"cpu": (Impl.XLA,), "gpu": (Impl.PALLAS_TRITON, Impl.XLA), "tpu": (Impl.XLA,)},
)


def kernel(choice: Choice, interpret: bool):
    """The hashable `core.Kernel` of a choice."""
    blocks = dict(choice.blocks)
    if choice.impl is Impl.XLA:
        return xla.exclusive_scan
    if choice.impl is Impl.PALLAS_TRITON:
        return pallas_triton.Scan(**blocks, interpret=interpret)
    if choice.impl is Impl.PALLAS_MOSAIC_GPU:
        return pallas_mosaic_gpu.Scan(**blocks, interpret=interpret)
    return pallas_tpu.Scan(**blocks, interpret=interpret)
