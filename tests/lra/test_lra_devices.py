"""Data parallel training: the batch is split over the devices, the result is that of one device."""

import json
import os
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from lra_models import GOOD, MINIMAL, SMALL, job, listops

from lra import train
from lra.failures import CandidateFault

TWO = "--xla_force_host_platform_device_count=2"
PROGRAM = """
import json, pathlib, sys
import jax, numpy as np
from lra import train
from lra.job import Job

job = Job.from_json(json.loads(sys.stdin.read()))
report = train.run(job)
spread = report.trained.programs.steps.place({"inputs": np.zeros((16, 40), np.int32)})["inputs"]
leaves = {str(n): np.asarray(leaf) for n, leaf in enumerate(jax.tree.leaves(report.trained.params))}
np.savez(job.workdir / "params.npz", **leaves)
print(json.dumps([jax.local_device_count(), len({s.device for s in spread.addressable_shards}), report.test_accuracy]))
"""


def elsewhere(chosen, tmp_path) -> subprocess.CompletedProcess:

    environment = {**os.environ, "XLA_FLAGS": f"{os.environ.get('XLA_FLAGS', '')} {TWO}"}
    environment["PYTHONPATH"] = str(Path(__file__).parents[2])
    arguments = [sys.executable, "-c", PROGRAM]
    request = json.dumps(chosen.to_json())
    return subprocess.run(arguments, input=request, capture_output=True, text=True, env=environment)


@pytest.mark.slow
def test_two_devices_train_the_model_of_one(tmp_path):

    data = listops(tmp_path / "data")
    source = GOOD.replace("nn.Dropout(0.1", "nn.Dropout(0.0")
    one = train.run(job(data, tmp_path / "one", source))
    done = elsewhere(job(data, tmp_path / "two", source), tmp_path)
    assert done.returncode == 0, done.stderr
    devices, spread, accuracy = json.loads(done.stdout.splitlines()[-1])
    assert (devices, spread) == (2, 2)
    assert accuracy == pytest.approx(one.test_accuracy, abs=0.02)
    stored = np.load(tmp_path / "two" / "params.npz")
    for n, leaf in enumerate(jax.tree.leaves(one.trained.params)):
        np.testing.assert_allclose(stored[str(n)], leaf, atol=2e-3)


@pytest.mark.slow
def test_a_batch_that_the_devices_cannot_share_is_refused(tmp_path):
    chosen = job(listops(tmp_path / "data"), tmp_path / "run", MINIMAL, SMALL.replace(batch_size=15))
    done = elsewhere(chosen, tmp_path)
    assert "batch_size = 15 is no multiple of the 2 devices" in done.stderr
    assert CandidateFault.__name__ in done.stderr
