"""From the flags of scripts/bench_kernels.py to a finished run."""

from pathlib import Path

import jax

from kernels_pallas.bench import peer, rows, runner, shapes, targets
from kernels_pallas.common import roofline

FOLDER = Path(__file__).resolve().parents[1]


def main(flags: dict) -> int:
    """Exit code: 0, or 1 when an arm failed, was inaccurate or missed a target. ValueError for senseless flags."""
    device = _device(flags["device"])
    checkout, line = peer.find(flags["mamba_ssm_path"], flags["peer_python"])
    if device == "cpu":
        checkout, line = None, "peer: not run (no GPU)" if checkout else line
        print("no GPU: CPU arms only")
    print(line)
    peaks = _peaks(flags, device)
    names = [flags["shape"]] if flags["shape"] else flags["shapes"]
    for name in names:
        shapes.shape(name)
    request = runner.Request(
        ops=tuple(map(shapes.op_name, [flags["op"]] if flags["op"] else flags["ops"])),
        shapes=tuple(map(str.lower, names)),
        dtype=flags["dtype"] or ("float32" if device == "cpu" else "bfloat16"),
        device=device,
        chunks=tuple(map(_chunk, flags["chunks"])) or None,
        only=tuple(flags["arms"]) or None,
        budget_s=flags["budget_s"],
        peaks=peaks,
        peer=checkout,
        sweep=flags["sweep"],
        peer_note="mamba_ssm" if checkout else line.removeprefix("peer: "),
    )
    results = rows.Results(Path(flags["json"] or flags["out"] or FOLDER / "bench_results" / f"{device}.json"))
    complete = runner.run(request, results)
    return _finish(flags, results, complete)


def _finish(flags: dict, results: rows.Results, complete: bool) -> int:
    if results.rows:
        rows.compare_with_peer(results.rows)
        results.save()
    found = rows.best(results.rows)
    table = [rows.markdown(row) for row in found]
    print("\n".join([rows.HEADER, *table]))
    missed = targets.check(results.rows) if flags["check_targets"] else []
    print("\n".join(f"target missed: {line}" for line in missed))
    if flags["update_tuned"]:
        print(f"tuned.json: {targets.update_tuned(results.rows)} entries")
    if flags["append"]:
        with (FOLDER / "BENCHMARKS.md").open("a") as file:
            file.write("\n".join(["", rows.HEADER, *table, ""]))
    return 0 if complete and not missed else 1


def _device(wanted: str | None) -> str:
    found = "gpu" if jax.default_backend() == "gpu" else "cpu"
    if wanted == "gpu" and found != "gpu":
        raise ValueError(
            "--device=gpu, but JAX finds no CUDA GPU; install jax[cuda12] on a GPU machine, or use --device=cpu"
        )
    return wanted or found


def _peaks(flags: dict, device: str) -> roofline.Peaks | None:
    if flags["peak_tflops"] and flags["peak_tbs"]:
        return roofline.Peaks(flags["peak_tflops"] * 1e12, flags["peak_tbs"] * 1e12)
    known = roofline.peaks(jax.devices()[0].device_kind)
    if known is None and device == "gpu":
        print("unknown device: no floor ratio; give --peak_tflops and --peak_tbs")
    return known


def _chunk(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise ValueError(f"--chunks: {text!r} is no positive integer")
    return int(text)
