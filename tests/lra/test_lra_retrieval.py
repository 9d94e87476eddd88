"""Retrieval: the published TSV files, the surrogate, and malformed rows."""

import gzip
import json

import numpy as np
import pytest

from lra.data import retrieval, store


def write_tsv(folder, **lines: bytes) -> None:
    folder.mkdir(exist_ok=True)
    for name in ("train", "eval", "test"):
        default = b"1.0\tA\tB\tfirst text\tsecond \xff\n"
        (folder / f"new_aan_pairs.{name}.tsv").write_bytes(lines.get(name, default))


def test_published_rows_keep_their_bytes_and_each_document_is_stored_once(tmp_path):
    train = b"1.0\tA\tB\tfirst text\tsecond \xff\n0\tB\tC\tsecond \xff\t" + b"x" * 10_050 + b"\n"
    write_tsv(tmp_path / "tsv", train=train)
    retrieval.build_published(tmp_path / "out", tmp_path / "tsv", command="make", rebuild=False)
    dataset = store.open(tmp_path / "out", "retrieval")
    assert dataset.meta.counts == {"train": 2, "validation": 1, "test": 1}
    assert (dataset.meta.surrogate, dataset.meta.label, dataset.meta.details["documents"]) == (False, "AAN", 3)
    split = dataset.split("train")
    assert split.pairs_N2.tolist() == [[0, 1], [1, 2]]
    assert split.targets_N.tolist() == [1, 0]
    assert [len(split.documents.row(n)) for n in range(3)] == [10, 8, 10_000]
    assert split.batch(np.array([0]), 9)["inputs2"][0].tolist() == [b + 1 for b in b"second \xff"] + [0]


@pytest.mark.parametrize(
    "line, message",
    [
        (b"1\tA\tB\tone\n", "4 fields, 5 expected"),
        (b"1\tA\tB\tone\ttwo\tthree\n", "6 fields, 5 expected"),
        (b"2\tA\tB\tone\ttwo\n", "label '2'"),
        (b"1\tA\tB\tone\t \n", "id 'B' has no text"),
    ],
)
def test_a_malformed_row_is_an_error_with_file_and_line_or_is_counted(tmp_path, line, message):
    good = b"1\tA\tB\tone\ttwo\n"
    write_tsv(tmp_path / "tsv", eval=good + line)
    with pytest.raises(ValueError, match=rf"new_aan_pairs.eval.tsv line 2: {message}.*--skip_bad"):
        retrieval.build_published(tmp_path / "out", tmp_path / "tsv", command="make", rebuild=False)
    assert not (tmp_path / "out").exists()
    found = retrieval.build_published(tmp_path / "out", tmp_path / "tsv", command="make", rebuild=False, skip_bad=True)
    assert found["skipped"] == {"train": 0, "validation": 1, "test": 0}
    assert store.open(tmp_path / "out").meta.counts["validation"] == 1


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"new_aan_pairs.train.tsv is missing"):
        retrieval.build_published(tmp_path / "out", tmp_path, command="make", rebuild=False)
    with pytest.raises(ValueError, match=r"must hold aan_pairs.tsv and aan_docs.jsonl.gz"):
        retrieval.build_surrogate(tmp_path / "out", tmp_path, command="make", rebuild=False)


def write_surrogate(folder, pairs: str) -> None:
    rows = [{"id": "A", "title": "On", "text": "a\tb\r\nc"}, {"id": "B", "title": "", "text": "alone"}]
    (folder / "aan_docs.jsonl.gz").write_bytes(gzip.compress("\n".join(map(json.dumps, rows)).encode()))
    (folder / "aan_pairs.tsv").write_text("split\tlabel\tid1\tid2\n" + pairs)


def test_a_surrogate_document_is_title_and_text_on_one_line(tmp_path):
    write_surrogate(tmp_path, "train\t1\tA\tB\nvalidation\t0\tB\tA\ntest\t0\tA\tB\n")
    retrieval.build_surrogate(tmp_path / "out", tmp_path, command="make", rebuild=False)
    documents = store.open(tmp_path / "out").split("train").documents
    assert [documents.row(n).tobytes() for n in range(2)] == [b"On a b  c", b"alone"]


@pytest.mark.parametrize(
    "line, message",
    [
        ("train\t1\tA\tZ", "line 2: id 'Z' has no text"),
        ("train\t1\tA", "line 2: 3 fields"),
        ("dev\t1\tA\tB", "line 2: split 'dev'"),
        ("train\tyes\tA\tB", "line 2: label 'yes'"),
    ],
)
def test_a_malformed_surrogate_pair_is_an_error_with_its_line_or_is_counted(tmp_path, line, message):
    write_surrogate(tmp_path, f"{line}\ntrain\t1\tA\tB\nvalidation\t0\tB\tA\ntest\t0\tA\tB\n")
    with pytest.raises(ValueError, match=rf"aan_pairs.tsv {message}"):
        retrieval.build_surrogate(tmp_path / "out", tmp_path, command="make", rebuild=False)
    found = retrieval.build_surrogate(tmp_path / "out", tmp_path, command="make", rebuild=False, skip_bad=True)
    assert sum(found["skipped"].values()) == 1


def test_facts_of_the_real_surrogate(surrogate):
    assert surrogate.meta.counts == {"train": 4430, "validation": 536, "test": 570}
    assert (surrogate.meta.surrogate, surrogate.meta.label) == (True, "AAN surrogate (1,665 papers)")
    assert surrogate.meta.details["documents"] == 1549
    citing = {}
    for name, papers in (("train", 936), ("validation", 117), ("test", 117)):
        split = surrogate.split(name)
        assert np.mean(split.targets_N) == 0.5
        citing[name] = set(split.pairs_N2[:, 0].tolist())
        assert len(citing[name]) == papers
    assert not citing["train"] & citing["test"]
    assert not citing["train"] & citing["validation"]
    cited = [set(surrogate.split(name).pairs_N2[:, 1].tolist()) for name in ("train", "test")]
    assert len(cited[0] & cited[1]) == 198
    surrogate.verify()
