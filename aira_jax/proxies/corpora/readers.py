"""Documents of a corpus, from every format that is read: one iterator, whatever the files look like.

.jsonl[.gz|.zst] one JSON object a line (its field `text`), or one JSON string a line, as BabiStories has them
.txt[.gz|.zst]   documents between separators; a .txt file of JSON strings is read as such
.parquet         the column `text`; needs pyarrow (and .zst needs zstandard)
.bin             token ids, uint16 or uint32, with a sidecar NAME.json: dtype, vocab, end, lengths (optional)

A path is a file or a folder. In a folder, files whose names begin with `test` or `val` hold the test documents and all
others the train documents; without such names all documents are in one pool.
"""

import contextlib
import dataclasses
import enum
import gzip
import importlib
import io
import json
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np

from aira_jax.core.files import sha256

_JSON_LINES = (".jsonl", ".jsonl.gz", ".jsonl.zst")
SUFFIXES = (*_JSON_LINES, ".txt", ".txt.gz", ".txt.zst", ".parquet", ".bin")
SEPARATOR = "<|endoftext|>"


class Pool(enum.StrEnum):
    """Which documents a file holds."""

    ANY = "any"
    TRAIN = "train"
    TEST = "test"


@dataclasses.dataclass(frozen=True)
class Source:
    """A file of a corpus; `field` is the JSON field or column of the text, `separator` stands between documents."""

    path: Path
    pool: Pool
    field: str = "text"
    separator: str = SEPARATOR

    @property
    def holds_tokens(self) -> bool:
        return self.path.name.endswith(".bin")


def sources(path: Path | str, *, field: str = "text", separator: str = SEPARATOR) -> list[Source]:
    """The files at `path`, sorted by name. Raises ValueError if there are none that can be read."""
    path = Path(path)
    if not path.exists():
        raise ValueError(f"corpus {path}: no such file or folder")
    if not separator:
        raise ValueError("the separator between documents must not be empty")
    files = [path] if path.is_file() else sorted(file for file in path.iterdir() if file.is_file())
    known = [file for file in files if file.name.endswith(SUFFIXES)]
    if not known:
        raise ValueError(f"corpus {path}: no file ends with one of {', '.join(SUFFIXES)}")
    tests = [path.is_dir() and file.name.lower().startswith(("test", "val")) for file in known]
    has_split = any(tests) and not all(tests)
    pools = [(Pool.TEST if test else Pool.TRAIN) if has_split else Pool.ANY for test in tests]
    found = [Source(file, pool, field, separator) for file, pool in zip(known, pools, strict=True)]
    if len({source.holds_tokens for source in found}) > 1:
        raise ValueError(f"corpus {path}: text and token files (.bin) cannot be one corpus: put them into two folders")
    return found


def texts(source: Source) -> Iterator[str]:
    """The documents of a text file, without empty ones. Raises ValueError that names file and line."""
    name = source.path.name
    if name.endswith(".parquet"):
        found = _parquet(source)
    else:
        found = _json_lines(source) if name.endswith(_JSON_LINES) or _is_json(source) else _separated(source)
    return (text for text in found if text.strip())


def _lines(source: Source) -> Iterator[str]:
    try:
        with _open(source.path) as file:
            yield from io.TextIOWrapper(file, encoding="utf-8", newline="\n")
    except UnicodeDecodeError as error:
        raise ValueError(f"{source.path}: not UTF-8 ({error.reason} at byte {error.start})") from error
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise ValueError(f"{source.path}: the compressed file is damaged ({error})") from error


def _open(path: Path) -> BinaryIO:
    if path.name.endswith(".gz"):
        return gzip.open(path)
    return _zstandard(path) if path.name.endswith(".zst") else path.open("rb")


@contextlib.contextmanager
def _zstandard(path: Path) -> Iterator[BinaryIO]:
    try:
        zstandard = importlib.import_module("zstandard")
    except ImportError as error:
        raise ValueError(f"{path}: reading .zst needs a package: pip install 'aira-jax[data]'") from error
    try:
        with zstandard.open(path) as file:
            yield file
    except zstandard.ZstdError as error:
        raise ValueError(f"{path}: the compressed file is damaged ({error})") from error


def _is_json(source: Source) -> bool:
    """A text file whose first line is a JSON string: the form in which BabiStories is published."""
    first = next(_lines(source), "").strip()
    if not first.startswith('"'):
        return False
    try:
        return isinstance(json.loads(first), str)
    except ValueError:
        return False


def _json_lines(source: Source) -> Iterator[str]:
    for number, line in enumerate(_lines(source), 1):
        if not line.strip():
            continue
        where = f"{source.path} line {number}"
        try:
            value = json.loads(line)
        except ValueError as error:
            raise ValueError(f"{where}: not JSON ({error})") from error
        text = value.get(source.field) if isinstance(value, dict) else value
        if not isinstance(text, str):
            has = f"; its fields are {', '.join(value)}" if isinstance(value, dict) else ""
            raise ValueError(f"{where}: no text in the field {source.field!r}{has}: name the right one with --field")
        if not _is_unicode(text):
            raise ValueError(f"{where}: half of a surrogate pair is no character: mend or remove this document")
        yield text


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _separated(source: Source) -> Iterator[str]:
    yield from (text.strip("\n") for text in "".join(_lines(source)).split(source.separator))


def _parquet(source: Source) -> Iterator[str]:
    try:
        parquet = importlib.import_module("pyarrow.parquet")
    except ImportError as error:
        raise ValueError(f"{source.path}: reading .parquet needs pyarrow, which is not installed") from error
    file = parquet.ParquetFile(source.path)
    if source.field not in file.schema_arrow.names:
        has = ", ".join(file.schema_arrow.names)
        raise ValueError(f"{source.path}: no column {source.field!r}; its columns are {has}: name one with --field")
    for batch in file.iter_batches(columns=[source.field]):
        yield from (text for text in batch.column(0).to_pylist() if text is not None)


@dataclasses.dataclass(frozen=True)
class TokenFile:
    """A .bin file. `end` closes a document; `lengths` [vocab] are bytes of text per token, None if unknown."""

    tokens: np.ndarray
    vocab: int
    end: int
    lengths: tuple[int, ...] | None
    digest: str

    def documents(self) -> Iterator[np.ndarray]:
        """The tokens of each document that is not empty, without its end token."""
        start = 0
        for at in (*np.flatnonzero(self.tokens == self.end).tolist(), len(self.tokens)):
            if at > start:
                yield np.asarray(self.tokens[start:at])
            start = at + 1


def tokens(source: Source) -> TokenFile:
    """A token file and its sidecar. Raises ValueError that names what is wrong with either."""
    sidecar = source.path.with_suffix(".json")
    try:
        facts = json.loads(sidecar.read_text(encoding="utf-8"))
        dtype, vocab, end = np.dtype(facts["dtype"]).newbyteorder("<"), int(facts["vocab"]), int(facts["end"])
        lengths = None if facts.get("lengths") is None else tuple(map(int, facts["lengths"]))
    except FileNotFoundError as error:
        raise ValueError(f"{source.path}: its sidecar {sidecar.name} is missing ({_SIDECAR})") from error
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{sidecar}: {type(error).__name__} {error} ({_SIDECAR})") from error
    if dtype.kind != "u" or dtype.itemsize not in (2, 4):
        raise ValueError(f"{sidecar}: dtype {dtype} is neither uint16 nor uint32")
    if source.path.stat().st_size % dtype.itemsize or not source.path.stat().st_size:
        raise ValueError(f"{source.path}: {source.path.stat().st_size} bytes are no whole number of {dtype} tokens")
    if lengths is not None and len(lengths) != vocab:
        raise ValueError(f"{sidecar}: {len(lengths)} lengths for a vocabulary of {vocab}")
    values = np.memmap(source.path, dtype, "r")
    if not 0 <= end < vocab or int(values.max()) >= vocab:
        raise ValueError(f"{source.path}: tokens up to {values.max()}, end {end}, but the vocabulary is {vocab}")
    return TokenFile(values, vocab, end, lengths, sha256(sidecar))


_SIDECAR = 'it must hold, for example, {"dtype": "uint16", "vocab": 50257, "end": 50256}'


def identity(found: Sequence[Source]) -> dict[str, str]:
    """File names and their digests, sidecars included: equal for equal corpora."""
    files = [source.path for source in found]
    files += [source.path.with_suffix(".json") for source in found if source.holds_tokens]
    return {file.name: sha256(file) for file in files}
