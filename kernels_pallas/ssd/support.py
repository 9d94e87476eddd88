"""Which ssd implementation can run what, the order in which `auto` tries them, and their stages."""

from kernels_pallas.common import backends, dispatch
from kernels_pallas.common.dispatch import Choice, Impl, Op
from kernels_pallas.common.specs import SsdSpec
from kernels_pallas.ssd import pallas_mosaic_gpu, pallas_tpu, pallas_triton
from kernels_pallas.ssd.xla import XlaStages
from kernels_pallas.state_scan.support import mosaic_gpu_missing

MIN_BLOCK, MAX_CHUNK, MAX_STATE = 16, 256, 256
MAX_PRODUCT = 64 * 256
MAX_MOSAIC_HEAD = 128
# float32 products of Triton are multiply-adds, unrolled; beyond this they spill, by compilation for Hopper.
MAX_FLOAT32_CHUNK, MAX_FLOAT32_PRODUCT = 32, 64 * 16


def _anything(spec: SsdSpec) -> str | None:
    return None


def _pallas(backend: str):
    def supports(spec: SsdSpec) -> str | None:
        return _limits(spec) or backends.missing(backend)

    return supports


def _triton(spec: SsdSpec) -> str | None:
    if spec.dtype == "float32" and not dispatch.interpreting():
        if spec.P * spec.N > MAX_FLOAT32_PRODUCT:
            return (
                f"P*N={spec.P * spec.N} in float32 exceeds {MAX_FLOAT32_PRODUCT}, the largest state tile that Triton "
                'kernels hold without spilling; use impl="xla", or bfloat16'
            )
        if spec.chunk is not None and spec.chunk > MAX_FLOAT32_CHUNK:
            return (
                f"chunk={spec.chunk} in float32; Triton kernels spill above chunk={MAX_FLOAT32_CHUNK}: "
                f'pass chunk={MAX_FLOAT32_CHUNK}, or use impl="xla", or bfloat16'
            )
    return _limits(spec) or backends.missing("triton")


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


def _passes(spec: SsdSpec, impl: Impl) -> str | None:
    if impl is Impl.PALLAS_TRITON and spec.dtype == "float32":
        return "float32 is left to XLA, whose products do not spill"
    return None


def _chunk(spec: SsdSpec, impl: Impl, platform: str) -> int:
    if platform == "gpu" and impl is Impl.PALLAS_TRITON and spec.dtype == "float32":
        return MAX_FLOAT32_CHUNK
    return 32 if platform == "cpu" and not impl.is_pallas else 128


OP = Op(
    name="ssd",
    supports={
        Impl.REFERENCE: _anything,
        Impl.XLA: _anything,
        Impl.XLA_SCAN: _anything,
        Impl.PALLAS_TRITON: _triton,
        Impl.PALLAS_MOSAIC_GPU: _mosaic,
        Impl.PALLAS_TPU: _pallas("tpu"),
    },
    auto={"cpu": (Impl.XLA_SCAN,), "gpu": (Impl.PALLAS_TRITON, Impl.XLA), "tpu": (Impl.XLA,)},
    default_chunk=_chunk,
    passes=_passes,
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
