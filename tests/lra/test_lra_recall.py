"""Recall and needle: every row has exactly one answer, found where it was put; pinned hashes; bad parameters."""

import gzip
import json
import re

import numpy as np
import pytest

from lra.data import needle, recall, store

SIZES = {"train": 20, "validation": 10, "test": 10}
RECALL = {
    "train": "5597f7d38606b3befe35d2373d59fd0498399bae3b84888f6a9365d244b79f6a",
    "validation": "12504c64b1e423f451f858b1b4599808669f48f036809e398189994bf5b85e41",
    "test": "75f664d085286e901dadf107e11a125bf2e8db807d322fbae54d20c7d9a3566d",
}
RECALL_8192 = "20da2ee4b4a3a4a072d0538536f3c00b83a8da99c849af3f558a09447a9ccad4"
NEEDLE = {
    "train": "03efe26d75e8fffff09b49f4b92438f8ec9d69545bcf974edb5cf9b99a315037",
    "validation": "526d654c883680e14e9e4b4458d0f81804c761cf2f1b8eaf5a4d61dea049f6ed",
    "test": "78d9f9ca90b081febe3ebfb81223533a5f6d2178794a267bdeb6084b1542b4b9",
}


@pytest.mark.parametrize("length, pairs, queries", [(64, 1, 1), (512, 32, 8), (2048, 64, 16), (8192, 96, 96)])
def test_the_answer_is_the_value_shown_once_beside_the_last_key(length, pairs, queries):
    params = recall.Params(length, pairs, queries)
    for row, target in recall.rows(3, "train", 8, params):
        ids = np.frombuffer(row, np.uint8)
        assert len(ids) == length
        is_key, is_value = ids < recall.FIRST_VALUE, (ids >= recall.FIRST_VALUE) & (ids < recall.FIRST_NOISE)
        assert (is_key.sum(), is_value.sum()) == (pairs + queries, pairs + queries - 1)
        assert recall.FIRST_KEY <= ids.min() <= ids.max() < recall.VOCAB
        places = np.flatnonzero(ids == ids[-1])
        assert len(places) == 2
        assert ids[places[0] + 1] - recall.FIRST_VALUE == target
        for key in np.unique(ids[is_key]):
            first, *again = np.flatnonzero(ids == key)
            assert first < length // 2
            assert all(ids[place + 1] == ids[first + 1] for place in again if place < length - 1)


def test_pinned_hashes_of_recall():
    assert recall.digests(0, SIZES, recall.Params()) == RECALL
    assert recall.digests(1, SIZES, recall.Params()) != RECALL
    assert recall.digests(0, {"test": 10}, recall.Params(8192, 96, 16)) == {"test": RECALL_8192}


def test_recall_data_set(tmp_path):
    hashes = recall.build(tmp_path / "d", 0, SIZES, recall.Params(), command="make")
    dataset = store.open(tmp_path / "d", "recall")
    assert hashes == RECALL
    batch = dataset.split("train").batch_at(0, 0, 4, 512)
    assert batch["inputs"].shape == (4, 512)
    assert batch["inputs"].min() > 0
    assert (dataset.meta.vocab, dataset.meta.classes) == (recall.VOCAB, 64)
    dataset.verify()


TEXT = b"the quick brown fox jumps over the lazy dog and goes on its way. " * 400


def test_the_question_has_one_answer_in_the_text():
    digits = []
    params = needle.Params(length=400, needles=5)
    for row, target in needle.rows(TEXT, 0, "test", 60, params):
        assert len(row) == 400
        found = dict(re.findall(rb" The code of ([a-z]{4}) is (\d)\.", row))
        assert len(found) == 5
        question = re.fullmatch(rb".* The code of ([a-z]{4}) is", row, re.DOTALL)[1]
        assert int(found[question]) == target
        digits.append(target)
        rest = re.sub(rb" The code of [a-z]{4} is( \d\.)?", b"", row)
        assert rest in TEXT
    assert len(set(digits)) == 10


def test_splits_take_different_parts_of_the_text():
    text = b"".join(b"%05d " % n for n in range(2000))
    parts = {}
    for split in ("train", "validation", "test"):
        rows = needle.rows(text, 0, split, 40, needle.Params(length=200, needles=1))
        parts[split] = {int(n) for row, _ in rows for n in re.findall(rb"\b\d{5}\b", row)}
    assert max(parts["train"]) < min(parts["validation"])
    assert max(parts["validation"]) < min(parts["test"])


def test_pinned_hashes_of_needle():
    assert needle.digests(TEXT, 0, SIZES, needle.Params()) == NEEDLE


def test_needle_data_set_records_its_text(tmp_path):
    (tmp_path / "t.jsonl.gz").write_bytes(gzip.compress(json.dumps({"text": TEXT.decode()}).encode()))
    needle.build(tmp_path / "d", tmp_path / "t.jsonl.gz", 0, SIZES, needle.Params(length=256), command="make")
    dataset = store.open(tmp_path / "d", "needle")
    assert len(dataset.meta.parameters["text_sha256"]) == 64
    assert dataset.split("test").batch(np.arange(2), 256)["inputs"].shape == (2, 256)
    dataset.verify()


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: recall.Params(length=510), "length 510"),
        (lambda: recall.Params(length=64, pairs=20), r"pairs 20 is outside \[1, 16\]"),
        (lambda: recall.Params(pairs=4, queries=5), "queries 5"),
        (lambda: needle.Params(length=32), "length 32"),
        (lambda: needle.Params(length=200, needles=8), "length 200"),
        (lambda: needle.Params(needles=27), "needles 27"),
        (lambda: list(needle.rows(TEXT[:900], 0, "test", 1, needle.Params())), "its part of the text has 90 bytes"),
    ],
)
def test_parameters_that_do_not_fit_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_missing_or_damaged_text_is_an_error(tmp_path):
    with pytest.raises(ValueError, match=r"x.txt does not exist"):
        needle.read_text(tmp_path / "x.txt")
    (tmp_path / "x.txt.gz").write_bytes(b"no gzip")
    with pytest.raises(ValueError, match="damaged or cut short"):
        needle.read_text(tmp_path / "x.txt.gz")
    (tmp_path / "x.jsonl").write_text('{"txt": 1}')
    with pytest.raises(ValueError, match="line 1: a string `text` expected"):
        needle.read_text(tmp_path / "x.jsonl")
