"""Editing what decides a score makes a new score: the digest of sources in every key."""

import json
import os
import shutil
import subprocess
import sys

import pytest

from aira_jax.core import sources as core_sources
from aira_jax.core.machine import ROOT
from aira_jax.proxies import evaluator, mad, sources
from aira_jax.proxies.corpora.store import Place

SCORE = """
import dataclasses, json, sys
from aira_jax.proxies import evaluator, fidelity
small = dataclasses.replace(fidelity.get("smoke"), d=8, train=16, test=16, epochs=1, batch=16)
options = {"preset": small, "tasks": ["memorization"], "reuse_scores": "reuse" in sys.argv, "engine": "shared"}
result = evaluator.evaluate("M", **options)
print(json.dumps([result.score, result.loss, result.cached, result.by_other_sources, "jax" in sys.modules]))
"""


@pytest.mark.parametrize(
    "module",
    ["primitives.block", "primitives.mamba2", "models.autoencoder", "proxies.train", "proxies.mad_rows"],
)
def test_what_trains_and_scores_is_in_the_digest(module):
    assert f"aira_jax.{module}" in core_sources.closure(sources.roots(), without=sources._WITHOUT)


def test_what_only_keeps_or_reports_results_is_not_in_the_digest():
    decides = core_sources.closure(sources.roots(), without=sources._WITHOUT)
    assert not {"aira_jax", "aira_jax.proxies.cache", "aira_jax.bench.proxies", "aira_jax.core.cli"} & {*decides}
    assert "kernels_pallas.ssd.xla" in decides


def test_other_sources_are_other_keys_of_results_rows_and_windows(monkeypatch, tmp_path):
    job = evaluator._Job(evaluator.patterns.parse("A"), evaluator.fidelity.get("smoke"), None, ("memorization",), 0,
                         "test", tmp_path, "auto")  # fmt: skip

    def keys():
        return job.key(0), mad._key("memorization", 1, 1, 0, {}), Place.of(tmp_path, {}).stem.name

    before = keys()
    monkeypatch.setattr(sources, "digest", lambda: "0" * 64)
    monkeypatch.setattr(sources, "of", lambda *modules: "0" * 64)
    after = keys()
    assert not {*before} & {*after}
    assert before[0][:40] == after[0][:40]


@pytest.mark.slow
def test_editing_a_layer_changes_the_score(tmp_path):
    for package in ("aira_jax", "kernels_pallas"):
        ignore = shutil.ignore_patterns("tasks", "search", "reports", "__pycache__", "bench")
        shutil.copytree(ROOT / package, tmp_path / package, ignore=ignore)
    env = {**os.environ, "PYTHONPATH": str(tmp_path), "AIRA_JAX_CACHE": str(tmp_path / "cache")}

    def run(*flags):
        argv = [sys.executable, "-c", SCORE, *flags]
        done = subprocess.run(argv, cwd=tmp_path, env=env, capture_output=True, text=True, check=True)
        return json.loads(done.stdout.splitlines()[-1])

    score, loss, *_ = run()
    assert run() == [score, loss, True, False, False]
    block = tmp_path / "aira_jax/primitives/block.py"
    edited = block.read_text().replace("x_BLD + self.layer(", "x_BLD + 0 * self.layer(")
    assert edited != block.read_text()
    block.write_text(edited)
    assert run("reuse") == [score, loss, True, True, False]
    _, other, cached, *_ = run()
    assert (cached, other != loss) == (False, True)
