"""The kernels of a compiled program: registers, spills, stack, shared memory, warps and occupancy, as ptxas says.

XLA writes the PTX of every kernel and the list of its launches when it compiles; Mosaic GPU compiles its kernels itself
and writes PTX, the report of ptxas and the launch.
"""

import dataclasses
import functools
import os
import re
import subprocess
import tempfile
from pathlib import Path

from aira_jax.h200.devices import Gpu
from aira_jax.h200.hlo import Module
from aira_jax.h200.occupancy import occupancy

TRITON, MOSAIC = "__gpu$xla.gpu.triton", "mosaic_gpu_v2"
_mosaic_seen: dict[str, "_Built"] = {}  # Mosaic GPU compiles a kernel once a process


@dataclasses.dataclass(frozen=True)
class Kernel:
    """One kernel. `instruction` is the HLO instruction that launches it first, `backend` who wrote it: "triton" or
    "mosaic_gpu" for Pallas, else "xla". Bytes are of one thread (spills, stack) or one block (shared)."""

    name: str
    backend: str
    instruction: str
    launches: int
    registers: int
    spill_stores: int
    spill_loads: int
    stack_bytes: int
    smem_bytes: int
    warps: int
    grid: tuple[int, int, int]
    blocks_per_sm: int
    limiter: str
    warnings: tuple[str, ...] = ()

    @property
    def spill_bytes(self) -> int:
        return self.spill_stores + self.spill_loads


@dataclasses.dataclass(frozen=True)
class _Built:
    """What ptxas said about one entry."""

    name: str
    registers: int
    spill_stores: int
    spill_loads: int
    stack_bytes: int
    static_smem: int
    warnings: tuple[str, ...]
    launch: "_Launch | None" = None


@dataclasses.dataclass(frozen=True)
class _Launch:
    grid: tuple[int, int, int]
    threads: int
    smem: int


def kernels(gpu: Gpu, module: Module, dump: Path) -> tuple[Kernel, ...]:
    """Every kernel that the program launches, in the order of its first launch. LaunchError for one that cannot run."""
    counts, backends, instructions = {}, {}, {}
    hashes = {}
    for _, item, count in module.runs():
        counts[item.name] = counts.get(item.name, 0) + count
        if item.target == TRITON:
            backends[item.name] = "triton"
        if item.target == MOSAIC:
            hashes[item.name] = re.search(r'kernel_hash = "((?:[^"\\]|\\.)*)"', item.attributes)[1]
    found: dict[str, Kernel] = {}
    built = {b.name: b for path in sorted(dump.glob("*.ptx")) for b in _assemble(path)}
    for instruction, name, launch in _launches(dump):
        if name in found:
            found[name] = dataclasses.replace(found[name], launches=found[name].launches + counts.get(instruction, 1))
        elif name in built:
            backend = backends.get(instruction, "xla")
            found[name] = _kernel(gpu, built[name], launch, backend, instruction, counts.get(instruction, 1))
            instructions[name] = instruction
    _remember_mosaic(hashes.values(), dump / "mosaic")
    for instruction, key in hashes.items():
        one = _mosaic_seen[key]
        name = one.name if one.name not in found else f"{one.name}_{instruction}"
        found[name] = _kernel(
            gpu, dataclasses.replace(one, name=name), one.launch, "mosaic_gpu", instruction, counts[instruction]
        )
    return tuple(found.values())


def _kernel(gpu: Gpu, built: _Built, launch: _Launch, backend: str, instruction: str, launches: int) -> Kernel:
    shared, warps = built.static_smem + launch.smem, -(-launch.threads // 32)
    fits = occupancy(gpu, built.name, registers=built.registers, shared=shared, warps=warps)
    return Kernel(
        name=built.name,
        backend=backend,
        instruction=instruction,
        launches=launches,
        registers=built.registers,
        spill_stores=built.spill_stores,
        spill_loads=built.spill_loads,
        stack_bytes=built.stack_bytes,
        smem_bytes=shared,
        warps=warps,
        grid=launch.grid,
        blocks_per_sm=fits.blocks,
        limiter=fits.limiter,
        warnings=built.warnings,
    )


def _launches(dump: Path) -> list[tuple[str, str, _Launch]]:
    """(HLO instruction, kernel, launch) of every kernel in the schedule."""
    text = "".join(path.read_text() for path in dump.glob("*.thunk_metadata.txt"))
    blocks = text.split("thunk_metadata {")
    ids = [(re.search(r"thunk_id: (\d+)", b), re.search(r'profile_annotation: "([^"]*)"', b)) for b in blocks]
    names = {int(number[1]): name[1] for number, name in ids if number and name}
    row = re.compile(
        r"^\s*(\d+): k\w+\s+\[[^\]]*\]\s+(\S+) grid: \[(\d+), (\d+), (\d+)\] threads: \[(\d+), (\d+), (\d+)\]"
        r"\s+shared_memory: (\d+)", re.M
    )  # fmt: skip
    found = []
    for path in sorted(dump.glob("*.thunk_sequence.txt")):
        for number, kernel, *sizes in row.findall(path.read_text()):
            gx, gy, gz, tx, ty, tz, smem = map(int, sizes)
            found.append((names.get(int(number), kernel), kernel, _Launch((gx, gy, gz), tx * ty * tz, smem)))
    return found


def _assemble(ptx: Path) -> list[_Built]:
    """The entries of a PTX file, assembled for Hopper."""
    if ".entry" not in ptx.read_text():
        return []
    with tempfile.NamedTemporaryFile(suffix=".cubin") as cubin:
        command = [ptxas(), "-arch=sm_90a", "-v", "-o", cubin.name, str(ptx)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"ptxas refuses {ptx.name}: {done.stderr.strip()[-500:]}")
    return _report(done.stdout + done.stderr)


def _report(text: str) -> list[_Built]:
    """What `ptxas -v` prints, one entry after the other."""
    warnings = tuple(
        re.findall(
            r"C\d{4}", " ".join(line for line in text.splitlines() if "info    : (C" in line or "warning" in line)
        )
    )
    found = []
    for part in text.split("Compiling entry function ")[1:]:
        name = re.match(r"'([^']*)'", part)[1]
        stack, stores, loads = re.search(
            r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads", part
        ).groups()
        registers = re.search(r"Used (\d+) registers", part)[1]
        smem = re.search(r"(\d+) bytes smem", part)
        found.append(
            _Built(name, int(registers), int(stores), int(loads), int(stack), int(smem[1]) if smem else 0, warnings)
        )
    return found


def _remember_mosaic(hashes, folder: Path) -> None:
    """Joins new kernels, in the order of the schedule, with what Mosaic GPU wrote, in the order of compilation."""
    new = [key for key in dict.fromkeys(hashes) if key not in _mosaic_seen]
    written = sorted(folder.glob("*.ptxas"), key=lambda path: path.stat().st_mtime_ns) if new else []
    if len(written) != len(new):
        raise RuntimeError(f"Mosaic GPU reported {len(written)} kernels, the program has {len(new)} new ones")
    for key, path in zip(new, written, strict=True):
        (one,) = _report(path.read_text())
        _mosaic_seen[key] = dataclasses.replace(one, launch=_mosaic_launch(path.with_suffix(".ll").read_text()))


def _mosaic_launch(host: str) -> _Launch:
    call = re.search(r"call void @mosaic_gpu_launch_kernel\(ptr [^,]*, ([^)]*)\)", host)[1]
    numbers = [int(n) for n in re.findall(r"i32 (\d+)", call)]
    gx, gy, gz, _, _, _, tx, ty, tz, smem = numbers[:10]
    return _Launch((gx, gy, gz), tx * ty * tz, smem)


@functools.cache
def ptxas() -> str:
    """The assembler of the installed wheel."""
    import nvidia.cuda_nvcc

    return os.path.join(nvidia.cuda_nvcc.__path__[0], "bin", "ptxas")


@functools.cache
def ptxas_version() -> str:
    done = subprocess.run([ptxas(), "--version"], capture_output=True, text=True, check=True)
    return re.search(r"V([\d.]+)", done.stdout)[1]
