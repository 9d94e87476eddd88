"""The dry run says of a cluster what holds of it, without the cluster."""

import json
import os
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from aira_jax import h200
from aira_jax.configs import pretrain
from aira_jax.pretrain.settings import Settings, design
from aira_jax.pretrain.train import language_model
from aira_jax.primitives.attention import AttentionImpl

ROOT = Path(__file__).parents[2]


def dryrun(config: str, *flags: str, code: int = 0) -> subprocess.CompletedProcess:
    command = [sys.executable, str(ROOT / "scripts" / "dryrun.py"), f"--config=configs/pretrain.py:{config}", *flags]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment, timeout=600)
    assert done.returncode == code, done.stderr[-3000:]
    return done


def report(config: str, *flags: str) -> dict:
    return json.loads(dryrun(config, *flags, "--json").stdout.splitlines()[-1])


def state_bytes(config: str, fsdp: int, least: int) -> int:
    """Of one device: parameters and two moments in float32, and two counters; layers of `least` elements are shared."""
    settings = Settings.of(pretrain.get_config(config))
    chosen = design(settings.model)
    params = jax.eval_shape(language_model(settings, chosen, AttentionImpl.DENSE).init, jax.random.key(0))
    total = 0
    for path, leaf in jax.tree_util.tree_leaves_with_path(params):
        stacked = getattr(path[0], "key", "").startswith("segment_")
        one = int(np.prod(leaf.shape[stacked:]))
        shared = one >= least and getattr(path[-1], "key", "") in ("kernel", "embedding")
        total += int(np.prod(leaf.shape)) * 4 * 3 // (fsdp if shared else 1)
    return total


def test_a_cluster_is_described_by_the_exact_shards_and_messages_of_its_step():
    config = "debug,length=32"
    found = report(config, "--devices=4", "--hosts=2", "--compiler=cpu", "--price=2")
    assert (found["compiler"], found["attention"], found["fits"], found["step_floor_s"]) == ("cpu", "dense", None, None)
    assert found["mesh"] == {"replica": 2, "fsdp": 2}
    assert found["n_params"] == 393_856
    assert found["n_embedding"] == 131_072
    memory = found["per_device"]
    counters = memory["state_bytes"] - state_bytes(config, fsdp=2, least=65_536)
    assert 0 < counters <= 16  # update numbers
    assert memory["argument_bytes"] == memory["state_bytes"] + 16 // 4 * 33 * 4
    gathers = [one for one in found["collectives"] if one["kind"] == "all-gather"]
    assert gathers
    assert not any(one["crosses_nodes"] for one in gathers)
    assert any(one["crosses_nodes"] for one in found["collectives"] if one["kind"] == "all-reduce")
    hours = found["hours_at_mfu"]["0.4"]
    flops = found["flops_per_token"] + 6 * 1024 * 128
    assert hours == pytest.approx(200 * 16 * 32 * flops / (4 * 989.5e12 * 0.4) / 3600)
    assert found["dollars_at_mfu"]["0.4"] == pytest.approx(hours * 4 * 2)


def test_gpus_that_hosts_cannot_share_are_refused():
    assert "--devices=6" in dryrun("debug", "--devices=6", "--hosts=4", code=2).stderr


@pytest.mark.slow
@pytest.mark.skipif(h200.missing() is not None, reason="needs the extra h200: make h200")
def test_the_compiler_for_hopper_says_whether_a_model_fits():
    found = report("debug,model.dtype=bfloat16", "--devices=8", "--hosts=2")
    assert (found["compiler"], found["attention"], found["fits"]) == ("h200", "cudnn", True)
    low, high = found["step_floor_s"]
    assert 0 < low <= high
    assert all(one["dtype"] == "bf16" for one in found["collectives"] if one["kind"] == "all-gather")


@pytest.mark.slow
def test_a_billion_parameters_on_sixteen_devices():
    config = "1b,arch=llama_3_2"
    found = report(config, "--devices=16", "--hosts=2", "--compiler=cpu")
    assert found["n_params"] == 973_146_112
    assert found["n_embedding"] == 262_668_288
    counters = found["per_device"]["state_bytes"] - state_bytes(config, fsdp=8, least=65_536)
    assert 0 < counters <= 16
    assert {"all-gather", "all-reduce"} <= {one["kind"] for one in found["collectives"]}
