"""The benchmark script on a CPU: valid JSON with every field, resume without repeating, refusals."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from kernels_pallas import SsdSpec, explain
from kernels_pallas.bench import peer, rows, runner, sweep, targets
from kernels_pallas.common import dispatch
from kernels_pallas.common.lowering import Target, device
from kernels_pallas.ssd import support

SCRIPT = Path(__file__).parents[2] / "scripts" / "bench_kernels.py"
FIELDS = {
    "op", "arm", "label", "shape", "dims", "dtype", "chunk", "fwd_us", "bwd_us", "fwd_bwd_us", "fwd_device_us",
    "dispatch_bound", "gflop_fwd", "gflop_bwd", "mb_fwd", "mb_bwd", "peak_flops_share", "peak_bytes_share",
    "floor_ratio_fwd", "floor_ratio_bwd", "rms_errors", "compile_s", "device", "driver", "jax", "jaxlib", "python",
    "torch", "triton", "commit", "dirty", "time_utc", "error", "blocks", "peer",
}  # fmt: skip


def bench(*flags):
    command = [sys.executable, str(SCRIPT), "--device=cpu", *flags]
    environment = os.environ | {"JAX_PLATFORMS": "cpu"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_rows_are_complete(tmp_path):
    out = tmp_path / "out.json"
    done = bench("--op=gated_norm", "--shape=tiny", f"--json={out}", f"--mamba_ssm_path={tmp_path}")
    assert done.returncode == 0, done.stderr
    assert "no GPU: CPU arms only" in done.stdout
    assert "peer: not run" in done.stdout
    assert "lacks mamba_ssm/ops/triton/ssd_combined.py" in done.stdout
    found = json.loads(out.read_text())["rows"]
    assert [row["arm"] for row in found] == ["xla"]
    assert set(found[0]) >= FIELDS
    assert found[0]["peer"] is None


def test_a_peer_that_cannot_run_says_why(tmp_path):
    assert peer.find("", "") == (None, "peer: not run (no --mamba_ssm_path)")
    for name in peer.FILES:
        (tmp_path / "mamba_ssm" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "mamba_ssm" / name).touch()
    assert peer.find(str(tmp_path), "no-such-python")[1] == "peer: not run (--peer_python: no program no-such-python)"
    (tmp_path / "python").write_text("#!/bin/sh\necho ImportError: no torch here >&2\nexit 1\n")
    (tmp_path / "python").chmod(0o700)
    assert peer.find(str(tmp_path), str(tmp_path / "python"))[1].endswith("python: ImportError: no torch here)")


@pytest.mark.slow
def test_an_empty_budget_runs_nothing_the_next_run_goes_on_and_finished_arms_are_not_repeated(tmp_path):
    out = tmp_path / "out.json"
    flags = ("--op=ssd", "--shape=tiny", "--chunks=16", f"--json={out}")
    assert bench(*flags, "--budget_s=0").returncode == 1
    assert not out.exists()
    assert bench(*flags).returncode == 0
    found_rows = json.loads(out.read_text())["rows"]
    labels = [row["label"] for row in found_rows]
    assert {row["peer"] for row in found_rows} == {"not run (no --mamba_ssm_path)"}
    assert labels == ["xla_scan[16]", "xla[16]", "einsum_autodiff[16]", "associative_over_time", "reference"]
    found = out.read_text()
    again = bench(*flags)
    assert again.returncode == 0, again.stderr
    assert again.stdout.count("already in") == len(labels)
    assert out.read_text() == found


@pytest.mark.slow
@pytest.mark.parametrize(
    "flags,message",
    [
        (("--shape=7B",), "unknown shape '7B'; one of tiny, small"),
        (("--op=attention",), "unknown operator 'attention'; one of ssd, state_scan"),
        (("--chunks=big",), "--chunks: 'big' is no positive integer"),
        (("--device=gpu",), "--device=gpu, but JAX finds no CUDA GPU"),
    ],
)
def test_bad_flags_exit_with_two_and_the_mend(flags, message):
    done = bench(*flags)
    assert done.returncode == 2
    assert message in done.stderr


def row(arm, cpu_us, shape="small", **changes):
    base = {"op": "ssd", "arm": arm, "shape": shape, "dtype": "float32", "device": "cpu", "driver": None, "error": None}
    times = {
        "fwd_bwd_cpu_us": cpu_us,
        "fwd_us": cpu_us / 3,
        "fwd_bwd_us": cpu_us,
        "fwd_bwd_device_us": None,
        "chunk": 32,
    }
    return base | times | changes


def test_the_file_holds_the_ratio_to_the_fastest_chunk_of_the_peer_on_the_same_device(tmp_path):
    results = rows.Results(tmp_path / "out.json")
    for arm, us in (("xla", 300), ("mamba_ssm", 200), ("mamba_ssm", 100), ("xla_scan", 50)):
        results.add(row(arm, us, driver="1", device="cpu" if arm == "xla_scan" else "H200", fwd_device_us=None))
    results.add({k: v for k, v in row("xla", 0, error="does not compile").items() if not k.endswith("_us")})
    rows.compare_with_peer(results.rows)
    results.save()
    ratios = [r.get("peer_ratio_fwd_bwd") for r in rows.Results(results.path).rows]
    assert ratios == [3, 2, 1, None, None]


def test_an_arm_that_does_not_exist_is_refused():
    request = runner.Request(("gated_rmsnorm",), ("tiny",), "float32", "cpu", None, ("xla", "xal"), 60.0, None, None)
    with pytest.raises(ValueError, match="--arms: no arm 'xal' of gated_rmsnorm here; one of mamba_ssm, xla"):
        runner.run(request, rows.Results(Path("unused.json")))


def test_targets_compare_the_best_chunks_within_one_run():
    good = [row("xla_scan", 120), row("xla_scan", 100), row("einsum_autodiff", 150), row("associative_over_time", 301)]
    assert targets.check(good) == []
    elsewhere = [row("xla_scan", 300, device="another cpu"), row("xla_scan", 300, dtype="bfloat16")]
    assert targets.check(good + elsewhere) == []
    slow = [row("xla_scan", 101), row("einsum_autodiff", 150)]
    assert targets.check(slow) == ["ssd small: xla_scan is 1.49x faster than einsum_autodiff; target 1.5x"]


def test_a_failed_arm_is_never_the_best():
    assert [r["fwd_bwd_us"] for r in rows.best([row("xla", 5, error="dx rms 1e-1 > 1e-5"), row("xla", 9)])] == [9]


BEST = {"num_warps": 8, "grad_tile": 32, "heads": 8}


def pretended(arm, spec, request):
    """A device on which chunk 128 and the sizes of BEST are fastest and two warps do not fit."""
    sizes = sweep.defaults("ssd") | dict(arm.blocks)
    if sizes["num_warps"] == 2:
        return {"error": "RuntimeError: out of resources"}
    time = 100 + abs(arm.chunk - 128) + sum(sizes[k] != v for k, v in BEST.items())
    return {"fwd_us": time / 3, "fwd_bwd_us": time, "fwd_bwd_device_us": None, "driver": "1", "error": None}


def swept(out, budget_s=60.0):
    results = rows.Results(out)
    request = runner.Request(
        ("ssd",), ("1b",), "bfloat16", "gpu", (64, 128), ("pallas_triton",), budget_s, None, None, sweep=True
    )
    return runner.run(request, results, say=lambda line: None), results.rows


def test_a_sweep_descends_axis_by_axis_and_the_table_gets_its_sizes(tmp_path, monkeypatch):
    monkeypatch.setattr(runner, "_measure", pretended)
    monkeypatch.setattr(targets, "TUNED_PATH", tmp_path / "tuned.json")
    (tmp_path / "tuned.json").write_text('{"entries": []}')
    complete, found = swept(tmp_path / "out.json")
    assert complete
    assert [row["label"] for row in found[:3]] == [f"pallas_triton[{t}]" for t in ("64", "128", "128,num_warps=2")]
    assert len({row["label"] for row in found}) == len(found)
    assert rows.best(found)[0]["blocks"] == BEST
    _, again = swept(tmp_path / "out.json")
    assert again[: len(found)] == found
    assert len({row["label"] for row in again}) == len(again)
    assert swept(tmp_path / "out.json") == (True, again)
    assert targets.update_tuned(found) == 1
    (entry,) = json.loads((tmp_path / "tuned.json").read_text())["entries"]
    assert (entry["impl"], entry["chunk"], entry["blocks"]) == ("pallas_triton", 128, BEST)


def test_a_sweep_without_budget_measures_nothing_and_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(runner, "_measure", pretended)
    assert swept(tmp_path / "out.json", budget_s=-1) == (False, [])


def test_tuned_blocks_reach_the_kernels(monkeypatch):
    """By name and by auto; a sweep's sizes replace the table's, also where the sweep takes the defaults."""
    spec = SsdSpec(1, 64, 2, 16, 1, 16)
    row = {"impl": "pallas_triton", "chunk": 64, "blocks": BEST}
    monkeypatch.setattr(dispatch, "_tuned", lambda stamp: {("ssd", Target.H100.value[0], spec.key()): row})
    with device(Target.H100):
        for impl in ("auto", "pallas_triton"):
            choice = explain("ssd", spec, impl=impl)
            stages = support.stages(choice, interpret=False)
            assert (choice.chunk, stages.num_warps, stages.grad_tile, stages.heads) == (64, 8, 32, 8)
        with dispatch.block_sizes(num_warps=2):
            assert explain("ssd", spec, impl="pallas_triton").blocks == (("num_warps", 2),)
        with dispatch.block_sizes():
            assert explain("ssd", spec, impl="pallas_triton").blocks == ()


def test_a_reference_implementation_is_never_tuned(tmp_path, monkeypatch):
    monkeypatch.setattr(targets, "TUNED_PATH", tmp_path / "tuned.json")
    (tmp_path / "tuned.json").write_text('{"entries": []}')
    assert targets.update_tuned([row("reference", 5, op="linear_xent", driver="1")]) == 0
