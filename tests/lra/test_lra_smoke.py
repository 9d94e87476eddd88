"""Whole smoke runs: what the profiles promise. A minute or more each."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from lra import designs, model, settings
from lra.data import build, store

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.slow


def trained(data: Path, workdir: Path, *flags: str) -> tuple[dict, str]:
    command = [sys.executable, str(ROOT / "scripts" / "lra_train.py"), f"--data={data}", f"--workdir={workdir}", *flags]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1]), done.stdout


@pytest.fixture(scope="module")
def listops(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("listops") / "data"
    build.make(build.Request(build.Task.LISTOPS, profile=build.Profile.SMOKE), out)
    return out


def test_listops_smoke_beats_the_root_operator(listops, tmp_path):
    last, said = trained(listops, tmp_path / "run", "--config=configs/lra.py:listops,encoder=transformer")
    assert last["test_accuracy"] >= 0.42
    assert last["params"] == 77_258
    assert "beats root operator (0.2210)" in said


def test_five_updates_do_not_beat_it_and_are_said_not_to(listops, tmp_path):
    few = "--config=configs/lra.py:listops,settings.num_train_steps=5"
    assert "does not beat root operator" in trained(listops, tmp_path / "run", few)[1]


def test_text_smoke_is_above_chance(text_samples, tmp_path):
    last, said = trained(text_samples.folder, tmp_path / "run", "--config=configs/lra.py:text")
    assert last["test_accuracy"] >= 0.56
    assert "byte 6-gram" in said


def _cut(rows: store.Split, length: int) -> store.Split:
    """The same rows, each ending after `length` tokens at the latest."""
    documents = rows.documents
    kept = [documents.row(n)[:length] for n in range(len(documents))]
    offsets = np.concatenate([[0], np.cumsum([len(row) for row in kept])])
    return dataclasses.replace(rows, documents=store.Documents(np.concatenate(kept), offsets, documents.shift))


@pytest.mark.parametrize("name, task", [(row.design, row.task) for row in designs.PUBLISHED])
def test_rows_padded_by_the_loader_to_twice_the_length_get_the_same_logits(name, task, request):
    if task == "listops":
        folder = request.getfixturevalue("listops")
        rows = store.open(folder).split("test")
    else:
        rows = request.getfixturevalue("text_samples" if task == "text" else "surrogate").split("test")
    chosen = settings.profile(task, "smoke").settings.replace(max_length=600, batch_size=4, num_layers=1)
    net = model.build(model.load(designs.path(name), task), task, chosen)
    variables = jax.jit(lambda key: model.initial(net, task, 600, key))(jax.random.key(0))
    forward = jax.jit(lambda variables, inputs: model.apply(net, variables, inputs, dropout=None)[0])
    short, long = (_cut(rows, 300).batch(np.arange(4), length) for length in (300, 600))
    assert all(value.shape == (4, 600) for value in model.inputs_of(long))
    found = [forward(variables, model.inputs_of(batch)) for batch in (short, long)]
    assert float(np.abs(np.subtract(*found)).max()) <= 1e-5
