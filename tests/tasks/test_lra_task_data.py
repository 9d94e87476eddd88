"""The data of the Long Range Arena tasks: what the agent sees, what only the evaluator sees, where it comes from."""

import json
import os

import numpy as np
import pytest

from aira_jax.tasks import evaluation, loader, mounts, overview, preparation, sources
from aira_jax.tasks.evaluation import EvaluatorError, Split
from aira_jax.tasks.lra import preparing, raw_data, scripts, task_data
from lra.data import store

LISTOPS = "LongContextReasoningLRAListOpsAccuracy"


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """All rows of the smoke profile of ListOps, drawn from another seed than the public one."""
    return task_data.make("listops", "smoke", 7, None, tmp_path_factory.mktemp("whole") / "data")


@pytest.fixture(scope="module")
def mounted(whole, tmp_path_factory):
    """Both mounts of the test split as one ./data."""
    folder = tmp_path_factory.mktemp("mounted")
    task_data.write_agent(folder, whole, profile="smoke")
    task_data.write_labels(folder, whole, profile="smoke", split=Split.TEST)
    return folder


def rows_of(split):
    return [split.documents.row(i).tobytes() for i in range(len(split))]


def test_the_agent_gets_labelled_train_rows_bare_validation_rows_and_a_number(whole, mounted):
    train, validation = (store.open(mounted / name) for name in ("train", "validation"))
    assert (train.splits, validation.splits) == (("train",), ("validation",))
    assert np.array_equal(train.split("train").targets_N, whole.split("train").targets_N)
    assert validation.split("validation").targets_N is None
    assert rows_of(validation.split("validation")) == rows_of(whole.split("validation"))
    assert [path.name for path in (mounted / "test").iterdir()] == ["manifest.json"]
    assert json.loads((mounted / "test" / "manifest.json").read_text()) == {"rows": 1000}


def test_an_agent_that_measures_itself_gets_validation_labels(whole, tmp_path):
    task_data.write_agent(tmp_path, whole, profile="smoke", self_reported=True)
    found = store.open(tmp_path / "validation").split("validation")
    assert np.array_equal(found.targets_N, whole.split("validation").targets_N)


def test_no_copy_that_a_candidate_sees_tells_the_seed(mounted):
    for path in mounted.rglob("*.json"):
        if "with_labels" not in str(path):
            assert json.loads(path.read_text()).get("seed", task_data.WITHHELD) == task_data.WITHHELD, path


def test_rows_to_answer_are_bare_and_in_another_order_than_the_data_set(whole, mounted):
    asked = task_data.inputs(mounted, Split.TEST)
    assert asked.targets_N is None
    assert rows_of(asked) != rows_of(whole.split("test"))
    assert sorted(rows_of(asked)) == sorted(rows_of(whole.split("test")))


def test_the_secret_order_changes_no_accuracy(whole, tmp_path):
    """A fixed rule (what the first token says) scores the same under two orders, each drawn anew."""
    scores, orders = [], []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        task_data.write_agent(tmp_path / name, whole, profile="smoke")
        task_data.write_labels(tmp_path / name, whole, profile="smoke", split=Split.VALIDATION)
        asked = task_data.inputs(tmp_path / name, Split.VALIDATION)
        labels = task_data.read_labels(tmp_path / name, profile="smoke", split=Split.VALIDATION)
        answers = np.array([row[0] % 10 for row in rows_of(asked)])
        scores.append(float(np.mean(answers == labels.targets_N)))
        orders.append(rows_of(asked))
    assert orders[0] != orders[1]
    assert scores[0] == scores[1]
    assert 0.01 < scores[0] < 0.5


def test_labels_come_with_the_baselines_that_a_model_must_beat(mounted):
    labels = task_data.read_labels(mounted, profile="smoke", split=Split.TEST)
    assert (labels.classes, labels.label, labels.surrogate, labels.train_rows) == (10, "ListOps", False, 20_000)
    assert set(labels.baselines) == {"majority", "root operator"}
    assert [("does not beat" in line) for line in task_data.verdicts(10, labels).values()] == [True, True]
    assert [("does not beat" in line) for line in task_data.verdicts(900, labels).values()] == [False, False]


def test_labels_of_other_train_rows_or_another_profile_are_refused(whole, mounted, tmp_path):
    with pytest.raises(EvaluatorError, match="prepared for profile smoke, not paper"):
        task_data.read_labels(mounted, profile="paper", split=Split.TEST)
    with pytest.raises(EvaluatorError, match="prepared for profile smoke, not paper"):
        task_data.check_profile(mounted, "paper")
    with pytest.raises(EvaluatorError, match="validation_with_labels"):
        task_data.read_labels(mounted, profile="smoke", split=Split.VALIDATION)


def test_rows_that_were_not_prepared_are_named_with_the_script_that_makes_them(mounted):
    with pytest.raises(EvaluatorError, match=r"validation_inputs is missing.*evaluate_prepare.py --split=validation"):
        task_data.inputs(mounted, Split.VALIDATION)


def test_the_search_mounts_labels_for_the_score_only(tmp_path):
    splits = mounts.prepare_test(loader.load(LISTOPS), "smoke", tmp_path)
    for split in ("validation", "test"):
        seen = [mount.target for mount in splits.mounts(split, trusted=False)]
        assert seen == ["data/test", "data/train", "data/validation", f"data/{split}_inputs"]
        trusted = [mount.target for mount in splits.mounts(split, trusted=True)]
        assert trusted == [*seen, f"data/{split}_with_labels"]
    assert tmp_path / "labels" in splits.hidden
    assert tmp_path / "raw" in splits.hidden
    with preparation.private("labels-") as by_hand:
        assert by_hand.parent in splits.hidden


@pytest.mark.parametrize(("task", "kind"), [("text", "imdb"), ("retrieval", "aan"), ("needle", "prose")])
def test_without_real_data_smoke_takes_stand_ins_that_say_so_and_paper_is_refused(monkeypatch, tmp_path, task, kind):
    monkeypatch.delenv(raw_data.VARIABLE, raising=False)
    choice = raw_data.choose(kind, tmp_path)
    made = task_data.make(task, "smoke", 0, choice, tmp_path / "data")
    assert made.meta.surrogate
    assert "stand-in" in made.meta.label
    assert "builtin" in choice.description
    with pytest.raises(ValueError, match=r"profile paper needs the real data(.|\n)*AIRA_JAX_LRA=DIR"):
        task_data.make(task, "paper", 0, choice, tmp_path / "paper")


def test_a_variable_that_names_nothing_is_refused(monkeypatch):
    monkeypatch.setenv(raw_data.VARIABLE, "/nowhere")
    with pytest.raises(ValueError, match="AIRA_JAX_LRA=/nowhere: no such folder"):
        sources.choose("imdb")


def test_a_variable_that_names_nothing_ends_an_evaluation_of_prepared_data_with_a_message(
    monkeypatch, mounted, tmp_path, capsys
):
    monkeypatch.setenv(raw_data.VARIABLE, "/nowhere")
    task = loader.load("LongContextReasoningLRATextAccuracy")
    flags = [f"--submission-file={task.folder / 'starter' / 'model.py'}", "--profile=smoke", f"--data-dir={mounted}"]
    flags.append(f"--result-file={tmp_path / 'report.json'}")
    assert scripts.evaluate(preparing.Task("text", task.folder), flags) == 1
    assert "error: AIRA_JAX_LRA=/nowhere: no such folder" in capsys.readouterr().err


@pytest.fixture
def reviews(tmp_path, monkeypatch):
    """A folder of raw reviews, named by the environment."""
    for split, count in (("train", 40), ("test", 20)):
        lines = [json.dumps({"id": f"{split}{i}", "label": i % 2, "text": f"{split} text {i}"}) for i in range(count)]
        (tmp_path / f"imdb_{split}_tiny.jsonl").write_text("\n".join(lines))
    monkeypatch.setenv(raw_data.VARIABLE, str(tmp_path))
    return tmp_path


def test_raw_files_are_found_hidden_and_told_apart_by_content(reviews):
    choice = sources.choose("imdb")
    before = choice.fingerprint
    assert set(sources.files(choice)) == set(choice.files)
    with (reviews / "imdb_test_tiny.jsonl").open("a") as file:
        file.write("\n")
    assert sources.choose("imdb").fingerprint != before


def test_a_prepared_data_set_in_the_folder_goes_before_raw_files(reviews):
    made = task_data.make("text", "smoke", 0, sources.choose("imdb"), reviews / "text")
    found = sources.choose("imdb")
    assert (found.store, found.files) == (True, (reviews / "text",))
    assert set(sources.files(found)) == {reviews / "text", *reviews.glob("imdb_*")}
    assert task_data.make("text", "paper", 0, found, reviews / "unused").folder == made.folder


def test_preparing_into_the_data_set_itself_is_refused(reviews, capsys):
    task_data.make("text", "smoke", 0, sources.choose("imdb"), reviews / "text")
    mount = reviews / "text" / "mount"
    mount.mkdir()
    flags = [f"--global-shared-data-dir={reviews}", f"--agent-data-mount-dir={mount}", "--profile=smoke"]
    assert preparing.prepare(preparing.Task("text", reviews), flags) == 2
    assert "lies inside the data set" in capsys.readouterr().err


@pytest.mark.parametrize("inside", ["", "train", "labels"])
def test_labels_are_not_written_where_candidates_read(tmp_path, capsys, inside):
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "manifest.json").touch()
    (tmp_path / inside).mkdir(exist_ok=True)
    flags = [f"--global-shared-data-dir={tmp_path}", f"--agent-data-mount-dir={tmp_path / inside}", "--profile=smoke"]
    assert preparing.evaluate_prepare(preparing.Task("retrieval", tmp_path), flags) == 2
    assert "labels need a folder of their own" in capsys.readouterr().err
    assert not list(tmp_path.rglob("*with_labels"))


@pytest.mark.skipif(
    "AIRA_JAX_SHARED" not in os.environ and not os.path.isdir("../shared/data/lra"), reason="no samples"
)
def test_real_samples_are_named_as_what_they_are(monkeypatch, tmp_path):
    monkeypatch.setenv(raw_data.VARIABLE, os.path.join(os.environ.get("AIRA_JAX_SHARED", "../shared/data"), "lra"))
    made = task_data.make("retrieval", "smoke", 0, sources.choose("aan"), tmp_path / "data")
    assert (made.meta.label, made.meta.surrogate) == ("AAN surrogate (1,665 papers)", True)


def test_a_prompt_shows_what_lies_in_the_data_folders(mounted):
    text = overview.data_overview(mounted)
    assert (
        "data/train: ListOps, read by lra.data.store.open('data/train')\n    train: 20000 rows of 6 to 30 token" in text
    )
    assert "\n    row 0: 12 1 9 5 7 15 -> 8\n" in text  # [MAX 0 8 4 6 ] = 8
    assert "validation: 1000 rows of 6 to " in text
    assert text.count("row ") == 2


def test_a_whole_data_set_may_be_named_in_place_of_mounts(whole, tmp_path):
    flags = [f"--data-dir={whole.folder}", "--profile=smoke", "--split=validation"]
    arguments = evaluation.parse(flags, submission="model.py", profiles=("smoke",))
    with scripts._mounted(preparing.Task("listops", tmp_path), arguments) as data:
        names = sorted(path.name for path in data.iterdir())
        assert names == ["test", "train", "validation", "validation_inputs", "validation_with_labels"]
        assert len(task_data.inputs(data, Split.VALIDATION)) == 1000
    with pytest.raises(EvaluatorError, match="holds listops data, text needed"):
        scripts._mounted(preparing.Task("text", tmp_path), arguments).__enter__()
