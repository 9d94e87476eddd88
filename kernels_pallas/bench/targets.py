"""Speed targets, and the tuned table made from measured winners."""

import json

from kernels_pallas.bench import shapes
from kernels_pallas.bench.rows import best, microseconds
from kernels_pallas.common.dispatch import TUNED_PATH


def check(rows: list[dict]) -> list[str]:
    """What misses its target among the measured rows; compared are arms of one dtype on one device."""
    alike: dict[tuple, list[dict]] = {}
    for row in rows:
        alike.setdefault((row["dtype"], row["device"]), []).append(row)
    return [line for group in alike.values() for line in _check(group)]


def _check(rows: list[dict]) -> list[str]:
    """CPU targets are ratios of CPU time within one run."""
    fast, missed = {(r["op"], r["shape"], r["arm"]): r for r in best(rows)}, []

    def ratio(op, shape, slow, quick, least):
        a, b = (fast.get((op, shape, arm)) for arm in (slow, quick))
        if a and b and a["driver"] is None:
            value = a["fwd_bwd_cpu_us"] / b["fwd_bwd_cpu_us"]
            if value < least:
                missed.append(f"{op} {shape}: {quick} is {value:.2f}x faster than {slow}; target {least}x")

    for shape in {row["shape"] for row in rows}:
        if shapes.shape(shape).L >= 512:
            ratio("ssd", shape, "einsum_autodiff", "xla_scan", 1.5)
            ratio("ssd", shape, "associative_over_time", "xla_scan", 3)
            ratio("causal_conv1d", shape, "grouped_convolution", "xla", 5)
    return missed + _gpu(fast)


def _gpu(fast: dict) -> list[str]:
    """1B shape, one sequence of 8192 in bfloat16 on one H200."""
    ours = min(
        (
            r
            for (op, shape, arm), r in fast.items()
            if op == "ssd" and shape == "1b" and arm.startswith("pallas") and r["driver"]
        ),
        key=lambda r: r["fwd_us"],
        default=None,
    )
    if ours is None:
        return []
    forward = ours["fwd_device_us"] or ours["fwd_us"]
    backward = (ours["fwd_bwd_device_us"] or ours["fwd_bwd_us"]) - forward
    missed = [f"ssd 1b: forward {forward:.0f} us; target 250 us on an H200"] if forward > 250 else []
    peer = fast.get(("ssd", "1b", "mamba_ssm"))
    if peer and forward > peer["fwd_us"]:
        missed.append(f"ssd 1b: forward {forward:.0f} us; mamba_ssm {peer['fwd_us']:.0f} us")
    if peer and backward > peer["bwd_us"]:
        missed.append(f"ssd 1b: backward {backward:.0f} us; mamba_ssm {peer['bwd_us']:.0f} us")
    return missed


def update_tuned(rows: list[dict]) -> int:
    """Records the fastest arm of every (op, shape) measured on a GPU in tuned.json; returns how many.

    Baselines and the reference implementation (which may need far more memory) are never recorded.
    """
    table = json.loads(TUNED_PATH.read_text())
    entries = {(e["op"], e["device_kind"], e["key"]): e for e in table["entries"]}
    winners: dict[tuple, dict] = {}
    for row in best(rows):
        if row["driver"] is None or row["arm"] in ("mamba_ssm", "reference"):
            continue
        key = (row["op"], row["device"], shapes.spec(row["op"], shapes.shape(row["shape"]), row["dtype"]).key())
        if key not in winners or microseconds(row) < microseconds(winners[key]):
            winners[key] = row
    for (op, device, key), row in winners.items():
        made = {k: row[k] for k in ("fwd_us", "fwd_bwd_us", "jax", "driver", "commit", "time_utc")}
        entry = {"op": op, "device_kind": device, "key": key, "impl": row["arm"], "chunk": row["chunk"]}
        entry["blocks"] = row.get("blocks", {})
        entries[op, device, key] = entry | {"provenance": made}
    TUNED_PATH.write_text(json.dumps(table | {"entries": list(entries.values())}, indent=1) + "\n")
    return len(winners)
