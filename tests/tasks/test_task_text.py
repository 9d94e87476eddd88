"""The text tasks: what an agent sees, what the evaluator gets back, which corpus is used, and what is refused."""

import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest

from aira_jax.proxies import text_corpus, text_fidelity
from aira_jax.proxies.result import ProxyResult, TaskScore, TaskStatus
from aira_jax.tasks import loader, mounts, overview, preparation
from aira_jax.tasks.compose import preparing, scripts, text_data
from aira_jax.tasks.compose.proxies import Text
from aira_jax.tasks.compose.space import WIDTH_SCALING, PatternSpace
from aira_jax.tasks.evaluation import EvaluatorError, Split

SPACE = PatternSpace(primitives=("A", "M"), example="5(2A-M)-A")
NAMES = {
    "babistories": "NeuralArchitectureSearchBabiStories2PrimitivesLoss",
    "dclm": "NeuralArchitectureSearchDCLM2PrimitivesLoss",
}
BUILTIN = text_corpus.Choice(path=None, ranks=None, tokenizer=None, allow_short=False)
MADE = {"profile": "smoke", "seed": 12345, "choice": BUILTIN}


@pytest.fixture(autouse=True)
def _no_corpus(monkeypatch):
    for variable in (
        *text_corpus.VARIABLES.values(),
        text_corpus.RANKS,
        text_corpus.TOKENIZER,
        text_corpus.ALLOW_SHORT,
    ):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.delenv(preparation.HIDDEN_SEED, raising=False)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Agent data and the labels of both splits, each in a folder of its own."""
    root = tmp_path_factory.mktemp("made")
    text_data.write_agent(root / "agent", "babistories", self_reported=False, **MADE)
    for split in Split:
        text_data.write_labels(root / split, "babistories", split=split, **MADE)
    return root


@pytest.fixture
def data_dir(made, tmp_path):
    """A function that mounts the agent's data and, for an evaluator, the labels of one split."""

    def mount(split=None):
        target = tmp_path / "data"
        shutil.copytree(made / "agent", target)
        if split is not None:
            shutil.copytree(made / split, target, dirs_exist_ok=True)
        return target

    return mount


def stories(path, count=200):
    path.write_text(
        "".join(json.dumps(f"Story {i} tells of {i * 7} bees and {i} flowers.") + "\n" for i in range(count))
    )
    return path


# The folders.


@pytest.mark.parametrize("kind", NAMES)
def test_the_task_folders_say_what_they_are(kind):
    task = loader.load(NAMES[kind])
    assert (task.metric, task.lower_is_better, task.corpus) == (Text.metric, True, kind)
    assert (task.sota, task.worst, task.cli, task.executes_candidate) == (None, None, 2, False)
    assert task.limits["score_s"] == 60 * 3600
    assert task.space.SPACE.primitives == ("A", "M")
    assert task.canonical(task.starter)
    assert task.entry in task.starter


@pytest.mark.parametrize("kind", NAMES)
def test_profiles_tell_what_the_presets_are(kind):
    profiles = loader.load(NAMES[kind]).profiles
    assert tuple(profiles) == Text.profiles
    for name, told in profiles.items():
        preset = text_fidelity.get(kind, name)
        assert told == {
            "width": preset.d,
            "window": preset.length,
            "train_windows": preset.train,
            "test_windows": preset.test,
            "epochs": preset.epochs,
        }


# What an agent sees, and what an evaluator gets back.


def test_the_agent_sees_no_window_of_the_other_splits(made):
    files = {str(path.relative_to(made / "agent")) for path in (made / "agent").rglob("*") if path.is_file()}
    assert files == {"train/manifest.json", "train/windows.npz", "validation/manifest.json", "test/manifest.json"}
    full, _ = text_data.make("babistories", "smoke", 12345, BUILTIN)
    with np.load(made / "agent" / "train" / "windows.npz") as arrays:
        assert len(arrays["x"]) == len(arrays["last"]) == 44
        held = {row.tobytes() for row in full.train.x} - {row.tobytes() for row in arrays["x"]}
    assert len(held) == 20
    assert json.loads((made / "agent" / "validation" / "manifest.json").read_text()) == {"windows": 20, "length": 64}


def test_no_file_of_the_agent_holds_the_data_seed(tmp_path):
    seed = 77_777_777_777
    hidden = {**MADE, "seed": seed}
    text_data.write_agent(tmp_path / "agent", "dclm", self_reported=False, **hidden)
    text_data.write_labels(tmp_path / "labels", "dclm", split=Split.VALIDATION, **hidden)
    needles = [str(seed).encode(), seed.to_bytes(8, "little")]
    for path in (tmp_path / "agent").rglob("*"):
        assert path.is_dir() or not any(needle in path.read_bytes() for needle in needles)
    labels = tmp_path / "labels" / "validation_with_labels"
    assert json.loads((labels / "manifest.json").read_text())["seed"] == seed
    assert len(json.loads((labels / "documents.json").read_text())["documents"]["train"]) > 1


@pytest.mark.parametrize("split", Split)
def test_the_evaluator_gets_all_windows_back_in_their_order(data_dir, split):
    data = text_data.read(data_dir(split), profile="smoke", split=split)
    dataset = data.datasets["babistories"]
    full, _ = text_data.make("babistories", "smoke", 12345, BUILTIN)
    assert (data.seed, dataset.vocab, dataset.corpus) == (12345, full.vocab, full.corpus)
    np.testing.assert_array_equal(dataset.lengths, full.lengths)
    for part in ("x", "y", "probe"):
        np.testing.assert_array_equal(getattr(dataset.train, part), getattr(full.train, part))
        if split is Split.TEST:
            np.testing.assert_array_equal(getattr(dataset.test, part), getattr(full.test, part))
    if split is Split.VALIDATION:
        assert not len(dataset.test)


def test_an_agent_that_measures_itself_gets_the_validation_windows_only(tmp_path, data_dir):
    text_data.write_agent(tmp_path / "own", "babistories", self_reported=True, **MADE)
    data, profile = text_data.read_self_reported(tmp_path / "own")
    full, _ = text_data.make("babistories", "smoke", 12345, BUILTIN)
    assert profile == "smoke"
    assert data.seed != 12345
    np.testing.assert_array_equal(data.datasets["babistories"].train.y, full.train.y)
    assert not (tmp_path / "own" / "test" / "windows.npz").exists()
    with pytest.raises(EvaluatorError, match="fitness=self_reported"):
        text_data.read_self_reported(data_dir())


@pytest.mark.parametrize("folder", ["train", "test_with_labels"])
def test_changed_windows_are_refused(data_dir, folder):
    data = data_dir(Split.TEST)
    path = data / folder / "windows.npz"
    with np.load(path) as arrays:
        content = dict(arrays)
    content["x" if folder == "train" else "test_x"][0, 0] ^= 1
    np.savez(path, **content)
    with pytest.raises(EvaluatorError, match="not those of their manifest"):
        text_data.read(data, profile="smoke", split=Split.TEST)


def test_data_that_do_not_fit_together_are_refused(data_dir, tmp_path):
    data = data_dir()
    with pytest.raises(EvaluatorError, match=r"validation_with_labels/manifest.json is missing: prepare the data"):
        text_data.read(data, profile="smoke", split=Split.VALIDATION)
    text_data.write_labels(data, "babistories", split=Split.TEST, **{**MADE, "seed": 1})
    with pytest.raises(EvaluatorError, match="does not belong to"):
        text_data.read(data, profile="smoke", split=Split.TEST)
    with pytest.raises(EvaluatorError, match="prepared for profile smoke, not paper"):
        text_data.read(data, profile="paper", split=Split.TEST)
    (data / "train" / "manifest.json").write_text("{")
    with pytest.raises(EvaluatorError, match="is damaged"):
        text_data.read(data, profile="smoke", split=Split.TEST)


# Which corpus.


def test_the_corpus_is_a_path_else_a_raw_folder_else_built_in(tmp_path, monkeypatch):
    raw = tmp_path / "raw"
    (raw / "dclm").mkdir(parents=True)
    stories(raw / "dclm" / "a.jsonl")
    assert text_corpus.choose("babistories", raw).path is None
    assert text_corpus.choose("dclm", raw).path == raw / "dclm"
    monkeypatch.setenv("AIRA_JAX_DCLM", str(stories(tmp_path / "own.jsonl")))
    assert text_corpus.choose("dclm", raw).path == tmp_path / "own.jsonl"


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("AIRA_JAX_DCLM", "/absent/corpus", "AIRA_JAX_DCLM=/absent/corpus: no such file or folder"),
        ("AIRA_JAX_GPT2", "/absent/ranks", "AIRA_JAX_GPT2=/absent/ranks: no such file or folder"),
        ("AIRA_JAX_ALLOW_SHORT", "maybe", r"use 1 \(yes\) or 0 \(no\)"),
    ],
)
def test_a_variable_that_cannot_be_used_is_named(monkeypatch, variable, value, message):
    monkeypatch.setenv(variable, value)
    with pytest.raises(ValueError, match=message):
        text_corpus.choose("dclm")


def test_fingerprints_change_with_the_files_and_with_how_they_are_read(tmp_path, monkeypatch):
    monkeypatch.setenv("AIRA_JAX_DCLM", str(stories(tmp_path / "a.jsonl")))
    first = text_corpus.choose("dclm").fingerprint
    assert first == text_corpus.choose("dclm").fingerprint != BUILTIN.fingerprint
    monkeypatch.setenv("AIRA_JAX_TOKENIZER", "bpe:300")
    second = text_corpus.choose("dclm").fingerprint
    stories(tmp_path / "a.jsonl", 150)
    assert len({first, second, text_corpus.choose("dclm").fingerprint}) == 3


def test_a_new_corpus_makes_a_new_folder_of_data(tmp_path, monkeypatch):
    task = loader.load(NAMES["babistories"])
    builtin = mounts.prepare(task, "smoke", tmp_path)
    monkeypatch.setenv("AIRA_JAX_BABISTORIES", str(stories(tmp_path / "own.jsonl", 400)))
    own = mounts.prepare(task, "smoke", tmp_path)
    names = [
        json.loads((prepared.agent / "train" / "manifest.json").read_text())["corpus"]["corpus"]
        for prepared in (builtin, own)
    ]
    assert names == ["builtin", "own.jsonl"]
    assert own.agent != builtin.agent
    assert "data/train/windows.npz, array x: shape [44, 64], uint16" in overview.data_overview(own.agent)


def test_a_corpus_that_is_too_small_stops_the_preparation_with_what_fits(tmp_path):
    with pytest.raises(ValueError, match="presets that fit: smoke, demo"):
        mounts.prepare(loader.load(NAMES["dclm"]), "cpu-s", tmp_path)


def test_a_short_corpus_is_used_where_the_environment_says_so(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("AIRA_JAX_ALLOW_SHORT", "1")
    (tmp_path / "mount").mkdir()
    common = [f"--global-shared-data-dir={tmp_path}", f"--agent-data-mount-dir={tmp_path / 'mount'}", "--profile=cpu-s"]
    assert preparing.prepare(loader.load("NeuralArchitectureSearchDCLM2PrimitivesLoss").folder, common) == 0
    assert "corpus: builtin" in capsys.readouterr().err
    corpus = json.loads((tmp_path / "mount" / "train" / "manifest.json").read_text())["corpus"]
    assert corpus["short"]
    assert corpus["wanted"] == {"train": 2000, "test": 512}


# Evaluation.


@pytest.fixture
def trained(monkeypatch):
    """Replaces training: the calls that reached it, and the score with which they end."""
    calls, score = [], [TaskScore(0.3, 0.1, 1.25)]

    def evaluate(pattern, **arguments):
        calls.append((pattern, arguments))
        return ProxyResult(
            pattern=pattern.canonical(),
            profile=arguments["preset"].name,
            seed=arguments["data_seed"],
            eval_seed=arguments["eval_seed"],
            split=arguments["split"],
            tasks={"babistories": score[0]},
            train_s=2.0,
            compile_s=1.0,
            steps=8,
            trained_steps=8,
            cached=False,
            epoch={"babistories": 1},
            curve={"babistories": [3.0]},
            key="key",
            dtype="fp32",
            engine="unrolled",
            device="cpu",
            proxy="babistories",
            corpus=arguments["datasets"]["babistories"].corpus,
            bytes_per_target=1.0,
        )

    monkeypatch.setattr("aira_jax.proxies.evaluator.evaluate", evaluate)
    return calls, score


def run(tmp_path, text, *flags):
    """evaluate.py in this process: exit code and result file."""
    (tmp_path / "submission.csv").write_text(text)
    result = tmp_path / "result.json"
    argv = [f"--submission-file={tmp_path / 'submission.csv'}", f"--result-file={result}", "--profile=smoke", *flags]
    folder = loader.load("NeuralArchitectureSearchBabiStories2PrimitivesLoss").folder
    return scripts.evaluate(folder, argv), json.loads(result.read_text())


def test_evaluate_trains_on_the_mounted_windows_and_prints_the_loss(tmp_path, data_dir, trained, capsys):
    code, result = run(
        tmp_path,
        "architecture\n8(A-M)\n",
        f"--data-dir={data_dir(Split.VALIDATION)}",
        "--split=validation",
        "--seed=4",
    )
    assert code == 0
    assert capsys.readouterr().out.splitlines() == ["--- EVALUATION RESULT ---", '{"Loss": 1.25}']
    (((pattern, arguments),), _) = trained
    assert pattern.compact() == "AM" * 8
    assert (arguments["preset"], arguments["split"]) == (text_fidelity.get("babistories", "smoke"), "validation")
    assert (arguments["data_seed"], arguments["eval_seed"]) == (12345, 4)
    assert (result["metric"], result["value"], result["steps"], result["curve"]) == ("Loss", 1.25, 8, [[1, 3.0]])
    assert result["extra"]["proxy"]["corpus"]["corpus"] == "builtin"
    assert result["extra"]["proxy"]["bits_per_byte"] == pytest.approx(1.25 / math.log(2))


def test_the_width_follows_the_layers_where_the_search_asks_for_it(tmp_path, data_dir, trained, monkeypatch):
    monkeypatch.setenv(WIDTH_SCALING, "1")
    code, _ = run(tmp_path, "architecture\n16A\n", f"--data-dir={data_dir(Split.TEST)}")
    assert (code, trained[0][0][1]["preset"].d) == (0, 128)


def test_without_data_the_windows_are_made_and_it_says_from_what(tmp_path, trained, capsys):
    code, _ = run(tmp_path, "architecture\n16A\n", f"--data-dir={tmp_path / 'none'}")
    assert code == 0
    message = capsys.readouterr().err
    assert "making the windows anew" in message
    assert "AIRA_JAX_BABISTORIES is not set: corpus: builtin" in message
    full, _ = text_data.make("babistories", "smoke", 12345, BUILTIN)
    assert trained[0][0][1]["datasets"]["babistories"].corpus == full.corpus


def test_a_diverged_training_is_no_score(tmp_path, data_dir, trained, capsys):
    trained[1][0] = TaskScore.worst(TaskStatus.DIVERGED)
    code, result = run(tmp_path, "architecture\n16A\n", f"--data-dir={data_dir(Split.TEST)}")
    assert (code, result["value"], result["failure_class"]) == (3, None, "nan")
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    "text", ["architecture\n15A\n", "architecture\n8(A-Mb)\n", "architecture\n16A\n16M\n", "a\n16A\n", ""]
)
def test_a_bad_submission_reaches_no_training(tmp_path, data_dir, trained, capsys, text):
    code, result = run(tmp_path, text, f"--data-dir={data_dir(Split.TEST)}")
    assert (code, result["value"], result["failure_class"]) == (2, None, "interface")
    assert trained[0] == []
    assert capsys.readouterr().out == ""


def test_training_and_scoring_are_one_stage_and_a_missing_corpus_is_the_evaluators_fault(
    tmp_path, trained, monkeypatch
):
    code, result = run(tmp_path, "architecture\n16A\n", "--stage=fit")
    assert (code, "--stage=all" in result["message"]) == (2, True)
    monkeypatch.setenv("AIRA_JAX_BABISTORIES", str(Path(tmp_path) / "absent"))
    code, result = run(tmp_path, "architecture\n16A\n", f"--data-dir={tmp_path / 'none'}")
    assert (code, result["failure_class"]) == (1, "infra")
    assert "AIRA_JAX_BABISTORIES" in result["message"]


def test_an_agents_own_measurement_uses_the_validation_split(tmp_path, trained):
    text_data.write_agent(tmp_path, "babistories", self_reported=True, **MADE)
    assert scripts.text_loss("8(A-M)", data_dir=tmp_path) == 1.25
    arguments = trained[0][0][1]
    assert arguments["split"] == "validation"
    assert len(arguments["datasets"]["babistories"].train) == 64
