"""One pattern on several proxies: what a guess gets wrong, what is trained and what is not, which weights are sense."""

import json
import math
import os
import shutil
from pathlib import Path

import fake_training
import numpy as np
import pytest
import yaml

from aira_jax.proxies import mad, text_corpus
from aira_jax.proxies.result import TaskScore
from aira_jax.tasks import loader, sources
from aira_jax.tasks.compose import guessing, preparing, proxies, scripts
from aira_jax.tasks.compose.proxies import Mix
from aira_jax.tasks.evaluation import EvaluatorError, Split

NAME = "NeuralArchitectureSearchMix2PrimitivesRelativeError"
FOLDER = loader.FOLDER / NAME
MAD, DCLM = (
    loader.load(f"NeuralArchitectureSearch{name}").folder for name in ("MAD2PrimitivesAccuracy", "DCLM2PrimitivesLoss")
)
PROXIES = ("mad", "babistories", "dclm")


@pytest.fixture(autouse=True)
def _no_corpus(monkeypatch):
    for name in (*text_corpus.VARIABLES.values(), text_corpus.TOKENIZER, text_corpus.ALLOW_SHORT):
        monkeypatch.delenv(name, raising=False)


# What a guess gets wrong.


def test_a_guess_is_the_best_constant_answer():
    y = np.array([[1, 1, 2, mad.IGNORED], [3, 1, mad.IGNORED, mad.IGNORED]])
    assert guessing.errors(y) == pytest.approx(2 / 5)
    assert guessing.entropy(y) == pytest.approx(-(3 / 5 * math.log(3 / 5) + 2 / 5 * math.log(1 / 5)))
    assert guessing.entropy(np.arange(64)) == pytest.approx(math.log(64))


@pytest.mark.parametrize("y", [[4, 4, mad.IGNORED], [mad.IGNORED]])
def test_nothing_compares_with_a_guess_that_is_always_right(y):
    for guess in (guessing.errors, guessing.entropy):
        with pytest.raises(ValueError, match="at least 2 are needed"):
            guess(np.array(y))


# Weights.


def test_only_the_ratios_of_the_weights_matter():
    values = {"mad": 0.2, "dclm": 0.8}
    assert Mix({"mad": 3, "dclm": 1}).mean(values) == pytest.approx(0.35)
    assert Mix({"mad": 0.3, "dclm": 0.1}).mean(values) == pytest.approx(0.35)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({}, "at least one of mad, babistories, dclm"),
        ({"dlcm": 1}, 'did you mean "dclm"'),
        ({"mad": 0}, "weight of mad: 0 must be a number above 0"),
        ({"mad": True}, "weight of mad: True"),
        ({"mad": math.inf}, "weight of mad: inf"),
        ({"mad": "1"}, "weight of mad: '1'"),
    ],
)
def test_weights_without_sense_are_refused(weights, message):
    with pytest.raises(ValueError, match=message):
        Mix(weights)


def test_the_task_weighs_all_proxies_alike_and_reads_their_corpora():
    task = loader.load(NAME)
    assert proxies.of(FOLDER) == Mix(dict.fromkeys(PROXIES, 1))
    assert (task.metric, task.lower_is_better, task.optimum) == (Mix.metric, True, 0.0)
    assert set(task.corpus.split("+")) == set(PROXIES[1:])
    assert tuple(task.profiles) == Mix.profiles


def test_several_corpora_are_one_source(monkeypatch, tmp_path):
    before = sources.choose("babistories+dclm")
    assert before.description.count("builtin") == 2
    (tmp_path / "pages.jsonl").write_text('{"text": "a page"}\n')
    monkeypatch.setenv("AIRA_JAX_DCLM", str(tmp_path / "pages.jsonl"))
    after = sources.choose("babistories+dclm")
    assert after.fingerprint != before.fingerprint
    assert sources.files(after) == (tmp_path / "pages.jsonl",)
    assert sources.variable("babistories+dclm") == "AIRA_JAX_BABISTORIES and AIRA_JAX_DCLM"
    assert [sources.is_known(name) for name in ("dclm", "dclm+ledger", "dclm+pages", 3)] == [True, True, False, False]


# Evaluation, with everything but the training.


@pytest.fixture(scope="module")
def mounts(tmp_path_factory):
    """The agent's mount and the labels of both splits, made by the task's own scripts."""
    root = tmp_path_factory.mktemp("mix")
    common = [f"--global-shared-data-dir={root}", "--profile=smoke"]
    for name in ("agent", *Split):
        (root / name).mkdir()
    assert preparing.prepare(FOLDER, [*common, f"--agent-data-mount-dir={root / 'agent'}"]) == 0
    for split in Split:
        flags = [*common, f"--agent-data-mount-dir={root / split}", f"--split={split}"]
        assert preparing.evaluate_prepare(FOLDER, flags) == 0
    return root


@pytest.fixture
def evaluate(mounts, tmp_path, monkeypatch):
    """Runs evaluate.py on 8(A-M); returns its exit code and its result file."""
    monkeypatch.setenv("AIRA_JAX_CACHE", str(tmp_path / "cache"))
    (tmp_path / "submission.csv").write_text("architecture\n8(A-M)\n")

    def call(split=Split.VALIDATION, folder=FOLDER, *flags):
        data = tmp_path / f"data-{split}"
        if not data.exists():
            data.mkdir()
            for child in (*(mounts / "agent").iterdir(), *(mounts / split).iterdir()):
                os.symlink(child, data / child.name)
        result = tmp_path / "result.json"
        common = [f"--submission-file={tmp_path / 'submission.csv'}", "--profile=smoke", f"--data-dir={data}"]
        code = scripts.evaluate(folder, [*common, f"--split={split}", f"--result-file={result}", *flags])
        return code, json.loads(result.read_text())

    return call


def test_every_proxy_has_its_own_folder_and_no_label_is_the_agents(mounts):
    for place in ("train", "validation", "test"):
        assert sorted(path.name for path in (mounts / "agent" / place).iterdir()) == sorted(PROXIES)
    assert not list((mounts / "agent" / "validation").rglob("windows.npz"))
    with np.load(mounts / "agent" / "validation" / "mad" / "memorization.npz") as arrays:
        assert set(arrays) == {"x"}


@pytest.mark.parametrize("split", Split)
def test_a_model_that_guesses_has_the_relative_error_1_on_every_proxy(evaluate, monkeypatch, split):
    fake_training.install(monkeypatch)
    guess = evaluate(split)[1]["extra"]["guess"]
    wrong = {task: value for part in guess.values() for task, value in part.items()}
    fake_training.install(monkeypatch, lambda task, layers: TaskScore(1 - wrong[task], 0.0, wrong[task]))
    code, result = evaluate(split, FOLDER, "--seed=1")
    assert code == 0
    assert result["extra"]["relative_error"] == pytest.approx(dict.fromkeys(PROXIES, 1.0))
    assert result["value"] == pytest.approx(1.0)
    assert result["extra"]["canonical"] == "-".join(["A-M"] * 8)


def test_the_value_is_the_weighted_mean_and_names_its_parts(evaluate, monkeypatch, tmp_path):
    fake_training.install(monkeypatch)
    folder = tmp_path / NAME
    folder.mkdir()
    metadata = yaml.safe_load((FOLDER / "metadata.yaml").read_text())
    metadata["aira_jax"]["mix"] = {"mad": 3, "dclm": 1}
    (folder / "metadata.yaml").write_text(yaml.safe_dump(metadata))
    shutil.copy(FOLDER / "space.py", folder)
    code, result = evaluate(Split.TEST, folder)
    extra = result["extra"]
    assert code == 0
    assert set(extra["proxies"]) == {"mad", "dclm"}
    assert result["value"] == pytest.approx((3 * extra["relative_error"]["mad"] + extra["relative_error"]["dclm"]) / 4)
    assert extra["relative_error"]["dclm"] == pytest.approx(1 / extra["guess"]["dclm"]["dclm"])
    assert set(extra["proxy"]["tasks"]) == {*mad.TASKS, "dclm"}
    assert extra["proxy"]["corpus"]["weights"] == {"mad": 3, "dclm": 1}
    assert result["steps"] == 7


def test_what_was_scored_on_one_proxy_is_not_trained_again(evaluate, monkeypatch):
    trained = fake_training.install(monkeypatch)
    scripts.evaluate(MAD, _alone(evaluate, "mad"))
    assert {task for task, _ in trained} == set(mad.TASKS)
    trained.clear()
    assert evaluate(Split.TEST)[0] == 0
    assert [task for task, _ in trained] == ["babistories", "dclm"]
    trained.clear()
    scripts.evaluate(DCLM, _alone(evaluate, "dclm"))
    assert evaluate(Split.TEST)[1]["extra"]["proxy"]["cached"]
    assert trained == []


def _alone(evaluate, proxy):
    """The command line of the task of one proxy alone, whose data are made anew: they are those of the mix."""
    folder = Path(os.environ["AIRA_JAX_CACHE"]).parent
    flags = [f"--submission-file={folder / 'submission.csv'}", "--profile=smoke", f"--data-dir={folder / 'absent'}"]
    return [*flags, f"--result-file={folder / f'{proxy}.json'}"]


def test_a_training_that_fails_on_one_proxy_gives_no_score(evaluate, monkeypatch, capsys):
    fine = TaskScore(0.5, 0.5, 1.0)
    fake_training.install(monkeypatch, lambda task, layers: fake_training.DIVERGED if task == "dclm" else fine)
    code, result = evaluate()
    assert (code, result["value"], result["failure_class"]) == (3, None, "nan")
    assert "dclm: training failed on dclm" in capsys.readouterr().err


def test_a_stage_of_its_own_is_refused(evaluate, monkeypatch):
    fake_training.install(monkeypatch)
    code, result = evaluate(Split.TEST, FOLDER, "--stage=fit")
    assert (code, result["failure_class"]) == (2, "interface")


def test_an_agent_measures_itself_where_it_has_the_labels(mounts, tmp_path, monkeypatch):
    fake_training.install(monkeypatch)
    (tmp_path / "own").mkdir()
    flags = [f"--global-shared-data-dir={tmp_path}", f"--agent-data-mount-dir={tmp_path / 'own'}", "--profile=smoke"]
    assert preparing.prepare(FOLDER, [*flags, "--self-reported"]) == 0
    weights = proxies.of(FOLDER).weights
    value = scripts.mix_error("8(A-M)", weights=weights, data_dir=tmp_path / "own", cache_dir=tmp_path / "c")
    assert 0 < value < 2
    with pytest.raises(EvaluatorError, match="fitness=self_reported"):
        scripts.mix_error("8(A-M)", weights=weights, data_dir=mounts / "agent", cache_dir=tmp_path / "c")
