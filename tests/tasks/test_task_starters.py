"""The starters of the tasks beyond the paper, as an agent runs them where it measures itself."""

import os
import runpy

import fake_training
import pytest

from aira_jax.proxies import text_corpus
from aira_jax.tasks import loader
from aira_jax.tasks.aggregation import ledger_source
from aira_jax.tasks.aggregation import preparing as aggregating
from aira_jax.tasks.compose import preparing

PREPARE = {
    "ArchitectureAggregationMAD2PrimitivesAccuracy": aggregating.prepare,
    "NeuralArchitectureSearchMix2PrimitivesRelativeError": preparing.prepare,
    "NeuralArchitectureSearchMAD2PrimitivesOptionsAccuracy": preparing.prepare,
}


@pytest.mark.parametrize("handed_in", [True, False])
@pytest.mark.parametrize("name", PREPARE)
def test_the_starter_measures_and_hands_in(name, handed_in, tmp_path, monkeypatch, capsys):
    for variable in (*text_corpus.VARIABLES.values(), ledger_source.VARIABLE):
        monkeypatch.delenv(variable, raising=False)
    trained = fake_training.install(monkeypatch)
    task, data = loader.load(name), tmp_path / "data"
    data.mkdir()
    flags = [f"--global-shared-data-dir={tmp_path}", f"--agent-data-mount-dir={data}", "--profile=smoke"]
    assert PREPARE[name](task.folder, [*flags, "--self-reported"]) == 0
    monkeypatch.chdir(tmp_path)
    if handed_in:
        (tmp_path / "submission.csv").write_text(task.starter["submission.csv"])
    capsys.readouterr()
    runpy.run_path(os.fspath(task.folder / "starter" / "solution.py"), run_name="__main__")
    printed = capsys.readouterr().out
    assert printed.startswith(f"validation {task.metric}: ")
    assert float(printed.split(": ")[1]) > 0
    assert trained
    assert task.canonical({"submission.csv": (tmp_path / "submission.csv").read_text()}) is not None
