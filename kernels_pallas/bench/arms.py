"""The arms of a benchmark: which implementation, which chunk, and whether it can be tried here."""

import dataclasses
import functools
from collections.abc import Callable

from kernels_pallas.bench import baselines
from kernels_pallas.common.dispatch import Impl
from kernels_pallas.inspection import OPS


@dataclasses.dataclass(frozen=True)
class Arm:
    """One way to run an operator: `blocks` are sizes other than the defaults, `baseline` replaces the operator."""

    op: str
    name: str
    chunk: int | None = None
    baseline: Callable | None = None
    blocks: tuple[tuple[str, int], ...] = ()

    @property
    def label(self) -> str:
        parts = [] if self.chunk is None else [str(self.chunk)]
        parts += [f"{name}={size}" for name, size in self.blocks]
        return f"{self.name}[{','.join(parts)}]" if parts else self.name


CPU_CHUNKS = (16, 32, 64)
MAX_STATE_BYTES = 1 << 30


def arms(op: str, spec, device: str, chunks: tuple[int, ...] | None) -> list[Arm]:
    """The arms of an operator in their order of work."""
    chunks = chunks or (CPU_CHUNKS if device == "cpu" else (64, 128, 256))
    if op != "ssd":
        found = [Arm(op, impl.value) for impl in OPS[op].supports if impl is not Impl.REFERENCE and _here(impl, device)]
        if op == "linear_xent":
            found.append(Arm(op, "reference"))
        if op == "causal_conv1d" and device == "cpu":
            found.append(Arm(op, "grouped_convolution", baseline=baselines.grouped_convolution))
        return found
    impls = ["xla_scan", "xla"] if device == "cpu" else ["pallas_triton", "pallas_mosaic_gpu", "xla", "xla_scan"]
    found = [Arm(op, impl, q) for impl in impls if impl in OPS[op].supports for q in chunks]
    if device == "cpu":
        for q in chunks:
            found.append(Arm(op, "einsum_autodiff", q, functools.partial(baselines.einsum_autodiff, chunk=q)))
        if spec.B * spec.L * spec.H * spec.P * spec.N * 4 <= MAX_STATE_BYTES:
            found.append(Arm(op, "associative_over_time", baseline=baselines.associative_over_time))
            found.append(Arm(op, "reference"))
    return found


def _here(impl: Impl, device: str) -> bool:
    home = {Impl.PALLAS_TRITON: "gpu", Impl.PALLAS_MOSAIC_GPU: "gpu", Impl.PALLAS_TPU: "tpu"}
    return home.get(impl, device) == device
