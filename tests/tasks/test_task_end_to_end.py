"""The Compose tasks with real training, at the smoke profile."""

import json
import os
import subprocess
import sys

import pytest

from aira_jax.proxies import evaluator
from aira_jax.tasks import loader, mounts

NAME = "NeuralArchitectureSearchMAD2PrimitivesAccuracy"
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    return mounts.script_environment() | {"AIRA_JAX_CACHE": str(tmp_path_factory.mktemp("cache"))}


def mounted(workdir, *mounts):
    (workdir / "data").mkdir()
    for mount in mounts:
        for child in mount.iterdir():
            os.symlink(child, workdir / "data" / child.name)


@pytest.mark.parametrize("split", ["validation", "test"])
def test_evaluating_mounted_rows_equals_evaluating_drawn_rows(tmp_path, environment, split):
    task = loader.load(NAME)
    prepared = mounts.prepare_test(task, "smoke", tmp_path / "root")
    mounted(tmp_path, prepared.agent, prepared.eval_validation if split == "validation" else prepared.eval_test)
    (tmp_path / "submission.csv").write_text(task.starter["submission.csv"])
    flags = [f"--split={split}", "--profile=smoke", "--result-file=result.json"]
    command = [sys.executable, str(task.folder / "evaluate.py"), *flags]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / "result.json").read_text())
    assert done.stdout.splitlines() == ["--- EVALUATION RESULT ---", json.dumps({"Accuracy": result["value"]})]
    direct = evaluator.evaluate("8(A-M)", preset="smoke", split=split, cache_dir=environment["AIRA_JAX_CACHE"])
    assert result["value"] == direct.score
    assert result["extra"]["proxy"]["steps"] == direct.trained_steps > 0
    assert result["n_params"] == max(direct.parameters.values())
    assert result["extra"]["proxy"]["sources"] == direct.sources


def test_the_entry_script_measures_on_labelled_validation_rows_and_hands_in(tmp_path, environment):
    task = loader.load(NAME)
    prepared = mounts.prepare(task, "smoke", tmp_path / "root", self_reported=True)
    mounted(tmp_path, prepared.agent)
    (tmp_path / task.entry).write_text(task.starter[task.entry])
    command = [sys.executable, task.entry]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    expected = evaluator.evaluate("8(A-M)", preset="smoke", split="validation", cache_dir=environment["AIRA_JAX_CACHE"])
    assert done.stdout.strip() == f"validation Accuracy: {expected.score:.6f}"
    assert task.space.SPACE.read(tmp_path / "submission.csv").pretty() == "8(A-M)"
