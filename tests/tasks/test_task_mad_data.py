"""MAD data of a task: labels lie apart, the evaluator gets the published rows back, mismatches are refused."""

import json
import shutil

import numpy as np
import pytest

from aira_jax.proxies import fidelity, mad
from aira_jax.proxies.result import ProxyResult, TaskScore, TaskStatus
from aira_jax.tasks import loader, preparation
from aira_jax.tasks.compose import mad_data, preparing, scripts
from aira_jax.tasks.evaluation import EvaluatorError, Split

FOLDER = loader.load("NeuralArchitectureSearchMAD2PrimitivesAccuracy").folder
PRESET = fidelity.get("smoke")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Agent data and the labels of both splits, each in a folder of its own."""
    root = tmp_path_factory.mktemp("made")
    mad_data.write_agent(root / "agent", profile="smoke", seed=12345)
    for split in Split:
        mad_data.write_labels(root / split, profile="smoke", seed=12345, split=split)
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


def arrays(path):
    with np.load(path) as content:
        return dict(content)


def test_the_agent_sees_no_label_of_the_other_rows(made):
    assert sorted(path.name for path in (made / "agent").iterdir()) == ["test", "train", "validation"]
    for task in PRESET.tasks:
        assert set(arrays(made / "agent" / "train" / f"{task}.npz")) == {"x", "y", "probe"}
        assert set(arrays(made / "agent" / "validation" / f"{task}.npz")) == {"x"}
        assert set(arrays(made / "agent" / "test" / f"{task}.npz")) == {"x"}


def test_no_file_of_the_agent_holds_the_data_seed(tmp_path):
    seed = 77_777_777_777
    mad_data.write_agent(tmp_path / "agent", profile="smoke", seed=seed)
    mad_data.write_labels(tmp_path / "labels", profile="smoke", seed=seed, split=Split.VALIDATION)
    needles = [str(seed).encode(), seed.to_bytes(8, "little")]
    for path in (tmp_path / "agent").rglob("*"):
        assert path.is_dir() or not any(needle in path.read_bytes() for needle in needles)
    assert json.loads((tmp_path / "labels" / "validation_with_labels" / "manifest.json").read_text())["seed"] == seed


def test_rows_are_split_70_to_30_without_overlap(made):
    for task in PRESET.tasks:
        train = arrays(made / "agent" / "train" / f"{task}.npz")["x"]
        held = arrays(made / "agent" / "validation" / f"{task}.npz")["x"]
        whole = mad.make(task, PRESET.train, PRESET.test, **PRESET.fields(task)).train.x
        assert (len(train), len(held)) == (44, 20)
        assert sorted(map(tuple, [*train, *held])) == sorted(map(tuple, whole))


@pytest.mark.parametrize("split", Split)
def test_the_evaluator_gets_the_train_rows_back_in_their_order(data_dir, split):
    data = mad_data.read(data_dir(split), profile="smoke", split=split)
    assert data.seed == 12345
    assert tuple(data.datasets) == PRESET.tasks
    for task, found in data.datasets.items():
        expected = mad.make(task, PRESET.train, PRESET.test, **PRESET.fields(task))
        assert found.vocab == expected.vocab
        for part in ("x", "y", "probe"):
            np.testing.assert_array_equal(getattr(found.train, part), getattr(expected.train, part))
        np.testing.assert_array_equal(found.test.x, expected.test.x)
        if split is Split.TEST:
            np.testing.assert_array_equal(found.test.y, expected.test.y)
        else:
            assert (found.test.y == mad.IGNORED).all()


def test_an_agent_that_measures_itself_gets_validation_labels_only(tmp_path):
    mad_data.write_agent(tmp_path, profile="smoke", seed=12345, self_reported=True)
    data, profile = mad_data.read_self_reported(tmp_path)
    assert profile == "smoke"
    assert data.seed != 12345
    for task, found in data.datasets.items():
        expected = mad.make(task, PRESET.train, PRESET.test, **PRESET.fields(task))
        np.testing.assert_array_equal(found.train.probe, expected.train.probe)
        assert (found.test.y == mad.IGNORED).all()
        assert set(arrays(tmp_path / "test" / f"{task}.npz")) == {"x"}


def test_an_agent_without_validation_labels_is_told_why(data_dir):
    with pytest.raises(EvaluatorError, match="fitness=self_reported"):
        mad_data.read_self_reported(data_dir())


def test_missing_labels_are_named(data_dir):
    with pytest.raises(EvaluatorError, match=r"validation_with_labels/manifest.json is missing: prepare the data"):
        mad_data.read(data_dir(), profile="smoke", split=Split.VALIDATION)


def test_another_profile_is_refused(data_dir):
    with pytest.raises(EvaluatorError, match="prepared for profile smoke, not paper: use --profile=smoke"):
        mad_data.read(data_dir(Split.TEST), profile="paper", split=Split.TEST)


def test_labels_of_other_rows_are_refused(data_dir):
    data = data_dir()
    mad_data.write_labels(data, profile="smoke", seed=1, split=Split.TEST)
    with pytest.raises(EvaluatorError, match="does not belong to"):
        mad_data.read(data, profile="smoke", split=Split.TEST)


@pytest.mark.parametrize("file", ["train/compression.npz", "test/memorization.npz"])
def test_changed_rows_are_refused(data_dir, file):
    data = data_dir(Split.TEST)
    content = arrays(data / file)
    content["x"][0, 0] += 1
    np.savez(data / file, **content)
    with pytest.raises(EvaluatorError, match="not those of its manifest"):
        mad_data.read(data, profile="smoke", split=Split.TEST)


@pytest.mark.parametrize(("text", "match"), [("{", "is damaged"), ('{"format": 0}', "has format 0, needed 1")])
def test_a_bad_manifest_is_refused(data_dir, text, match):
    data = data_dir(Split.TEST)
    (data / "train" / "manifest.json").write_text(text)
    with pytest.raises(EvaluatorError, match=match):
        mad_data.read(data, profile="smoke", split=Split.TEST)


def proxy_result(pattern, arguments, *, status=TaskStatus.OK):
    tasks = {name: TaskScore(0.5, 0.4, 1.0) for name in ("compression", "memorization")}
    tasks["compression"] = TaskScore(0.25, 0.1, 2.0, status)
    return ProxyResult(
        pattern=pattern.canonical(),
        profile=arguments["preset"].name,
        seed=arguments["data_seed"],
        eval_seed=arguments["eval_seed"],
        split=arguments["split"],
        tasks=tasks,
        train_s=2.0,
        compile_s=1.0,
        steps=8,
        trained_steps=8,
        cached=False,
        epoch={"compression": 2, "memorization": 1},
        curve={"compression": [3.0, 2.0], "memorization": [1.0]},
        key="key",
        dtype="fp32",
        engine="unrolled",
        device="cpu",
    )


@pytest.fixture
def trained(monkeypatch):
    """Replaces training: the calls that reached it, and the status with which they end."""
    calls, status = [], [TaskStatus.OK]

    def evaluate(pattern, **arguments):
        calls.append((pattern, arguments))
        return proxy_result(pattern, arguments, status=status[0])

    monkeypatch.setattr("aira_jax.proxies.evaluator.evaluate", evaluate)
    return calls, status


def run(tmp_path, text, *flags):
    """evaluate.py in this process: exit code and result file."""
    (tmp_path / "submission.csv").write_text(text)
    result = tmp_path / "result.json"
    argv = [f"--submission-file={tmp_path / 'submission.csv'}", f"--result-file={result}", *flags]
    return scripts.evaluate(FOLDER, argv), json.loads(result.read_text())


def test_evaluate_trains_the_pattern_on_the_mounted_rows(tmp_path, data_dir, trained, capsys):
    data = data_dir(Split.VALIDATION)
    flags = [f"--data-dir={data}", "--profile=smoke", "--split=validation", "--seed=4"]
    code, result = run(tmp_path, "architecture\n8(A-M)\n", *flags)
    assert code == 0
    assert capsys.readouterr().out.splitlines() == ["--- EVALUATION RESULT ---", '{"Accuracy": 0.375}']
    (((pattern, arguments),), _) = trained
    assert pattern.compact() == "AMAMAMAMAMAMAMAM"
    assert (arguments["preset"].name, arguments["split"]) == ("smoke", "validation")
    assert (arguments["data_seed"], arguments["eval_seed"]) == (12345, 4)
    assert set(arguments["datasets"]) == set(PRESET.tasks)
    assert (result["value"], result["train_s"], result["device_s"], result["steps"]) == (0.375, 2.0, 3.0, 8)
    assert result["curve"] == [[1, 2.0], [2, 2.0]]
    assert result["extra"]["proxy"]["tasks"]["compression"]["micro"] == 0.25


@pytest.mark.parametrize(("status", "failure"), [(TaskStatus.DIVERGED, "nan"), (TaskStatus.OOM, "oom")])
def test_a_failed_training_is_no_score(tmp_path, data_dir, trained, capsys, status, failure):
    trained[1][0] = status
    data = data_dir(Split.TEST)
    code, result = run(tmp_path, "architecture\n16A\n", f"--data-dir={data}", "--profile=smoke")
    assert (code, result["value"], result["failure_class"]) == (3, None, failure)
    assert "compression" in result["message"]
    assert capsys.readouterr().out == ""


def test_without_data_the_public_rows_are_used_and_it_says_so(tmp_path, trained, capsys, monkeypatch):
    monkeypatch.delenv(preparation.HIDDEN_SEED, raising=False)
    code, _ = run(tmp_path, "architecture\n16A\n", f"--data-dir={tmp_path / 'none'}", "--profile=smoke")
    assert code == 0
    assert "generating the rows from the public seed" in capsys.readouterr().err
    assert set(trained[0][0][1]["datasets"]) == set(PRESET.tasks)
    assert trained[0][0][1]["data_seed"] == 12345


def test_a_hidden_seed_is_used_and_not_shown(tmp_path, trained, capsys, monkeypatch):
    monkeypatch.setenv(preparation.HIDDEN_SEED, "987654321")
    run(tmp_path, "architecture\n16A\n", f"--data-dir={tmp_path / 'none'}", "--profile=smoke")
    assert trained[0][0][1]["data_seed"] == 987654321
    hidden = mad.make("compression", PRESET.train, PRESET.test, 987654321, **PRESET.fields("compression"))
    np.testing.assert_array_equal(trained[0][0][1]["datasets"]["compression"].test.x, hidden.test.x)
    output = capsys.readouterr()
    assert "987654321" not in output.out + output.err


@pytest.mark.parametrize("text", ["architecture\n15A\n", "architecture\n8(A-Mb)\n", ""])
def test_a_bad_submission_reaches_no_training(tmp_path, data_dir, trained, capsys, text):
    data = data_dir(Split.TEST)
    code, result = run(tmp_path, text, f"--data-dir={data}", "--profile=smoke")
    assert (code, result["value"], result["failure_class"]) == (2, None, "interface")
    assert trained[0] == []
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("stage", ["fit", "score"])
def test_training_and_scoring_are_one_stage(tmp_path, trained, stage):
    code, result = run(tmp_path, "architecture\n16A\n", f"--stage={stage}")
    assert code == 2
    assert "--stage=all" in result["message"]


def test_data_for_another_profile_are_the_evaluators_fault(tmp_path, data_dir, trained):
    code, result = run(tmp_path, "architecture\n16A\n", f"--data-dir={data_dir(Split.TEST)}", "--profile=cpu-s")
    assert (code, result["failure_class"]) == (1, "infra")


def test_an_agents_own_measurement_uses_the_validation_split(tmp_path, trained):
    mad_data.write_agent(tmp_path, profile="smoke", seed=12345, self_reported=True)
    assert scripts.mad_accuracy("8(A-M)", data_dir=tmp_path) == 0.375
    assert trained[0][0][1]["split"] == "validation"


def test_preparation_scripts_write_what_the_evaluator_reads(tmp_path, monkeypatch):
    monkeypatch.setenv(preparation.HIDDEN_SEED, "99")
    (tmp_path / "mount").mkdir()
    (tmp_path / "log").mkdir()
    (tmp_path / "log" / "submission.csv").write_text("architecture\n16A\n")
    common = [f"--global-shared-data-dir={tmp_path}", f"--agent-data-mount-dir={tmp_path / 'mount'}", "--profile=smoke"]
    assert preparing.prepare(FOLDER, common) == 0
    assert preparing.evaluate_prepare(FOLDER, [*common, f"--agent-log-dir={tmp_path / 'log'}"]) == 0
    assert (tmp_path / "mount" / "submission.csv").exists()
    data = mad_data.read(tmp_path / "mount", profile="smoke", split=Split.TEST)
    assert data.seed == 99


def test_a_bad_hidden_seed_is_refused_without_showing_it(monkeypatch):
    monkeypatch.setenv(preparation.HIDDEN_SEED, "s3cret")
    with pytest.raises(ValueError, match="natural number") as caught:
        preparation.data_seed(12345)
    assert "s3cret" not in str(caught.value)


def test_a_bad_hidden_seed_ends_every_script_with_its_message(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv(preparation.HIDDEN_SEED, "s3cret")
    monkeypatch.chdir(tmp_path)
    common = [f"--global-shared-data-dir={tmp_path}", f"--agent-data-mount-dir={tmp_path}", "--profile=smoke"]
    assert preparing.prepare(FOLDER, common) == 2
    assert preparing.evaluate_prepare(FOLDER, common) == 2
    (tmp_path / "submission.csv").write_text("architecture\n16A\n")
    assert scripts.evaluate(FOLDER, ["--profile=smoke"]) == 1
    assert capsys.readouterr().err.count("must be a natural number") == 3


@pytest.mark.parametrize("missing", ["--global-shared-data-dir", "--agent-data-mount-dir", "--agent-log-dir"])
def test_a_missing_directory_is_named(tmp_path, missing):
    folders = dict.fromkeys(("--global-shared-data-dir", "--agent-data-mount-dir", "--agent-log-dir"), tmp_path)
    folders[missing] = tmp_path / "nowhere"
    with pytest.raises(SystemExit, match=f"{missing}=.*nowhere is no directory"):
        preparing.prepare(FOLDER, [f"{flag}={path}" for flag, path in folders.items()])
