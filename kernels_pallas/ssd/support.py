"""Which ssd implementation can run what, the order in which `auto` tries them, and their stages."""

from kernels_pallas.common import backends
from kernels_pallas.common.dispatch import Choice, Impl, Op
from kernels_pallas.common.specs import SsdSpec
from kernels_pallas.ssd import pallas_mosaic_gpu, pallas_tpu, pallas_triton
from kernels_pallas.ssd.xla import XlaStages
from kernels_pallas.state_scan.support import mosaic_gpu_missing

MIN_BLOCK, MAX_CHUNK, MAX_STATE = 16, 256, 256
MAX_PRODUCT = 64 * 256
MAX_MOSAIC_HEAD = 128


def _anything(spec: SsdSpec) -> str | None:
    return None


def _pallas(backend: str):
    def supports(spec: SsdSpec) -> str | None:
        return _limits(spec) or backends.missing(backend)

    return supports


def _limits(spec: SsdSpec) -> str | None:
    """What every Pallas kernel here needs."""
    advice = 'use impl="xla" (or "xla_scan")'
    if spec.dtype == "float64":
        return f"Pallas kernels take bfloat16 and float32, not float64; {advice}"
    for name in ("P", "N"):
        size = getattr(spec, name)
        if size < MIN_BLOCK or size & (size - 1):
            return f"{name}={size} is no power of two >= {MIN_BLOCK}, which Pallas kernels need; {advice}"
        if size > MAX_STATE:
            return f"{name}={size} exceeds {MAX_STATE}, the most that fits the registers of a Pallas program; {advice}"
    if spec.P * spec.N > MAX_PRODUCT:
        return f"P*N={spec.P * spec.N} exceeds {MAX_PRODUCT}, the largest state tile of a Pallas program; {advice}"
    if spec.chunk is not None and (not MIN_BLOCK <= spec.chunk <= MAX_CHUNK or spec.chunk & (spec.chunk - 1)):
        return f"chunk={spec.chunk}; Pallas kernels take 16, 32, 64, 128 or 256"
    return None


def _mosaic(spec: SsdSpec) -> str | None:
    """Hopper's matrix unit multiplies float32 as TF32, and takes 64 rows at a time."""
    advice = 'use impl="pallas_triton" or "xla"'
    if spec.dtype != "bfloat16":
        return f"Mosaic GPU kernels take bfloat16, not {spec.dtype}, which wgmma would round to TF32; {advice}"
    if spec.chunk is not None and spec.chunk not in (64, 128, 256):
        return f"chunk={spec.chunk}; Mosaic GPU kernels take 64, 128 or 256"
    if spec.P > MAX_MOSAIC_HEAD:
        return f"P={spec.P} exceeds {MAX_MOSAIC_HEAD}, the most that fits the registers of a warpgroup; {advice}"
    return _limits(spec) or mosaic_gpu_missing()


def _chunk(spec: SsdSpec, impl: Impl, platform: str) -> int:
    return 32 if platform == "cpu" and not impl.is_pallas else 128


OP = Op(
    name="ssd",
    supports={
        Impl.REFERENCE: _anything,
        Impl.XLA: _anything,
        Impl.XLA_SCAN: _anything,
        Impl.PALLAS_TRITON: _pallas("triton"),
        Impl.PALLAS_MOSAIC_GPU: _mosaic,
        Impl.PALLAS_TPU: _pallas("tpu"),
    },
    auto={"cpu": (Impl.XLA_SCAN,), "gpu": (Impl.PALLAS_TRITON, Impl.XLA), "tpu": (Impl.XLA,)},
    default_chunk=_chunk,
)


def stages(choice: Choice, interpret: bool):
    """The `chunked.Stages` of a choice."""
    blocks = dict(choice.blocks)
    if choice.impl is Impl.XLA:
        return XlaStages()
    if choice.impl is Impl.PALLAS_TRITON:
        return pallas_triton.TritonStages(**blocks, interpret=interpret)
    if choice.impl is Impl.PALLAS_MOSAIC_GPU:
        return pallas_mosaic_gpu.MosaicStages(**blocks, interpret=interpret)
    return pallas_tpu.TpuStages(**blocks, interpret=interpret)
