"""The training loop on the other tasks: pairs of documents, text with its validation rows, generated ones."""

import subprocess
import sys

import numpy as np
import pytest
from lra_models import MINIMAL, SMALL

from aira_jax.train.metrics import read
from lra import reporting, train
from lra.data import build, store, text
from lra.job import Job, Recipe, ScoreParams, TrainOn, make_job
from lra.rows import joined, select

SHORT = SMALL.replace(num_train_steps=6, eval_frequency=5, max_length=64)


@pytest.fixture(scope="module")
def reviews(tmp_path_factory):
    """A tiny Text data set whose label is one of two words."""
    words = {0: "awful", 1: "lovely"}
    rows = [text.Review(f"{n}", n % 2, f"{n}: a {words[n % 2]} film".encode()) for n in range(200)]
    out = tmp_path_factory.mktemp("text") / "data"
    text.build(out, text.SAMPLES, rows, rows[:40], seed=0, command="make text", rebuild=False)
    return out


def job(task, data, tmp_path, source=MINIMAL, **others) -> Job:
    path = tmp_path / "model.py"
    path.write_text(source)
    return Job(task, data, str(path), SHORT, "smoke", tmp_path / "run", recipe=Recipe(), **others)


def test_full_training_adds_the_validation_rows_and_marks_them_as_seen(reviews, tmp_path):
    report = train.run(job("text", reviews, tmp_path, train_on=TrainOn.FULL))
    data = store.open(reviews)
    assert report.train_rows == len(data.split("train")) + len(data.split("validation"))
    rows = [row for row in read(tmp_path / "run" / "metrics.jsonl") if row["kind"] != "train"]
    seen = {(row["kind"], row.get("split")): row.get("seen", False) for row in rows}
    assert seen == {("eval", None): True, ("full", "validation"): True, ("full", "test"): False}
    assert any("trains on the validation rows" in warning for warning in report.warnings)
    assert {row["name"] for row in report.diagnostics["test"]["baselines"]} == {
        "majority",
        "byte 1-gram",
        "byte 6-gram",
    }


def test_rows_that_were_seen_choose_no_parameters(reviews, tmp_path):
    with pytest.raises(ValueError, match="train_on=full needs score_params=final"):
        job("text", reviews, tmp_path, train_on=TrainOn.FULL, score_params=ScoreParams.BEST)


def test_joined_rows_are_those_of_both_splits(reviews):
    data = store.open(reviews)
    parts = [data.split(name) for name in ("train", "validation")]
    whole = joined(*parts)
    assert len(whole) == sum(map(len, parts))
    expected = parts[1].batch(np.arange(3), 32)
    found = whole.batch(len(parts[0]) + np.arange(3), 32)
    assert all(np.array_equal(found[key], expected[key]) for key in expected)


DUAL = """
import flax.linen as nn
import jax.numpy as jnp

class CustomDualEncoder(nn.Module):
    vocab_size: int
    num_classes: int

    @nn.compact
    def __call__(self, inputs1, inputs2, *, train=False):
        embed = nn.Embed(self.vocab_size, 8)
        return nn.Dense(self.num_classes)(jnp.concatenate([embed(inputs1).mean(1), embed(inputs2).mean(1)], -1))
"""


def test_pairs_of_documents_train_and_surrogates_are_named(surrogate, tmp_path):
    report = train.run(job("retrieval", surrogate.folder, tmp_path, DUAL))
    assert report.surrogate
    assert any("surrogate" in warning for warning in report.warnings)
    assert report.tokens_per_s == pytest.approx(report.steps_per_s * 16 * 64 * 2)
    assert "surrogate" in (tmp_path / "run" / "plots" / "accuracy.svg").read_text()


@pytest.mark.slow
def test_generated_tasks_train_with_their_profile(tmp_path):
    data = tmp_path / "data"
    build.make(build.Request(build.Task.RECALL, length=64, pairs=4, queries=2, train=200, validation=50, test=50), data)
    overrides = {"num_train_steps": 2, "num_layers": 1}
    report = train.run(make_job("recall", data, tmp_path / "run", model="linear", overrides=overrides))
    assert report.diagnostics["test"]["baselines"][-1]["name"] == "value shown once"


def test_rows_that_lose_their_end_are_a_warning(reviews, tmp_path):
    data = tmp_path / "data"
    build.make(build.Request(build.Task.LISTOPS, train=50, validation=10, test=10), data)
    chosen = job("listops", data, tmp_path)
    (warning,) = reporting.doubts(chosen, select(store.open(data), chosen))
    assert "100% of the rows are longer than max_length 64" in warning
    found = reporting.doubts(job("text", reviews, tmp_path), select(store.open(reviews), chosen))
    assert not any("lose their end" in warning for warning in found)


@pytest.mark.slow
def test_nothing_imports_tensorflow_or_torch(tmp_path):
    program = f"""
import importlib, pathlib, pkgutil, sys
import lra
from lra import job, train
from lra.data import build
for module in pkgutil.walk_packages(lra.__path__, "lra."):
    importlib.import_module(module.name)
folder = pathlib.Path({str(tmp_path)!r})
small = build.Request(build.Task.LISTOPS, profile=build.Profile.SMOKE, train=200, validation=50, test=50)
build.make(small, folder / "data")
train.run(job.make_job("listops", folder / "data", folder / "run", overrides={{"num_train_steps": 2}}))
sys.exit(any(name in sys.modules for name in ("tensorflow", "torch")))
"""
    assert subprocess.run([sys.executable, "-c", program], capture_output=True).returncode == 0
