"""GPUs and clusters that need not be at hand: what XLA is told about them, and what bounds a program's speed.

Sources: NVIDIA's data sheets of the H100 SXM and the H200; CUDA C programming guide, compute capability 9.0.
"""

import dataclasses
import math


@dataclasses.dataclass(frozen=True)
class Gpu:
    """One Hopper GPU. Rates in bytes/s and FLOP/s of dense products, sizes in bytes."""

    name: str
    memory: int
    bandwidth: float
    l2: int = 50 * 2**20
    cores: int = 132  # streaming multiprocessors
    clock_ghz: float = 1.98
    tensor_flops: float = 989.5e12  # bfloat16 and float16 operands
    tf32_flops: float = 494.7e12
    float32_flops: float = 66.9e12  # multiply-adds outside the tensor cores
    float64_flops: float = 66.9e12
    registers: int = 65536  # of one multiprocessor, and the most of one block
    warps: int = 64  # resident on one multiprocessor
    blocks: int = 32
    shared: int = 228 * 1024  # of one multiprocessor, of which every resident block takes 1 KiB for itself
    shared_of_block: int = 227 * 1024
    nvlink: float = 450e9  # each direction
    network: float = 50e9  # of one GPU between hosts: 400 Gb/s

    @property
    def exp_rate(self) -> float:
        """exp and its like a second: 16 for each multiprocessor and clock."""
        return self.cores * 16 * self.clock_ghz * 1e9


GPUS = {
    "H200": Gpu("NVIDIA H200", memory=143771 * 2**20, bandwidth=4.8e12),
    "H100": Gpu("NVIDIA H100 80GB HBM3", memory=84929347584, bandwidth=3.352e12),
}


@dataclasses.dataclass(frozen=True)
class Cluster:
    """`hosts` machines with `devices` GPUs each; device i sits on host i // devices."""

    kind: str = "H200"
    hosts: int = 1
    devices: int = 1

    def __post_init__(self):
        if self.kind not in GPUS:
            raise ValueError(f"kind={self.kind!r}: unknown device; one of {', '.join(GPUS)}")
        for name, count in (("hosts", self.hosts), ("devices", self.devices)):
            if not isinstance(count, int) or count < 1:
                raise ValueError(f"{name}={count!r}: needs an integer of at least 1 (devices counts those of one host)")

    @property
    def gpu(self) -> Gpu:
        return GPUS[self.kind]

    @property
    def size(self) -> int:
        return self.hosts * self.devices

    @property
    def topology(self) -> str:
        """Slices x hosts x devices of a host, as XLA spells it."""
        return f"1x{self.hosts}x{self.devices}"

    def fits(self, shape: dict[str, int]) -> None:
        """ValueError unless a mesh of this shape takes every GPU once."""
        if math.prod(shape.values()) != self.size:
            axes = " x ".join(f"{axis}={size}" for axis, size in shape.items())
            raise ValueError(
                f"the mesh {axes} has {math.prod(shape.values())} devices, hosts={self.hosts} x devices={self.devices}"
                f" are {self.size}; change hosts, devices (of one host) or the mesh"
            )

    def target_config(self) -> str:
        """The GpuTargetConfig of XLA, as protobuf text."""
        gpu = self.gpu
        info = {
            "threads_per_block_limit": 1024,
            "threads_per_warp": 32,
            "shared_memory_per_block": 48 * 1024,
            "shared_memory_per_core": gpu.shared,
            "threads_per_core_limit": gpu.warps * 32,
            "core_count": gpu.cores,
            "fpus_per_core": 128,
            "block_dim_limit_x": 2**31 - 1,
            "block_dim_limit_y": 2**16 - 1,
            "block_dim_limit_z": 2**16 - 1,
            "memory_bandwidth": int(gpu.bandwidth),
            "l2_cache_size": gpu.l2,
            "clock_rate_ghz": gpu.clock_ghz,
            "device_memory_size": gpu.memory,
            "shared_memory_per_block_optin": gpu.shared_of_block,
            "registers_per_core_limit": gpu.registers,
            "registers_per_block_limit": gpu.registers,
        }
        fields = " ".join(f"{name}: {value}" for name, value in info.items())
        return (
            f"gpu_device_info {{ {fields} cuda_compute_capability {{ major: 9 }} }}\n"
            'platform_name: "CUDA"\n'
            "dnn_version_info { major: 9 minor: 10 }\n"
            "runtime_version { major: 12 minor: 9 }\n"
            f'device_description_str: "{gpu.name}"\n'
        )
