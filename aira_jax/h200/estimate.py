"""The least time that a compiled program can take on a described cluster: bytes, FLOPs and messages at their peaks.

A floor, never a measurement: published training systems reach 18 to 45 % of the peak FLOP/s that such floors assume.
"""

import dataclasses

from aira_jax.h200.devices import Cluster, Gpu
from aira_jax.h200.hlo import Collective, Step

LAUNCH_S = 2e-6
# MFU of bfloat16 training on H100s, from public reports: torchtitan (Llama-3.1 8B), OLMo-core (1B), Megatron (8B),
# NeMo (3B), Levanter (3B, JAX), axlearn (7B, JAX).
PUBLISHED_SHARE = (0.18, 0.43)


@dataclasses.dataclass(frozen=True)
class Floor:
    """Seconds of one run of one step, and what they are bound by."""

    step: Step
    seconds: float
    bound: str  # "bytes", "launch", "wire", or a unit: "tensor", "tf32", "float32", "float64", "exp"

    @property
    def total(self) -> float:
        return self.seconds * self.step.count


@dataclasses.dataclass(frozen=True)
class Estimate:
    """Seconds: `serial` with nothing overlapped, `overlapped` with all messages behind the computation."""

    compute: float
    wire: float
    floors: tuple[Floor, ...] = dataclasses.field(repr=False)

    @property
    def serial(self) -> float:
        return self.compute + self.wire

    @property
    def overlapped(self) -> float:
        return max(self.compute, self.wire)

    def __str__(self) -> str:
        low, high = PUBLISHED_SHARE
        return (
            f"floor {self.overlapped * 1e3:.3f} ms (messages hidden) to {self.serial * 1e3:.3f} ms (nothing hidden); "
            f"not a measurement: published systems reach {low:.0%} to {high:.0%} of peak"
        )


def estimate(cluster: Cluster, steps: list[Step]) -> Estimate:
    """Floors of every step and their sums."""
    floors = tuple(floor(cluster, step) for step in steps)
    wire = sum(f.total for f in floors if f.step.collective)
    return Estimate(sum(f.total for f in floors) - wire, wire, floors)


def floor(cluster: Cluster, step: Step) -> Floor:
    """The least time of one step."""
    if step.collective:
        return Floor(step, max(LAUNCH_S, wire_seconds(cluster, step.collective)), "wire")
    bounds = {"launch": LAUNCH_S, "bytes": step.bytes / cluster.gpu.bandwidth}
    bounds |= {unit: operations / rate(cluster.gpu, unit) for unit, operations in step.flops}
    bound = max(bounds, key=bounds.get)
    return Floor(step, bounds[bound], bound)


def rate(gpu: Gpu, unit: str) -> float:
    """Operations a second of a unit."""
    return {
        "tensor": gpu.tensor_flops,
        "tf32": gpu.tf32_flops,
        "float32": gpu.float32_flops,
        "float64": gpu.float64_flops,
        "exp": gpu.exp_rate,
    }[unit]


def wire_seconds(cluster: Cluster, message: Collective) -> float:
    """Inside a host each GPU sends at NVLink's rate; between hosts the GPUs of a host share the work of their part."""
    gpu, group, hosts = cluster.gpu, message.group, message.hosts
    if message.kind in ("collective-permute", "collective-broadcast"):
        return message.bytes / (gpu.nvlink if hosts == 1 else gpu.network)
    rounds = 2 if message.kind == "all-reduce" else 1
    inside = message.bytes * (group - 1) / group / gpu.nvlink
    senders = max(1, group // hosts)
    between = message.bytes * (hosts - 1) / hosts / senders / gpu.network
    return rounds * max(inside, between)
