"""Whole pretrainings: stopped and continued, on other meshes, in several processes, with settings that do not fit."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pytest
import tiny

from aira_jax.pretrain.train import train
from aira_jax.train.checkpoints import Checkpoints
from aira_jax.train.metrics import read, without_timing

ROOT = Path(__file__).parents[2]


def start(folder: Path, *options: str, devices: int = 1, process: int | None = None, port: int = 0):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "JAX_NUM_CPU_DEVICES": str(devices)}
    if process is not None:
        run = {"COORDINATOR": f"127.0.0.1:{port}", "PROCESS": str(process), "PROCESSES": "2"}
        environment |= {f"AIRA_JAX_{name}": value for name, value in run.items()}
    arguments = [sys.executable, str(ROOT / "tests" / "pretrain" / "tiny.py"), str(folder)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen([*arguments, *(f"--{o}" for o in options)], text=True, env=environment, **pipes)


def finish(process, code: int = 0) -> dict:
    out, err = process.communicate(timeout=300)
    assert process.returncode == code, err[-3000:]
    return json.loads(out.splitlines()[-1])


def rows(folder: Path) -> list[dict]:
    keep = [without_timing(row) for row in read(folder / "metrics.jsonl")]
    return sorted(keep, key=lambda row: (row["step"], row["kind"]))


def losses(folder: Path) -> np.ndarray:
    return np.array([row["loss"] for row in rows(folder) if row["kind"] == "train"])


def weights(folder: Path) -> list[np.ndarray]:
    with Checkpoints(folder / "checkpoints") as saved:
        state = saved._manager.restore(saved.latest)
    return [np.asarray(leaf) for leaf in jax.tree.leaves(state)]


def wait_for(folder: Path, step: int, *running) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and all(process.poll() is None for process in running):
        if any(row["step"] >= step for row in read(folder / "metrics.jsonl")):
            return
        time.sleep(0.02)
    raise AssertionError(f"update {step} never came: {running[0].communicate()[1][-3000:]}")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """An uninterrupted run of 20 updates on one device."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    result = train(tiny.settings("pattern=A-M"), folder)
    return folder, result


def test_a_run_says_what_it_is(whole):
    folder, result = whole
    assert result == json.loads((folder / "result.json").read_text())
    assert (result["status"], result["steps"], result["tokens"]) == ("completed", 20, 20 * 8 * 32)
    assert result["train_loss"] < losses(folder)[0] - 0.5
    assert result["val_bpb"] == pytest.approx(result["val_loss"] / np.log(2), rel=0.05)
    assert (result["pattern"], result["mesh"], result["seed"]) == ("A-M", {"replica": 1, "fsdp": 1}, 0)


def test_more_steps_continue_a_run_and_the_same_number_trains_nothing(whole, tmp_path):
    folder = tmp_path / "run"
    train(tiny.settings("pattern=A-M", "optimizer.decay=wsd", "optimizer.warmup=1", "steps=12"), folder)
    assert [row["step"] for row in rows(folder) if row["kind"] == "train"] == list(range(1, 13))
    longer = train(tiny.settings("pattern=A-M", "optimizer.decay=wsd", "optimizer.warmup=1", "steps=15"), folder)
    assert (longer["status"], longer["steps"]) == ("completed", 15)
    again = train(tiny.settings("pattern=A-M", "optimizer.decay=wsd", "optimizer.warmup=1", "steps=15"), folder)
    assert again["steps"] == 15
    assert [row["step"] for row in rows(folder) if row["kind"] == "train"] == list(range(1, 16))


@pytest.mark.parametrize(
    "option, told",
    [
        ("pattern=A-M-M", "pattern"),
        ("batch=16", "batch"),
        ("length=16", "length"),
        ("seed=1", "seed"),
        ("data.tokenizer=bpe:300", "tokenizer"),
    ],
)
def test_another_run_in_the_folder_is_refused_key_by_key(whole, option, told):
    folder, _ = whole
    with pytest.raises(ValueError, match=rf"holds another run(.|\n)*{told}"):
        train(tiny.settings("pattern=A-M", option), folder)


@pytest.mark.slow
@pytest.mark.parametrize("number, code", [(signal.SIGTERM, 75), (signal.SIGKILL, -9)])
def test_a_run_that_is_stopped_continues_bit_for_bit(tmp_path, number, code):
    one, other = tmp_path / "one", tmp_path / "other"
    finish(start(one))
    process = start(other, "save_every=3", "saving=sync")
    wait_for(other, 7, process)
    process.send_signal(number)
    process.communicate(timeout=60)
    assert process.returncode == code
    (other / "checkpoints" / "9999.orbax-checkpoint-tmp").mkdir()  # what a killed save leaves
    finish(start(other, "save_every=10"))
    assert rows(one) == rows(other)
    for a, b in zip(weights(one), weights(other), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.slow
def test_every_mesh_trains_the_same_model_and_restores_the_others(tmp_path):
    finish(start(tmp_path / "one"))
    for replica, fsdp in ((1, 8), (2, 4), (8, 1)):
        folder = tmp_path / f"{replica}x{fsdp}"
        finish(start(folder, f"mesh.replica={replica}", f"mesh.fsdp={fsdp}", devices=8))
        np.testing.assert_allclose(losses(folder), losses(tmp_path / "one"), rtol=1e-5)
    result = finish(start(tmp_path / "2x4", "steps=25", "microbatch=1", devices=4))
    assert (result["steps"], result["mesh"]) == (25, {"replica": 1, "fsdp": 4})


@pytest.mark.slow
def test_accumulation_changes_nothing(tmp_path):
    finish(start(tmp_path / "one"))
    finish(start(tmp_path / "four", "microbatch=2"))
    np.testing.assert_allclose(losses(tmp_path / "four"), losses(tmp_path / "one"), rtol=1e-5)


@pytest.mark.slow
def test_two_processes_are_one_run_that_stops_as_one_and_continues_alone(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    one, both, asked = tmp_path / "one", tmp_path / "both", ("pattern=A-M", "steps=150", "log_every=50")
    finish(start(one, *asked, "mesh.replica=2", devices=8))
    pair = [start(both, *asked, devices=4, process=i, port=port) for i in range(2)]
    wait_for(both, 5, *pair)
    for process in pair:
        process.send_signal(signal.SIGTERM)
    stopped = [finish(process, 75) for process in pair]
    assert stopped[0]["mesh"] == {"replica": 2, "fsdp": 4}
    assert stopped[0]["steps"] == stopped[1]["steps"] < 150
    np.testing.assert_allclose(losses(both), losses(one)[: len(losses(both))], rtol=1e-5)
    assert finish(start(both, *asked))["steps"] == 150
    np.testing.assert_allclose(losses(both)[-1], losses(one)[-1], rtol=1e-2)
