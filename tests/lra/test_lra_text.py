"""Text: exact bytes, sources, groups and the carving of validation, the fingerprint, bad input."""

import gzip
import hashlib
import logging
import os
import sys
import types
from pathlib import Path

import numpy as np
import pytest

from lra.data import store, text
from lra.data.text import Review


@pytest.fixture
def folder(tmp_path) -> Path:
    """A small aclImdb: 20 reviews per label and split; films of two neighbours each."""
    for split in ("train", "test"):
        for label, rating in (("neg", 2), ("pos", 9)):
            where = tmp_path / "aclImdb" / split / label
            where.mkdir(parents=True)
            for n in range(20):
                (where / f"{n}_{rating}.txt").write_bytes(b" %s %s %d\n" % (split.encode(), label.encode(), n))
            urls = "".join(f"http://films/title/tt{n // 2:07}/usercomments\n" for n in range(20))
            (tmp_path / "aclImdb" / split / f"urls_{label}.txt").write_text(urls)
    return tmp_path / "aclImdb"


def build(folder, out):
    train, test = (text.read_aclimdb(folder, split) for split in ("train", "test"))
    text.build(out, "aclImdb", train, test, seed=0, command="make", rebuild=False)
    return store.open(out, "text")


def test_real_reviews_keep_their_bytes(reviews, text_samples):
    for name, rows in (("train", reviews[0]), ("test", reviews[1])):
        split = text_samples.split(name)
        known = {row.text for row in rows}
        for n in range(0, len(split), 97):
            ids = split.batch(np.array([n]), 20_000)["inputs"][0]
            real = ids[ids > 0]
            assert real.max() <= 256
            assert (real - 1).astype(np.uint8).tobytes() in known


def test_counts_and_mean_lengths_of_the_samples(reviews):
    train, test = reviews
    for rows, count, mean, long in ((train, 8000, 1329.0, 0.489), (test, 4000, 1290.1, 0.473)):
        lengths = np.array([len(row.text) for row in rows])
        assert (len(rows), sum(row.label for row in rows)) == (count, count // 2)
        assert lengths.mean() == pytest.approx(mean, abs=1)
        assert (lengths > 1000).mean() == pytest.approx(long, abs=0.001)
    assert len(train) - len({row.text for row in train}) == 15
    assert text.overlap(train, test) == 5


def test_samples_are_carved_by_equal_text_and_marked(reviews, text_samples):
    assert text_samples.meta.counts == {"train": 7200, "validation": 800, "test": 4000}
    assert (text_samples.meta.surrogate, text_samples.meta.label) == (True, "IMDB sample")
    assert np.bincount(text_samples.split("validation").targets_N).tolist() == [400, 400]
    chosen = text.validation_ids(reviews[0], seed=0)
    inside = {row.text for row in reviews[0] if row.id in chosen}
    assert not inside & {row.text for row in reviews[0] if row.id not in chosen}
    assert text.validation_ids(reviews[0], seed=1) != chosen


def test_bytes_that_are_not_utf8_survive_and_only_white_space_at_the_ends_goes(folder, tmp_path):
    odd = b"\xff\xfe a\r\n\tb\x00"
    (folder / "test" / "neg" / "0_2.txt").write_bytes(b"\n " + odd + b" \t\n")
    (folder / "test" / "neg" / "1_2.txt").write_bytes(b"  \n")
    dataset = build(folder, tmp_path / "out")
    rows = [dataset.split("test").documents.row(n).tobytes() for n in range(40)]
    assert odd in rows
    assert b" " in rows
    assert dataset.meta.details["empty"] == {"train": 0, "validation": 0, "test": 1}


def test_no_film_lies_on_both_sides_and_a_tenth_of_each_label_is_taken(folder):
    train = text.read_aclimdb(folder, "train")
    for seed in range(5):
        chosen = text.validation_ids(train, seed)
        inside = [row for row in train if row.id in chosen]
        assert sorted(row.label for row in inside) == [0, 0, 1, 1]
        assert not {row.movie for row in inside} & {row.movie for row in train if row.id not in chosen}


def test_groups_connect_films_through_equal_texts_and_are_named_by_their_smallest_node():
    rows = [
        Review("a", 0, b"x", "tt1"),
        Review("b", 1, b"y", "tt1"),
        Review("c", 1, b"y", "tt3"),
        Review("d", 0, b"z", "tt2"),
    ]
    found = {name: {row.id for row in group} for name, group in text.groups(rows).items()}
    assert found == {"movie:tt1": {"a", "b", "c"}, "movie:tt2": {"d"}}
    alone = text.groups([Review("a", 0, b"x"), Review("b", 0, b"x")])
    assert list(alone) == [f"text:{hashlib.sha256(b'x').hexdigest()}"]


def test_the_fingerprint_ignores_order_and_sees_every_change():
    rows = [Review("a", 0, b"x"), Review("b", 1, b"y"), Review("c", 1, b"z")]
    first = text.fingerprint(rows, rows[:1])
    assert text.fingerprint(rows[::-1], rows[:1]) == first
    assert text.fingerprint(rows[:2], rows[:1]) != first
    assert text.fingerprint([Review("a", 1, b"x"), *rows[1:]], rows[:1]) != first
    expected = hashlib.sha256()
    for label, content in ((0, b"x"), *sorted(((1, b"y"), (1, b"z")), key=lambda p: hashlib.sha256(p[1]).digest())):
        expected.update(bytes([label]) + hashlib.sha256(content).digest())
    assert text.fingerprint(rows, []) == expected.hexdigest()


def test_reviews_other_than_the_published_ones_are_a_warning_with_counts(folder, tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        build(folder, tmp_path / "out")
    assert "20 reviews, 12500 in the published set" in caplog.text
    assert "40 train and 40 test rows found, 25000 and 25000 expected" in caplog.text


def test_missing_url_lists_are_a_warning_and_films_are_unknown(folder, caplog):
    (folder / "train" / "urls_pos.txt").unlink()
    with caplog.at_level(logging.WARNING):
        rows = text.read_aclimdb(folder, "train")
    assert "urls_pos.txt is missing" in caplog.text
    assert {row.movie is None for row in rows if row.label} == {True}


def test_a_missing_class_folder_and_a_bad_file_name_are_errors(folder):
    (folder / "train" / "pos" / "note.txt").write_text("x")
    with pytest.raises(ValueError, match=r"note.txt: file names must be <number>_<rating>.txt"):
        text.read_aclimdb(folder, "train")
    (folder / "test" / "pos").rename(folder / "test" / "positive")
    with pytest.raises(ValueError, match=r"pos is missing: .*neg,pos"):
        text.read_aclimdb(folder, "test")


@pytest.mark.parametrize(
    "line, message",
    [
        ("{", "line 1: not JSON"),
        ("[1]", "line 1: a JSON object expected"),
        ('{"id": 1, "label": 2, "text": "x"}', "line 1: id, text and a label 0 or 1"),
        ('{"id": 1, "label": 0, "text": "x"}\n{"id": 1, "label": 0, "text": "x"}', "id '1' occurs more than once"),
    ],
)
def test_malformed_json_lines_are_errors_with_file_and_line(tmp_path, line, message):
    (tmp_path / "x.jsonl").write_text(line)
    with pytest.raises(ValueError, match=message):
        text.read_jsonl(tmp_path / "x.jsonl")


def test_a_gzip_file_that_ends_early_is_an_error(tmp_path):
    (tmp_path / "x.jsonl.gz").write_bytes(gzip.compress(b'{"id": 1, "label": 0, "text": "x"}\n' * 9)[:-12])
    with pytest.raises(ValueError, match=r"x.jsonl.gz is damaged or cut short"):
        text.read_jsonl(tmp_path / "x.jsonl.gz")


def test_reading_a_prepared_data_set_gives_the_reviews_of_its_rows(monkeypatch):
    asked = []

    def data_source(name, split, data_dir, download):
        asked.append((name, split, data_dir, download))
        return [{"text": b" fine \n", "label": np.int64(1)}, {"text": b"bad", "label": np.int64(0)}]

    monkeypatch.setitem(sys.modules, "tensorflow_datasets", types.SimpleNamespace(data_source=data_source))
    rows = text.read_tfds("train", "somewhere")
    assert rows == [Review("train/0", 1, b"fine"), Review("train/1", 0, b"bad")]
    assert asked == [("imdb_reviews", "train", "somewhere", False)]


def test_a_data_set_that_is_not_prepared_is_an_error_with_the_command(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)
    with pytest.raises(ValueError, match=r"not installed.*\n.*tfds build imdb_reviews --file_format=array_record"):
        text.read_tfds("train")

    def data_source(*args, **kwargs):
        raise AssertionError("could not find data")

    monkeypatch.setitem(sys.modules, "tensorflow_datasets", types.SimpleNamespace(data_source=data_source))
    with pytest.raises(ValueError, match=r"could not find data.*\n.*tfds build imdb_reviews.*--data_dir=here"):
        text.read_tfds("train", "here")


def test_the_prepared_imdb_reviews_are_the_published_ones_without_tensorflow():
    pytest.importorskip("tensorflow_datasets")
    try:
        train, test = text.read_tfds("train"), text.read_tfds("test")
    except ValueError as error:
        pytest.skip(str(error))
    assert "tensorflow" not in sys.modules
    assert text.fingerprint(train, test) == text.FINGERPRINT


def test_the_published_folder_has_its_fingerprint_and_its_validation_rows():
    where = os.environ.get("AIRA_JAX_ACLIMDB")
    if where is None:
        pytest.skip("set AIRA_JAX_ACLIMDB to the unpacked aclImdb folder")
    train, test = (text.read_aclimdb(Path(where), split) for split in ("train", "test"))
    assert text.fingerprint(train, test) == text.FINGERPRINT
    assert len(text.groups(train)) == 3438
    chosen = sorted(text.validation_ids(train, 0))
    assert hashlib.sha256("\n".join(chosen).encode()).hexdigest().startswith("fc9c38c9eb7b1844")
    alone = [Review(row.id, row.label, row.text) for row in train]
    assert len(text.groups(alone)) == 24_904
    chosen = sorted(text.validation_ids(alone, 0))
    assert hashlib.sha256("\n".join(chosen).encode()).hexdigest().startswith("3d56e36de740b36a")
