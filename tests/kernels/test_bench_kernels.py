"""The benchmark script on a CPU: valid JSON with every field, resume without repeating, refusals."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from kernels_pallas.bench import rows, targets

SCRIPT = Path(__file__).parents[2] / "scripts" / "bench_kernels.py"
FIELDS = {
    "op", "arm", "label", "shape", "dims", "dtype", "chunk", "fwd_us", "bwd_us", "fwd_bwd_us", "fwd_device_us",
    "dispatch_bound", "gflop_fwd", "gflop_bwd", "mb_fwd", "mb_bwd", "peak_flops_share", "peak_bytes_share",
    "floor_ratio_fwd", "floor_ratio_bwd", "rms_errors", "compile_s", "device", "driver", "jax", "jaxlib", "python",
    "torch", "triton", "commit", "dirty", "time_utc", "error",
}  # fmt: skip


def bench(*flags):
    command = [sys.executable, str(SCRIPT), "--device=cpu", *flags]
    environment = os.environ | {"JAX_PLATFORMS": "cpu"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_rows_are_complete_and_finished_arms_are_not_repeated(tmp_path):
    out = tmp_path / "out.json"
    flags = ("--op=gated_norm", "--shape=tiny", f"--json={out}")
    first = bench(*flags)
    assert first.returncode == 0, first.stderr
    assert "no GPU: CPU arms only" in first.stdout
    assert "peer: not run (no --mamba_ssm_path)" in first.stdout
    found = json.loads(out.read_text())["rows"]
    assert [row["arm"] for row in found] == ["xla"]
    assert set(found[0]) >= FIELDS
    second = bench(*flags, f"--mamba_ssm_path={tmp_path}")
    assert second.returncode == 0, second.stderr
    assert "already in" in second.stdout
    assert "peer: not run" in second.stdout
    assert "lacks mamba_ssm/ops/triton/ssd_combined.py" in second.stdout
    assert json.loads(out.read_text())["rows"] == found


@pytest.mark.slow
def test_an_empty_budget_runs_nothing_and_the_next_run_goes_on(tmp_path):
    out = tmp_path / "out.json"
    flags = ("--op=ssd", "--shape=tiny", "--chunks=16", f"--json={out}")
    assert bench(*flags, "--budget_s=0").returncode == 1
    assert not out.exists()
    assert bench(*flags).returncode == 0
    labels = [row["label"] for row in json.loads(out.read_text())["rows"]]
    assert labels == ["xla_scan[16]", "xla[16]", "einsum_autodiff[16]", "associative_over_time", "reference"]


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


def test_targets_compare_the_best_chunks_within_one_run():
    good = [row("xla_scan", 120), row("xla_scan", 100), row("einsum_autodiff", 150), row("associative_over_time", 301)]
    assert targets.check(good) == []
    slow = [row("xla_scan", 101), row("einsum_autodiff", 150)]
    assert targets.check(slow) == ["ssd small: xla_scan is 1.49x faster than einsum_autodiff; target 1.5x"]


def test_a_failed_arm_is_never_the_best():
    assert [r["fwd_bwd_us"] for r in rows.best([row("xla", 5, error="dx rms 1e-1 > 1e-5"), row("xla", 9)])] == [9]
