"""Reads a prepared data set: memory-mapped rows, and batches that are a pure function of (seed, update).

    folder/meta.json
    folder/{train,validation,test}/tokens.bin offsets.npy targets.npy       one document a row
    folder/docs/tokens.bin offsets.npy  +  {train,...}/pairs.npy targets.npy  two documents a row (Retrieval)

tokens.bin holds uint8: token ids, or bytes of text whose id is byte + 1. Id 0 is padding, made on load.
N rows, B batch, T max_length.
"""

import dataclasses
import functools
import hashlib
import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from lra.data import philox

FORMAT = "lra-store-1"
SPLITS = ("train", "validation", "test")
DOCS = "docs"
META = "meta.json"


@dataclasses.dataclass(frozen=True)
class Meta:
    """What a data set is: written by the builders as meta.json, read back by `open`."""

    task: str  # listops, text, retrieval, recall, needle
    source: str  # where the rows come from, in words
    surrogate: bool  # True: not the published data; every report must say `label` and withhold normalised scores
    label: str  # how tables and plot titles name the data
    seed: int
    generator: str  # name and version of the code that made the rows
    vocab: int  # ids are in [0, vocab)
    classes: int
    byte_level: bool  # tokens.bin holds text; id = byte + 1
    counts: Mapping[str, int]  # rows per split
    sha256: Mapping[str, str]  # per split, and `docs`: tokens, offsets, pairs, targets in this order
    licence: str
    command: str  # makes this data set again
    parameters: Mapping[str, object] = dataclasses.field(default_factory=dict)
    details: Mapping[str, object] = dataclasses.field(default_factory=dict)  # counts of what was skipped or mended
    format: str = FORMAT

    @property
    def pair(self) -> bool:
        """True when a row is two documents (`inputs1`, `inputs2`)."""
        return DOCS in self.sha256


@dataclasses.dataclass(frozen=True)
class Documents:
    """Ragged uint8 rows in one memory map. `shift` is added to every stored value on load (1 for text)."""

    tokens: np.ndarray
    offsets: np.ndarray
    shift: int

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def row(self, index: int) -> np.ndarray:
        """The stored values of one row: uint8 [length]."""
        return self.tokens[self.offsets[index] : self.offsets[index + 1]]

    def padded(self, rows: np.ndarray, max_length: int) -> np.ndarray:
        """Rows truncated to T and right-padded with 0: int32 [B, T]."""
        out_BT = np.zeros((len(rows), max_length), np.int32)
        starts, stops = self.offsets[rows], self.offsets[np.asarray(rows) + 1]
        for out_T, start, stop in zip(out_BT, starts, np.minimum(stops, starts + max_length), strict=True):
            out_T[: stop - start] = self.tokens[start:stop]
            out_T[: stop - start] += self.shift
        return out_BT


@dataclasses.dataclass(frozen=True)
class Split:
    """Rows of one split and their batches.

    Batches are {'inputs': int32 [B, T], 'targets': int32 [B]}; 'inputs1' and 'inputs2' when a row is two documents;
    no 'targets' when the labels were withheld.
    """

    name: str
    documents: Documents
    pairs_N2: np.ndarray | None  # int32, rows of `documents`; None: row n is document n
    targets_N: np.ndarray | None  # int32; None: withheld

    def __len__(self) -> int:
        return len(self.documents if self.pairs_N2 is None else self.pairs_N2)

    def batch(self, rows: np.ndarray, max_length: int) -> dict[str, np.ndarray]:
        """The batch of the given row numbers, in their order."""
        if self.pairs_N2 is None:
            batch = {"inputs": self.documents.padded(rows, max_length)}
        else:
            pairs_B2 = self.pairs_N2[rows]
            batch = {f"inputs{c + 1}": self.documents.padded(pairs_B2[:, c], max_length) for c in range(2)}
        if self.targets_N is not None:
            batch["targets"] = np.asarray(self.targets_N[rows], np.int32)
        return batch

    def batch_at(self, seed: int, update: int, batch_size: int, max_length: int) -> dict[str, np.ndarray]:
        """The training batch of one update (from 0): every row occurs once per epoch, epochs follow one another."""
        return self.batch(rows_at(seed, update, batch_size, len(self)), max_length)

    def batches(
        self, seed: int, start: int, stop: int, batch_size: int, max_length: int
    ) -> Iterator[dict[str, np.ndarray]]:
        """The training batches of updates start ... stop - 1."""
        for update in range(start, stop):
            yield self.batch_at(seed, update, batch_size, max_length)

    def subset(self, seed: int, size: int) -> np.ndarray:
        """Row numbers of the fixed subset scored during training: int64 [min(size, N)]."""
        return philox.permutation(seed, philox.Tag.SUBSET, 0, len(self))[:size]

    def evaluation_batches(
        self, batch_size: int, max_length: int, rows: Sequence[int] | np.ndarray | None = None
    ) -> Iterator[dict[str, np.ndarray]]:
        """Every row once (or the given rows, in order), in batches of one size, with 'weights': int32 [B], 1 or 0.

        The last batch repeats its last real row with weight 0. Select results with `where`, never by multiplying: a
        model may return NaN for a row, and NaN * 0 is NaN.
        """
        rows = np.arange(len(self)) if rows is None else np.asarray(rows)
        for start in range(0, len(rows), batch_size):
            real = rows[start : start + batch_size]
            filled = np.concatenate([real, np.repeat(real[-1:], batch_size - len(real))])
            yield self.batch(filled, max_length) | {"weights": (np.arange(batch_size) < len(real)).astype(np.int32)}


@dataclasses.dataclass(frozen=True)
class Dataset:
    """A prepared data set on disk."""

    folder: Path
    meta: Meta

    @property
    def splits(self) -> tuple[str, ...]:
        """Names of the splits that are present, in the order train, validation, test."""
        return tuple(name for name in SPLITS if name in self.meta.counts)

    def split(self, name: str) -> Split:
        """The rows of one split. Errors: ValueError when the data set has no such split."""
        if name not in self.meta.counts:
            raise ValueError(f"{self.folder} has no split {name!r}: it holds {', '.join(self.splits)}")
        targets = self.folder / name / "targets.npy"
        return Split(
            name=name,
            documents=self.documents(DOCS if self.meta.pair else name),
            pairs_N2=_map(self.folder / name / "pairs.npy") if self.meta.pair else None,
            targets_N=_map(targets) if targets.exists() else None,
        )

    def documents(self, name: str) -> Documents:
        """The documents of a split, or all of them (`docs`) when rows are pairs."""
        folder = self.folder / name
        offsets = _map(folder / "offsets.npy")
        size = int(offsets[-1])
        path = folder / "tokens.bin"
        if not path.exists() or path.stat().st_size != size:
            raise ValueError(f"{path} does not hold the {size} bytes of its offsets: make it anew\n    {self.mend}")
        tokens = np.memmap(path, np.uint8, "r") if size else np.zeros(0, np.uint8)
        return Documents(tokens=tokens, offsets=offsets, shift=int(self.meta.byte_level))

    def verify(self) -> None:
        """Recomputes every hash. Errors: ValueError naming the split, the expected and the found hash."""
        for name, expected in self.meta.sha256.items():
            found = content_sha256(self.folder / name)
            if found != expected:
                raise ValueError(
                    f"{self.folder / name} is not what {META} describes: "
                    f"sha256 {expected} expected, {found} found. Make it anew:\n    {self.mend}"
                )
        for name, count in self.meta.counts.items():
            if len(self.split(name)) != count:
                raise ValueError(
                    f"{self.folder / name} has {len(self.split(name))} rows, {META} says {count}. "
                    f"Make it anew:\n    {self.mend}"
                )

    @property
    def mend(self) -> str:
        """The command that writes this data set again."""
        return f"{self.meta.command} --out={self.folder} --rebuild"


def open(folder: str | os.PathLike, task: str | None = None) -> Dataset:
    """Opens a prepared data set; its rows are mapped into memory on first use.

    Errors: ValueError when nothing complete is there (with the command that makes it), when the format is another
    version, or when `task` is given and the data are another task's.
    """
    folder = Path(folder)
    path = folder / META
    if not path.is_file():
        what = "holds no complete data set (no meta.json)" if folder.exists() else "does not exist"
        raise ValueError(f"{folder} {what}. Make it with\n    {build_command(task or 'TASK')} --out={folder}")
    try:
        values = json.loads(path.read_text())
        found = values.get("format")
    except (json.JSONDecodeError, AttributeError) as error:
        raise ValueError(f"{path} is damaged ({error}): remove {folder} and make it anew") from error
    if found != FORMAT:
        raise ValueError(f"{path}: format {found!r}, this code reads {FORMAT!r}: make the data set anew")
    try:
        meta = Meta(**values)
    except TypeError as error:
        raise ValueError(f"{path} is damaged ({error}): remove {folder} and make it anew") from error
    if task is not None and meta.task != task:
        raise ValueError(f"{folder} holds {meta.task} data, {task} needed. Make it with\n    {build_command(task)}")
    return Dataset(folder=folder, meta=meta)


def build_command(task: str) -> str:
    """The command, without --out, that makes the data of a task."""
    sources = {
        "text": " --aclimdb=FOLDER",
        "retrieval": " --aan=FOLDER",
        "needle": " --text=FILE",
    }
    return f"python scripts/lra_data.py --task={task}{sources.get(task, '')}"


def rows_at(seed: int, update: int, batch_size: int, n: int) -> np.ndarray:
    """Row numbers of the training batch of one update: int64 [B].

    Epoch e is `permutation(seed, ORDER, e, n)`; update t takes the positions t*B ... t*B + B - 1 of all epochs put
    end to end, so a run resumes from its update number alone.
    """
    epochs, positions = np.divmod(update * batch_size + np.arange(batch_size), n)
    return np.concatenate([_epoch(seed, int(e), n)[positions[epochs == e]] for e in np.unique(epochs)])


def subset_size(n_validation: int, eval_frequency: int, batch_size: int) -> int:
    """Rows of the validation subset: an evaluation then costs about 13-21 % of the training between two of them."""
    return min(n_validation, max(256, math.ceil(0.4 * eval_frequency * batch_size)))


def content_sha256(folder: Path) -> str:
    """sha256 over a split's stored values: tokens, then offsets, pairs and targets, whichever are present."""
    digest = hashlib.sha256()
    tokens = folder / "tokens.bin"
    if tokens.exists():
        with tokens.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    for name, dtype in (("offsets", "<i8"), ("pairs", "<i4"), ("targets", "<i4")):
        path = folder / f"{name}.npy"
        if path.exists():
            digest.update(np.ascontiguousarray(_map(path), dtype).tobytes())
    return digest.hexdigest()


def _map(path: Path) -> np.ndarray:
    try:
        return np.load(path, mmap_mode="r")
    except (OSError, ValueError, EOFError) as error:
        raise ValueError(f"{path} is missing or damaged ({error}): make the data set anew with --rebuild") from error


@functools.lru_cache(maxsize=4)
def _epoch(seed: int, epoch: int, n: int) -> np.ndarray:
    return philox.permutation(seed, philox.Tag.ORDER, epoch, n)
