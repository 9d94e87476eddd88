"""Sweeps of the block sizes of the Triton kernels: coordinate descent from the fastest arm measured so far."""

import dataclasses
from collections.abc import Iterator

from kernels_pallas.bench.arms import Arm
from kernels_pallas.bench.rows import best
from kernels_pallas.conv1d.pallas_triton import Blocks
from kernels_pallas.ssd.pallas_triton import TritonStages
from kernels_pallas.state_scan.pallas_triton import Scan

SWEPT = "pallas_triton"
KERNELS = {"ssd": TritonStages, "state_scan": Scan, "causal_conv1d": Blocks}
AXES = {
    "ssd": {
        "num_warps": (2, 4, 8),
        "grad_warps": (2, 4, 8),
        "tile": (32, 64, 128),
        "grad_tile": (32, 64, 128),
        "num_stages": (1, 2, 3),
        "heads": (4, 8, 16, 32),
        "scan_tile": (128, 256, 512, 1024),
    },
    "state_scan": {"tile": (128, 256, 512, 1024), "num_warps": (1, 2, 4, 8)},
    "causal_conv1d": {"time": (32, 64, 128), "channels": (64, 128, 256), "num_warps": (2, 4, 8)},
}


def fastest(rows: list[dict], like: dict) -> Arm | None:
    """The fastest finished Triton arm among rows with the fields `like` (operator, shape, dtype, device)."""
    found = best([r for r in rows if r["arm"] == SWEPT and all(r[k] == v for k, v in like.items())])
    if not found:
        return None
    row = found[0]
    return Arm(row["op"], SWEPT, row["chunk"], blocks=tuple(sorted(row.get("blocks", {}).items())))


def defaults(op: str) -> dict[str, int]:
    """The sizes that the Triton kernels of an operator take when nothing is tuned."""
    return {f.name: f.default for f in dataclasses.fields(KERNELS[op]) if f.name in AXES[op]}


def arms(rows: list[dict], like: dict) -> Iterator[Arm]:
    """Arms that change one block size of the fastest arm, axis by axis; `rows` grows while the arms are measured."""
    for axis, sizes in AXES.get(like["op"], {}).items():
        start = fastest(rows, like)
        for size in sizes if start else ():
            sized = defaults(like["op"]) | dict(start.blocks) | {axis: size}
            changed = {k: v for k, v in sized.items() if v != defaults(like["op"])[k]}
            yield dataclasses.replace(start, blocks=tuple(sorted(changed.items())))
