"""A run on text holds on to its corpus: scores of two corpora never stand in one log."""

import types

import pytest

from aira_jax.search.engine.session import check_same
from aira_jax.tasks import loader

TASK = loader.load("NeuralArchitectureSearchBabiStories2PrimitivesLoss")
RECORDS = [{"kind": "run_start", "config": {"seed": 0}}]


def check(begun, now, task=TASK):
    run = {"task_sha": task.sha} | ({} if begun is None else {"corpus": begun})
    return check_same(RECORDS, types.SimpleNamespace(run=run), {"seed": 0}, task, now)


def test_another_corpus_is_refused_with_both_names():
    with pytest.raises(ValueError, match=r"begun on the corpus own.jsonl \(12\), now it is builtin \(34\)") as caught:
        check("own.jsonl (12)", "builtin (34)")
    assert "AIRA_JAX_BABISTORIES" in str(caught.value)


def test_the_same_corpus_and_tasks_without_one_go_on():
    assert check("own.jsonl (12)", "own.jsonl (12)") == {}
    assert check(None, None, loader.load("NeuralArchitectureSearchMAD2PrimitivesAccuracy")) == {}


def test_a_run_on_an_older_version_of_its_task_that_means_the_same_goes_on():
    run = types.SimpleNamespace(run={"task_sha": TASK.older_shas[0]})
    assert check_same(RECORDS, run, {"seed": 0}, TASK) == {}
    run.run["task_sha"] = "0" * 64
    with pytest.raises(ValueError, match="has changed since this run began"):
        check_same(RECORDS, run, {"seed": 0}, TASK)
