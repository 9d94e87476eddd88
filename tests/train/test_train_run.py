"""Whole runs of a client that knows only the kit: killed, continued, on other devices, with other checkpoints."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pytest
from linear_client import train

from aira_jax.train.checkpoints import Saving
from aira_jax.train.metrics import read

ROOT = Path(__file__).parents[2]
CLIENT = Path(__file__).with_name("linear_client.py")


def start(folder: Path, *flags: str, devices: int = 1) -> subprocess.Popen:
    count = f"--xla_force_host_platform_device_count={devices}"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "XLA_FLAGS": f"{os.environ.get('XLA_FLAGS', '')} {count}"}
    arguments = [sys.executable, str(CLIENT), str(folder), *flags]
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def rows(folder: Path) -> list[dict]:
    return list(read(folder / "metrics.jsonl"))


def wait_for(folder: Path, step: int, process: subprocess.Popen) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        if any(row["step"] >= step for row in rows(folder)):
            return
        time.sleep(0.02)
    raise AssertionError(f"update {step} never came: {process.communicate()[1]}")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """An uninterrupted run on one device: its folder and its last state."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    return folder, train(folder)


def same(a, b) -> bool:
    return jax.tree.all(jax.tree.map(np.array_equal, a, b))


@pytest.mark.parametrize(
    "number, code", [(signal.SIGTERM, 75), pytest.param(signal.SIGKILL, -9, marks=pytest.mark.slow)]
)
def test_a_run_that_is_stopped_continues_bit_for_bit(whole, tmp_path, number, code):
    folder = tmp_path / "run"
    process = start(folder, "--wait_s=0.05")
    wait_for(folder, 14, process)
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == code, err
    saved = max(int(path.name) for path in (folder / "checkpoints").iterdir() if path.name.isdigit())
    assert saved == 10 if number is signal.SIGKILL else f"after update {saved}" in err
    assert saved < 40
    assert same(train(folder), whole[1])
    assert rows(folder) == rows(whole[0])


def test_two_devices_hold_a_half_each_and_one_device_continues_their_run(whole, tmp_path):
    folder = tmp_path / "run"
    out, err = start(folder, "--sharded", devices=2).communicate(timeout=120)
    assert json.loads(out.splitlines()[-1]) == [[8, 4]] * 4, err
    shutil.rmtree(folder / "checkpoints" / "40")
    continued = train(folder)
    assert int(continued.step) == 40
    assert [row["step"] for row in rows(folder)] == list(range(1, 41))
    np.testing.assert_allclose(continued.params["w"], whole[1].params["w"], atol=1e-5)


def test_checkpoints_written_beside_the_updates_equal_the_others(whole, tmp_path):
    folder = tmp_path / "run"
    assert same(train(folder, saving=Saving.ASYNC, every=1), whole[1])
    shutil.rmtree(folder / "checkpoints" / "40")
    assert same(train(folder, saving=Saving.ASYNC), whole[1])
