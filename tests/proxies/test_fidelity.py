"""Presets: their numbers, what the cache keys on, and bad input."""

import dataclasses
import json
import pickle
import subprocess
import sys

import pytest

from aira_jax.proxies import fidelity, mad


def test_presets_hold_the_published_protocol():
    paper = fidelity.get("paper")
    assert (paper.d, paper.train, paper.test, paper.epochs, paper.batch) == (128, 800, 1280, 200, 128)
    assert (paper.lr, paper.b1, paper.b2, paper.eps, paper.weight_decay) == (5e-4, 0.9, 0.999, 1e-8, 0.0)
    assert [paper.seq_len[task] for task in fidelity.TASKS] == [128, 128, 128, 32, 32, 256]
    assert paper.steps() == 1400
    assert fidelity.get("cpu-s").steps() == 250


def test_the_paper_preset_draws_the_published_rows():
    paper = fidelity.get("paper")
    assert fidelity.TASKS == mad.TASKS
    for task in fidelity.TASKS:
        assert mad.resolve(task, paper.fields(task)) == mad.fields_of(task)


def test_resolved_is_json_and_changes_with_everything_but_the_name():
    preset = fidelity.get("smoke")
    base = json.dumps(preset.resolved(), sort_keys=True)
    assert json.dumps(dataclasses.replace(preset, name="other").resolved(), sort_keys=True) == base
    for change in ({"lr": 1e-3}, {"epochs": 3}, {"copied": 7}, {"activation": fidelity.Activation.GELU_TANH}):
        assert json.dumps(dataclasses.replace(preset, **change).resolved(), sort_keys=True) != base
    assert preset.resolved(["memorization"])["tasks"] == {"memorization": {"seq_len": 16}}


def test_presets_can_be_sent_to_another_process():
    assert pickle.loads(pickle.dumps(fidelity.get("demo"))) == fidelity.get("demo")


def test_unknown_names_suggest_the_nearest():
    with pytest.raises(ValueError, match=r"""unknown preset 'cpu_s' \(did you mean "cpu-s"\?\)"""):
        fidelity.get("cpu_s")
    with pytest.raises(ValueError, match=r'did you mean "memorization"\?'):
        fidelity.check_tasks(["memorisation"])
    with pytest.raises(ValueError, match="no MAD task given"):
        fidelity.check_tasks([])


@pytest.mark.parametrize(
    "change, message",
    [
        ({"d": 20}, "use 24"),
        ({"epochs": 0}, "epochs = 0, use at least 1"),
        ({"stop_at": 0.999}, "need eval_every >= 1"),
        ({"select": fidelity.Select.BEST_TEST}, "need eval_every >= 1"),
    ],
)
def test_impossible_presets_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(fidelity.get("smoke"), **change)


def test_fidelities_need_no_jax():
    code = "import sys; import aira_jax.proxies.fidelity, aira_jax.proxies.evaluator; sys.exit('jax' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
