"""The kernels of kernels_pallas as Hopper's compiler sees them: rows, bars and the table of kernels_pallas/H200.md.

B batch, L time, H heads, P head dim, G groups, N state dim, K channels, W width, c chunks, F flattened state.
"""

import dataclasses
import json
import re
from collections.abc import Iterator
from pathlib import Path

import jax
import jax.numpy as jnp

import kernels_pallas
from aira_jax.h200.compiler import Report, compile_for
from kernels_pallas import causal_conv1d, ssd, state_scan
from kernels_pallas.bench.shapes import shape, spec
from kernels_pallas.common import roofline
from kernels_pallas.common.dispatch import Impl
from kernels_pallas.inspection import OPS

JSON = Path(kernels_pallas.__file__).parent / "h200.json"
MARKDOWN = JSON.with_name("H200.md")
SCALES = ("350M", "1B", "3B")
IMPLS = (Impl.PALLAS_TRITON, Impl.PALLAS_MOSAIC_GPU)
KERNEL_OPS = ("ssd", "state_scan", "causal_conv1d")
CHUNK = 128  # of ssd on a GPU


@dataclasses.dataclass(frozen=True)
class KernelRow:
    """One kernel. Bytes of spills and stack are a thread's, `smem_bytes` a block's, `bytes` those of one launch;
    `min_bytes` is the least traffic of the whole call, `floor_us` the least time of one launch."""

    op: str
    impl: str
    direction: str
    name: str
    registers: int
    spill_bytes: int
    stack_bytes: int
    smem_bytes: int
    warps: int
    blocks_per_sm: int
    limiter: str
    bytes: int
    min_bytes: int
    floor_us: float
    warnings: tuple[str, ...] = ()

    @property
    def resident_warps(self) -> int:
        return self.warps * self.blocks_per_sm


@dataclasses.dataclass(frozen=True)
class CallRow:
    """One call, forward or gradient: temporaries, traffic of all its kernels, the roofline's least, least time."""

    op: str
    impl: str
    direction: str
    temp_bytes: int
    bytes: int
    min_bytes: int
    floor_us: float


@dataclasses.dataclass(frozen=True)
class Table:
    """All rows of one scale, batch 1, 8192 tokens, bfloat16."""

    shape: str
    jax: str
    ptxas: str
    kernels: tuple[KernelRow, ...]
    calls: tuple[CallRow, ...]

    def faults(self) -> list[str]:
        """What breaks the bars: spills, and fewer than two blocks and fewer than eight warps at work."""
        found = []
        for row in self.kernels:
            where = f"{self.shape} {row.op} {row.impl} {row.name}"
            if row.spill_bytes:
                found.append(f"{where}: {row.spill_bytes} bytes a thread spilled; take smaller tiles or more warps")
            if row.blocks_per_sm < 2 and row.resident_warps < 8:
                found.append(f"{where}: {row.resident_warps} warps at work, limited by {row.limiter}")
        return found


def table(scale: str, ops=KERNEL_OPS, impls=IMPLS) -> Table:
    """Compiles forward and gradient of every op that has the implementation; nothing runs."""
    kernels, calls, compiler = [], [], None
    for op in ops:
        for impl in impls:
            if impl not in OPS[op].supports:
                continue
            for direction, report in reports(op, scale, impl):
                compiler = report.compiler
                seen = {row.name for row in kernels if (row.op, row.impl) == (op, impl.value)}
                kernels += [row for row in _kernels(op, scale, impl, direction, report) if row.name not in seen]
                calls.append(_call(op, scale, impl, direction, report))
    if compiler is None:
        raise ValueError(f"no kernel of {', '.join(ops)} is written in {', '.join(i.value for i in impls)}")
    return Table(scale, compiler.jax, compiler.ptxas, tuple(kernels), tuple(calls))


def reports(op: str, scale: str, impl: Impl) -> Iterator[tuple[str, Report]]:
    """("forward", report) and ("gradient", report); the gradient is of all arguments, from saved inputs."""
    call, args = _program(op, scale, impl)
    out = jax.eval_shape(lambda *a: _program(op, scale, Impl.REFERENCE)[0](*a), *args)
    yield "forward", compile_for(call, *args)
    yield "gradient", compile_for(lambda dy, *a: jax.vjp(call, *a)[1](dy), out, *args)


def _program(op: str, scale: str, impl: Impl):
    """A function of arrays, and their shapes."""
    s, low = spec(op, shape(scale), "bfloat16"), jnp.bfloat16
    array = lambda *dims, dtype=jnp.float32: jax.ShapeDtypeStruct(dims, dtype)
    if op == "ssd":
        heads, groups = (s.B, s.L, s.H), array(s.B, s.L, s.G, s.N, dtype=low)
        return lambda *a: ssd(*a, impl=impl), (array(*heads, s.P, dtype=low), array(*heads), array(s.H), groups, groups)
    if op == "state_scan":
        return lambda *a: state_scan(*a, impl=impl), (array(s.B, s.c, s.H), array(s.B, s.c, s.H, s.F))
    return lambda *a: causal_conv1d(*a, impl=impl), (array(s.B, s.L, s.K, dtype=low), array(s.W, s.K), array(s.K))


def _least(op: str, scale: str, direction: str) -> int:
    work = roofline.work(spec(op, shape(scale), "bfloat16"), CHUNK)
    return int(work.forward_bytes if direction == "forward" else work.backward_bytes)


def _kernels(op: str, scale: str, impl: Impl, direction: str, report: Report) -> Iterator[KernelRow]:
    floors = {floor.step.name: floor for floor in report.estimate.floors}
    for kernel in {_plain(k.name): k for k in reversed(report.pallas())}.values():
        floor = floors[kernel.instruction]
        yield KernelRow(
            op=op,
            impl=impl.value,
            direction=direction,
            name=_plain(kernel.name),
            registers=kernel.registers,
            spill_bytes=kernel.spill_bytes,
            stack_bytes=kernel.stack_bytes,
            smem_bytes=kernel.smem_bytes,
            warps=kernel.warps,
            blocks_per_sm=kernel.blocks_per_sm,
            limiter=kernel.limiter,
            bytes=floor.step.bytes,
            min_bytes=_least(op, scale, direction),
            floor_us=round(floor.seconds * 1e6, 2),
            warnings=kernel.warnings,
        )


def _call(op: str, scale: str, impl: Impl, direction: str, report: Report) -> CallRow:
    moved = sum(floor.step.bytes * floor.step.count for floor in report.estimate.floors)
    floor_us = round(report.estimate.serial * 1e6, 2)
    temporaries, least = report.memory.temporaries, _least(op, scale, direction)
    return CallRow(op, impl.value, direction, temporaries, moved, least, floor_us)


def _plain(name: str) -> str:
    """A kernel's name without the number that tells its launches in one program apart."""
    return re.sub(r"__\d+$", "", name)


def load() -> list[Table]:
    """The recorded tables, in the order of the scales."""
    rows = json.loads(JSON.read_text()) if JSON.exists() else []
    tables = [
        Table(
            **(row | {
                "kernels": tuple(KernelRow(**(k | {"warnings": tuple(k["warnings"])})) for k in row["kernels"]),
                "calls": tuple(CallRow(**c) for c in row["calls"]),
            })
        )
        for row in rows
    ]  # fmt: skip
    return sorted(tables, key=lambda one: SCALES.index(one.shape))


def record(new: Table) -> None:
    """Replaces what `new` has compiled again in h200.json, and writes H200.md anew."""
    tables = {one.shape: one for one in load()}
    if new.shape in tables:
        fresh, old = {(c.op, c.impl) for c in new.calls}, tables[new.shape]
        keep = lambda rows: tuple(row for row in rows if (row.op, row.impl) not in fresh)
        new = dataclasses.replace(new, kernels=keep(old.kernels) + new.kernels, calls=keep(old.calls) + new.calls)
    ordered = sorted((tables | {new.shape: new}).values(), key=lambda one: SCALES.index(one.shape))
    JSON.write_text(json.dumps([dataclasses.asdict(one) for one in ordered], indent=1) + "\n")
    MARKDOWN.write_text(markdown(ordered))


def markdown(tables: list[Table]) -> str:
    """The text of H200.md."""
    parts = [_HEADER]
    for one in tables:
        parts.append(f"\n## {one.shape}\n\njax {one.jax}, ptxas {one.ptxas}.\n\n{_KERNELS}")
        for k in one.kernels:
            cells = (
                k.op, k.impl, k.name, k.registers, k.spill_bytes, k.stack_bytes, k.smem_bytes, k.warps,
                k.blocks_per_sm, k.limiter, f"{k.bytes / 1e6:.1f}", k.floor_us, " ".join(k.warnings),
            )  # fmt: skip
            parts.append("| " + " | ".join(map(str, cells)) + " |\n")
        parts.append(f"\n{_CALLS}")
        for c in one.calls:
            cells = (c.op, c.impl, c.direction, f"{c.temp_bytes / 2**20:.1f}", f"{c.bytes / 1e6:.1f}",
                     f"{c.min_bytes / 1e6:.1f}", f"{c.bytes / c.min_bytes:.2f}", c.floor_us)  # fmt: skip
            parts.append("| " + " | ".join(map(str, cells)) + " |\n")
    return "".join(parts)


_HEADER = """# The kernels on an H200, by compilation

Nothing here is measured. XLA, Mosaic GPU and ptxas compiled the kernels for an H200 on a machine without one; batch 1,
8192 tokens, bfloat16, forward and gradient of all arguments from saved inputs. Made by
`python scripts/h200_kernels.py --shape=1B --record`, and so for the other scales; h200.json holds the same as data.
Bytes of a launch count every operand and result once, so times are floors: bytes at 4.8 TB/s, products at their peak,
at least 2 us a launch. Bars: no spill; two blocks or eight warps at work on a multiprocessor.
"""
_KERNELS = (
    "| op | implementation | kernel | registers | spill bytes | stack bytes | shared bytes | warps | blocks/SM | limit "
    "| MB | floor us | ptxas warns |\n|" + "---|" * 13 + "\n"
)
_CALLS = (
    "| op | implementation | direction | temporaries MiB | MB moved | least MB | ratio | floor us |\n|" + "---|" * 8
    + "\n"
)  # fmt: skip
