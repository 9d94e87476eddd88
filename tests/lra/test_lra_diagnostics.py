"""Baselines: known figures on real samples, exact rules on small ones, and when a model counts as better."""

import numpy as np
import pytest

from lra import diagnostics
from lra.data import listops, listops_build, needle, recall, store, writer


def scores(dataset: store.Dataset, split: str, **options) -> dict[str, float]:
    return {b.name: b.accuracy for b in diagnostics.baselines(dataset, split, **options)}


def test_baselines_of_smoke_listops(tmp_path):
    listops_build.build(tmp_path / "d", 0, listops_build.SMOKE_SIZES, listops.SMOKE, command="make")
    dataset = store.open(tmp_path / "d")
    found = scores(dataset, "test")
    assert found["root operator"] == pytest.approx(0.221, abs=0.0005)
    most = np.bincount(dataset.split("train").targets_N).argmax()
    assert found["majority"] == np.mean(dataset.split("test").targets_N == most)
    assert np.bincount(dataset.split("train").targets_N).max() / 20_000 == pytest.approx(0.117, abs=0.0005)
    assert scores(dataset, "validation")["root operator"] == pytest.approx(0.222, abs=0.0005)


def test_ngrams_on_real_reviews(text_samples):
    found = scores(text_samples, "test", max_length=1000)
    assert found["byte 6-gram"] == pytest.approx(0.817, abs=0.01)
    assert 0.53 < found["byte 1-gram"] < 0.60
    assert found["majority"] == 0.5


def test_identity_and_word_overlap_on_real_papers(surrogate):
    found = scores(surrogate, "test")
    assert found["words in common"] == pytest.approx(0.719, abs=0.005)
    assert found["document identity"] == pytest.approx(0.496, abs=0.01)


@pytest.fixture
def letters(tmp_path) -> store.Dataset:
    """Positive rows hold `a`, negative rows hold `b`; the last test row holds both, `a` after 4 bytes."""
    train = [(b"xxa", 1), (b"axx", 1), (b"xb", 0), (b"bbb", 0)]
    with writer.building(tmp_path / "letters", rebuild=False) as folder:
        writer.write_rows(folder / "train", train)
        writer.write_rows(folder / "test", [(b"za", 1), (b"bz", 0), (b"bzzz" + b"ax", 1)])
        writer.finish(
            folder,
            task="text",
            source="test",
            surrogate=False,
            label="Letters",
            seed=0,
            generator="none",
            vocab=257,
            classes=2,
            byte_level=True,
            licence="none",
            command="make",
        )
    return store.open(tmp_path / "letters")


def test_an_ngram_counts_only_when_present_and_within_the_length(letters):
    train, test = letters.split("train"), letters.split("test")
    assert diagnostics.ngrams(train, test, n=1).tolist() == [1, 0, 1]
    assert diagnostics.ngrams(train, test, n=1, max_length=4).tolist() == [1, 0, 0]
    assert diagnostics.ngrams(train, test, n=7).tolist() == [0, 0, 0]


def test_a_value_shown_once_in_a_row_of_recall(tmp_path):
    """Of 4 values 1 was asked for before, so about a third of the guesses is right, where chance is 1 in 64."""
    recall.build(tmp_path / "d", 0, {"train": 10, "test": 400}, recall.Params(length=64, pairs=4, queries=2), "make")
    assert scores(store.open(tmp_path / "d"), "test")["value shown once"] == pytest.approx(1 / 3, abs=0.08)


def test_the_first_sentence_of_a_needle_row(tmp_path):
    """Of 2 sentences the first is asked for half the time, and the other has its digit 1 time in 10."""
    (tmp_path / "t.txt").write_text("all the world is a stage and the men and women merely players " * 60)
    sizes, params = {"train": 10, "test": 400}, needle.Params(length=200, needles=2)
    needle.build(tmp_path / "d", tmp_path / "t.txt", 0, sizes, params, "make")
    assert scores(store.open(tmp_path / "d"), "test")["first sentence"] == pytest.approx(0.55, abs=0.08)


def test_withheld_labels_are_an_error(letters, tmp_path):
    hidden = writer.extract(letters, tmp_path / "hidden", ["train", "test"], targets=False)
    with pytest.raises(ValueError, match="labels of train were withheld"):
        diagnostics.baselines(hidden, "test")


def test_wilson_intervals():
    low, high = diagnostics.wilson(880, 2000)  # p = 0.44: about +-2.2 points
    assert (low, high) == (pytest.approx(0.4184, abs=2e-4), pytest.approx(0.4619, abs=2e-4))
    assert diagnostics.wilson(0, 10)[0] == pytest.approx(0.0, abs=1e-12)
    assert diagnostics.wilson(10, 10)[1] == pytest.approx(1.0)
    assert diagnostics.wilson(0, 0) == (0.0, 1.0)


@pytest.mark.parametrize("accuracy, word", [(0.40, "beats"), (0.375, "does not beat"), (0.30, "does not beat")])
def test_a_model_beats_a_baseline_only_when_its_interval_clears_it(accuracy, word):
    baseline = diagnostics.Baseline("root operator", 0.363, 2000)
    assert f"{word} root operator" in diagnostics.verdict(accuracy, 2000, baseline)


def test_the_best_threshold_separates_equal_values_together():
    values, labels = np.array([0.9, 0.5, 0.5, 0.1]), np.array([1, 1, 0, 0])
    assert diagnostics._threshold(values, labels) in (0.9, 0.5)
    assert diagnostics._threshold(np.array([0.2, 0.8]), np.array([0, 1])) == 0.8


def test_the_command_prints_every_baseline_and_explains_bad_input(letters, tmp_path, capsys):
    assert diagnostics.main([str(letters.folder)]) == 0
    shown = capsys.readouterr().out
    assert "Letters" in shown
    assert [line.split()[0] for line in shown.splitlines()[1:]] == ["test"] * 3
    assert diagnostics.main([str(tmp_path / "absent")]) == 2
    assert "does not exist. Make it with" in capsys.readouterr().err
