"""Needle: a fact hidden in real text, asked for at the end. Bytes of a text of your own; not part of LRA.

A row is a window of the text with some sentences like "The code of qjwu is 7." put between its words, and ends with
"The code of qjwu is"; the class is the digit. Names are random letters, so nothing can be learnt by heart. The text
is cut into 80 % train, 10 % validation and 10 % test, so no window is shared between splits.
Row i of a split is a pure function of (text, seed, split, i).
"""

import dataclasses
import gzip
import hashlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from lra.data import philox, recall, writer
from lra.data.text import json_rows

GENERATOR = "needle-1"
VOCAB, CLASSES = 257, 10
SIZES = {"train": 20_000, "validation": 1_000, "test": 1_000}
_TAGS = {"train": 20, "validation": 21, "test": 22}
_SHARES = {"train": (0, 8), "validation": (8, 9), "test": (9, 10)}  # tenths of the text
_LETTERS = np.frombuffer(b"abcdefghijklmnopqrstuvwxyz", np.uint8)
_NAME = 4
_QUESTION = b" The code of %s is"
_NEEDLE = _QUESTION + b" %d."
_NEEDLE_BYTES = len(_NEEDLE % (b"x" * _NAME, 0))
_SENTENCE = re.compile(rb" The code of [a-z]{4} is ([0-9])\.")
_QUESTION_BYTES = len(_QUESTION % (b"x" * _NAME))


@dataclasses.dataclass(frozen=True)
class Params:
    """Shape of a row: bytes in all, sentences hidden (one of them is asked for)."""

    length: int = 512
    needles: int = 4

    def __post_init__(self):
        if not 1 <= self.needles <= len(_LETTERS):
            raise ValueError(f"needles {self.needles} is outside [1, {len(_LETTERS)}]")
        if not 64 <= self.length <= 65_536 or self.window < self.length // 2:
            raise ValueError(
                f"length {self.length}: from 64 to 65536 bytes, and at least half of it text around "
                f"{self.needles} needles of {_NEEDLE_BYTES} bytes"
            )

    @property
    def window(self) -> int:
        """Bytes of real text in a row."""
        return self.length - self.needles * _NEEDLE_BYTES - _QUESTION_BYTES


def read_text(path: Path) -> bytes:
    """The bytes of a text file, or the `text` of every row of a .jsonl file, joined by line breaks; gzip is opened."""
    if not path.is_file():
        raise ValueError(f"{path} does not exist: a text file, or .jsonl with `text`, is expected (.gz of either too)")
    if ".jsonl" in path.suffixes:
        texts = []
        for number, row in json_rows(path):
            if not isinstance(row.get("text"), str):
                raise ValueError(f"{path} line {number}: a string `text` expected, found {sorted(row)}")
            texts.append(row["text"].encode("utf-8", "surrogatepass").strip())
        return b"\n".join(texts)
    try:
        return gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (EOFError, gzip.BadGzipFile) as error:
        raise ValueError(f"{path} is damaged or cut short ({error}): fetch it again") from error


def rows(text: bytes, seed: int, split: str, count: int, params: Params) -> Iterator[tuple[bytes, int]]:
    """(bytes, class) of rows 0 ... count - 1. Errors: ValueError when the split's part of the text is too short."""
    first, last = (len(text) * tenth // 10 for tenth in _SHARES[split])
    part = text[first:last]
    if len(part) < params.window:
        raise ValueError(
            f"{split}: its part of the text has {len(part)} bytes, a row needs {params.window}: "
            f"give a text of {10 * params.window} bytes or more, or lower length"
        )
    stream = philox.Words(seed, _TAGS[split])
    for index in range(count):
        yield _row(part, stream.block(index, 2 + len(_LETTERS) + (_NAME + 1) * params.needles), params)


def _row(part: bytes, words: np.ndarray, params: Params) -> tuple[bytes, int]:
    n = params.needles
    start, asked = (int(philox.below(words[i : i + 1], m)[0]) for i, m in ((0, len(part) - params.window + 1), (1, n)))
    first_letters = np.argsort(words[2 : 2 + len(_LETTERS)], kind="stable")[:n]
    places, digits, *letters = words[2 + len(_LETTERS) :].reshape(-1, n)
    letters = [first_letters, *(philox.below(w, len(_LETTERS)) for w in letters)]
    names = [name.tobytes() for name in _LETTERS[np.stack(letters, axis=1)]]
    digits = philox.below(digits, CLASSES)

    window = part[start : start + params.window]
    cuts = [_next_blank(window, int(place)) for place in philox.below(places, params.window)]
    pieces, done = [], 0
    for cut, name, digit in sorted(zip(cuts, names, digits.tolist(), strict=True)):
        pieces += [window[done:cut], _NEEDLE % (name, digit)]
        done = cut
    return b"".join([*pieces, window[done:], _QUESTION % names[asked]]), int(digits[asked])


def _next_blank(window: bytes, place: int) -> int:
    found = window.find(b" ", place)
    return len(window) if found < 0 else found


def digests(text: bytes, seed: int, sizes: Mapping[str, int], params: Params) -> dict[str, str]:
    """sha256 per split over the rows, each followed by its class as one byte."""
    return {name: recall.rows_sha256(rows(text, seed, name, count, params)) for name, count in sizes.items()}


def first_digit(row: bytes) -> int:
    """The digit of the first hidden sentence: what a reader that ignores the names answers."""
    return int(_SENTENCE.search(row)[1])


def build(
    out: Path, text: Path, seed: int, sizes: Mapping[str, int], params: Params, command: str, rebuild: bool = False
) -> dict[str, str]:
    """Writes a data set from a text file and returns the hash of each split's rows."""
    source = read_text(text)
    hashes = digests(source, seed, sizes, params)
    with writer.building(out, rebuild) as folder:
        for name, count in sizes.items():
            writer.write_rows(folder / name, rows(source, seed, name, count, params))
        writer.finish(
            folder,
            task="needle",
            source=text.name,
            label=f"Needle in {text.name}, length {params.length}",
            seed=seed,
            generator=GENERATOR,
            licence="as the text's",
            command=command,
            parameters=dict(vars(params)) | {"text_sha256": hashlib.sha256(source).hexdigest()},
            details={"canonical_sha256": hashes},
        )
    return hashes
