"""One row of results per arm, the file that holds them, and its markdown form."""

import json
import os
from pathlib import Path

from kernels_pallas.common import roofline


class Results:
    """Rows in one JSON document that is valid after every arm: an interrupted run loses nothing and is resumed."""

    def __init__(self, path: Path):
        self.path = path
        self.rows = json.loads(path.read_text())["rows"] if path.exists() else []

    def find(self, identity: dict) -> dict | None:
        """The finished row of this arm, shape and dtype, if it is there."""
        return next((row for row in self.rows if all(row.get(k) == v for k, v in identity.items())), None)

    def add(self, row: dict) -> None:
        self.rows.append(row)
        self.save()

    def save(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        fresh = self.path.with_suffix(".tmp")
        fresh.write_text(json.dumps({"rows": self.rows}, indent=1) + "\n")
        os.replace(fresh, self.path)


def figures(spec, chunk: int | None, forward, both, peaks: roofline.Peaks | None) -> dict:
    """Times, work and floor ratios of an arm from its two timings."""
    fwd, total = (t.device_us or t.wall_us for t in (forward, both))
    done = roofline.work(spec, chunk or 128)
    row = {
        "fwd_us": forward.wall_us, "fwd_bwd_us": both.wall_us, "bwd_us": both.wall_us - forward.wall_us,
        "fwd_cpu_us": forward.cpu_us, "fwd_bwd_cpu_us": both.cpu_us,
        "fwd_device_us": forward.device_us, "fwd_bwd_device_us": both.device_us,
        "dispatch_bound": forward.dispatch_bound or both.dispatch_bound,
        "compile_s": forward.compile_s + both.compile_s,
        "gflop_fwd": done.forward_flops / 1e9, "gflop_bwd": done.backward_flops / 1e9,
        "mb_fwd": done.forward_bytes / 1e6, "mb_bwd": done.backward_bytes / 1e6,
        "peak_flops_share": None, "peak_bytes_share": None, "floor_ratio_fwd": None, "floor_ratio_bwd": None,
    }  # fmt: skip
    if peaks is not None:
        floor_fwd, floor_bwd = done.floor_us(peaks)
        row["peak_flops_share"] = done.forward_flops / (fwd * 1e-6) / peaks.flops
        row["peak_bytes_share"] = done.forward_bytes / (fwd * 1e-6) / peaks.bytes
        row |= {"floor_ratio_fwd": fwd / floor_fwd, "floor_ratio_bwd": max(total - fwd, 0) / floor_bwd}
    return row


HEADER = (
    "| op | arm | shape | dtype | fwd ms | fwd+bwd ms | fwd+bwd CPU ms | x floor fwd / bwd | x peer | compile s "
    "| device | jax | commit | date |\n" + "|---" * 14 + "|"
)


def markdown(row: dict) -> str:
    """A row of BENCHMARKS.md."""
    floor = f"{row['floor_ratio_fwd']:.1f} / {row['floor_ratio_bwd']:.1f}" if row.get("floor_ratio_fwd") else "-"
    peer = f"{row['peer_ratio_fwd']:.2f}" if row.get("peer_ratio_fwd") else "-"
    cells = [
        row["op"], row["label"], row["shape"], row["dtype"], f"{row['fwd_us'] / 1e3:.2f}",
        f"{row['fwd_bwd_us'] / 1e3:.2f}", f"{row['fwd_bwd_cpu_us'] / 1e3:.1f}", floor, peer, f"{row['compile_s']:.1f}",
        f"{row['device']} ({row['cores']} cores)" if row["driver"] is None else row["device"], row["jax"],
        f"{row['commit']}{'+' if row['dirty'] else ''}", row["time_utc"][:10],
    ]  # fmt: skip
    return "| " + " | ".join(cells) + " |"


def best(rows: list[dict]) -> list[dict]:
    """The fastest finished row of every (op, arm, shape, dtype, device), over chunks and block sizes."""
    found: dict[tuple, dict] = {}
    for row in rows:
        if row.get("error") is None and "fwd_bwd_us" in row:
            key = tuple(row[k] for k in ("op", "arm", "shape", "dtype", "device"))
            if key not in found or microseconds(row) < microseconds(found[key]):
                found[key] = row
    return list(found.values())


def microseconds(row: dict) -> float:
    """What arms are compared by, forward and backward: device time, or CPU time where there is no GPU."""
    return row["fwd_bwd_device_us"] or (row["fwd_bwd_cpu_us"] if row["driver"] is None else row["fwd_bwd_us"])


def compare_with_peer(rows: list[dict]) -> None:
    """Adds to every timed row the ratio of its times to those of the best chunk of mamba_ssm at the same shape."""
    same = ("op", "shape", "dtype", "device")
    peers = {tuple(r[k] for k in same): r for r in best(rows) if r["arm"] == "mamba_ssm"}
    for row in rows:
        peer = peers.get(tuple(row[k] for k in same))
        if peer is not None and "fwd_us" in row:
            row["peer_ratio_fwd"] = (row["fwd_device_us"] or row["fwd_us"]) / peer["fwd_us"]
            row["peer_ratio_fwd_bwd"] = (row["fwd_bwd_device_us"] or row["fwd_bwd_us"]) / peer["fwd_bwd_us"]
