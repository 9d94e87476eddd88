"""Sharded operators on eight CPU devices equal one device, with no collectives but sums of replicated gradients."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent


def run(seed: int, *checks: str) -> dict:
    flags = f"{os.environ['XLA_FLAGS']} --xla_force_host_platform_device_count=8"
    environment = os.environ | {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}
    environment["PYTHONPATH"] = str(HERE.parents[1])
    command = [sys.executable, str(HERE / "sharded_check.py"), str(seed), *checks]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def check_sums_only(found: dict) -> None:
    """All-reduce is the only collective, and it sums nothing larger than the gradients of replicated inputs."""
    assert set(found["kinds"]) <= {"all-reduce"}, found
    assert found["error"] < 1e-5, found


def test_batch_and_heads(seed):
    found = run(seed, "4x2")
    check_sums_only(found["4x2"])
    replicated = {"f32[4]", "f32[2,24,1,4]"}  # dA, dD, ddt_bias; dB, dC
    assert set(found["4x2"]["summed"]) <= replicated, found["4x2"]["summed"]


@pytest.mark.slow
def test_other_meshes_and_tokens(seed):
    for found in run(seed, "8x1", "2x4", "xent").values():
        check_sums_only(found)


@pytest.mark.slow
def test_time(seed):
    for name, found in run(seed, "time", "conv").items():
        assert found["error"] < 1e-5, (name, found)
