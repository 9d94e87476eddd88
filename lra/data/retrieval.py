"""Retrieval: does one paper cite another? Pairs of ACL Anthology papers as raw bytes.

From the published new_aan_pairs.{train,eval,test}.tsv (Tay et al. 2020; Radev et al. 2013), or from the surrogate of
1,665 papers, which is always labelled as such. Every document is stored once, capped at 10,000 bytes.
"""

import collections
import dataclasses
import hashlib
import logging
from collections.abc import Callable, Iterator
from pathlib import Path

from lra.data import store, writer
from lra.data.text import json_rows

GENERATOR = "retrieval-1"
CAP = 10_000
SURROGATE_LABEL = "AAN surrogate (1,665 papers)"
_FILES = {"train": "train", "validation": "eval", "test": "test"}
_LABELS = {b"0": 0, b"1": 1, b"0.0": 0, b"1.0": 1}
_TO_BLANK = bytes.maketrans(b"\r\n\t", b"   ")


@dataclasses.dataclass
class _Pairs:
    """Pairs of one split: rows of `docs` and labels."""

    documents: list[tuple[int, int]] = dataclasses.field(default_factory=list)
    labels: list[int] = dataclasses.field(default_factory=list)

    def add(self, first: int, second: int, label: int) -> None:
        self.documents.append((first, second))
        self.labels.append(label)


class _Documents:
    """Stores each (id, text) once and gives its row number."""

    def __init__(self, rows: writer.DocumentWriter):
        self._rows = rows
        self._numbers: dict[tuple[bytes, bytes], int] = {}

    def number(self, name: bytes, text: bytes) -> int:
        text = text[:CAP]
        key = name, hashlib.blake2b(text, digest_size=16).digest()
        if key not in self._numbers:
            self._numbers[key] = self._rows.append(text)
        return self._numbers[key]


def build_published(out: Path, source: Path, command: str, rebuild: bool, skip_bad: bool = False) -> dict[str, object]:
    """Writes a data set from the published TSV files; returns what was counted.

    Errors: ValueError with file and line for a malformed row, unless `skip_bad`, which counts and skips it.
    """
    paths = {split: source / f"new_aan_pairs.{name}.tsv" for split, name in _FILES.items()}
    for path in paths.values():
        if not path.is_file():
            raise ValueError(f"{path} is missing: new_aan_pairs.{{train,eval,test}}.tsv expected in {source}")
    skipped = collections.Counter(dict.fromkeys(paths, 0))

    def read(documents: _Documents) -> dict[str, _Pairs]:
        splits = {}
        for split, path in paths.items():
            splits[split] = pairs = _Pairs()
            for label, id1, id2, text1, text2 in _tsv_rows(path, skip_bad, lambda s=split: skipped.update([s])):
                pairs.add(documents.number(id1, text1), documents.number(id2, text2), label)
        return splits

    return _write(
        out,
        rebuild,
        read,
        {"skipped": skipped},
        source="new_aan_pairs",
        label="AAN",
        licence="AAN: papers CC BY-NC-SA 3.0",
        command=command,
    )


def _tsv_rows(path: Path, skip_bad: bool, skipped: Callable[[], None]) -> Iterator[tuple]:
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                yield _tsv_row(line.rstrip(b"\r\n"))
            except ValueError as error:
                if not skip_bad:
                    raise ValueError(
                        f"{path} line {number}: {error} (--skip_bad counts and skips such rows)"
                    ) from error
                skipped()


def _tsv_row(line: bytes) -> tuple:
    fields = line.split(b"\t")
    if len(fields) != 5:
        raise ValueError(f"{len(fields)} fields, 5 expected: label, id1, id2, text1, text2")
    label, id1, id2, text1, text2 = fields
    if label not in _LABELS:
        raise ValueError(f"label {label.decode(errors='replace')!r}: 0, 1, 0.0 or 1.0 expected")
    for name, text in ((id1, text1), (id2, text2)):
        if not text.strip():
            raise ValueError(f"id {name.decode(errors='replace')!r} has no text")
    return _LABELS[label], id1, id2, text1, text2


def build_surrogate(out: Path, source: Path, command: str, rebuild: bool, skip_bad: bool = False) -> dict[str, object]:
    """Writes a data set from aan_docs.jsonl(.gz) and aan_pairs.tsv, marked as a surrogate; returns what was counted."""
    texts = _surrogate_texts(source)
    skipped = collections.Counter(dict.fromkeys(_FILES, 0))

    def read(documents: _Documents) -> dict[str, _Pairs]:
        splits = {split: _Pairs() for split in _FILES}
        path = source / "aan_pairs.tsv"
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines()[1:], start=2):
            try:
                split, label, id1, id2 = _surrogate_pair(line, texts)
            except ValueError as error:
                if not skip_bad:
                    raise ValueError(
                        f"{path} line {number}: {error} (--skip_bad counts and skips such rows)"
                    ) from error
                skipped["all"] += 1
                continue
            first, second = (documents.number(name.encode(), texts[name]) for name in (id1, id2))
            splits[split].add(first, second, label)
        return splits

    return _write(
        out,
        rebuild,
        read,
        {"skipped": skipped},
        source="aan_docs + aan_pairs",
        surrogate=True,
        label=SURROGATE_LABEL,
        licence="corpus CC BY 4.0, papers CC BY-NC-SA 3.0",
        command=command,
    )


def _surrogate_texts(source: Path) -> dict[str, bytes]:
    names = ("aan_docs.jsonl.gz", "aan_docs.jsonl")
    path = next((source / name for name in names if (source / name).is_file()), None)
    if path is None or not (source / "aan_pairs.tsv").is_file():
        raise ValueError(f"{source} must hold aan_pairs.tsv and {' or '.join(names)}")
    texts = {}
    for number, row in json_rows(path):
        if not all(isinstance(row.get(key), str) for key in ("id", "title", "text")):
            raise ValueError(f"{path} line {number}: id, title and text (strings) expected, found {sorted(row)}")
        text = f"{row['title']} {row['text']}" if row["title"] else row["text"]
        texts[row["id"]] = text.encode("utf-8", "surrogatepass").translate(_TO_BLANK)
    return texts


def _surrogate_pair(line: str, texts: dict[str, bytes]) -> tuple[str, int, str, str]:
    fields = line.split("\t")
    if len(fields) != 4:
        raise ValueError(f"{len(fields)} fields, 4 expected: split, label, id1, id2")
    split, label, id1, id2 = fields
    if split not in _FILES:
        raise ValueError(f"split {split!r}: {', '.join(_FILES)} expected")
    if label not in ("0", "1"):
        raise ValueError(f"label {label!r}: 0 or 1 expected")
    for name in (id1, id2):
        if not texts.get(name):
            raise ValueError(f"id {name!r} has no text")
    return split, int(label), id1, id2


def _write(
    out: Path, rebuild: bool, read: Callable[[_Documents], dict[str, _Pairs]], details: dict, **meta: object
) -> dict[str, object]:
    with writer.building(out, rebuild) as folder:
        with writer.DocumentWriter(folder / store.DOCS) as rows:
            splits = read(_Documents(rows))
            details["documents"], details["empty"] = len(rows), rows.empty
        for name, pairs in splits.items():
            writer.write_pairs(folder / name, pairs.documents, pairs.labels)
        bad = sum(details["skipped"].values())
        if bad:
            logging.warning("%d malformed rows were skipped: %s", bad, dict(details["skipped"]))
        details["skipped"] = dict(details["skipped"])
        writer.finish(
            folder,
            task="retrieval",
            seed=0,
            generator=GENERATOR,
            details=details,
            **meta,
        )
    return details
