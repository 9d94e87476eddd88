"""The record at (seed, step, row), whatever it is read from."""

import dataclasses
import functools
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from aira_jax.pretrain.data import documents, shards, tokenizers
from aira_jax.pretrain.data.documents import Side
from aira_jax.pretrain.data.settings import DataConfig, Kind
from aira_jax.pretrain.data.tokenizers import Tokenizer
from aira_jax.pretrain.data.windows import RandomTokens, Stream, Windows, stream

_IN_MEMORY = 2**28  # tokens of text that are tokenized when training starts, at most
_RANDOM = 2**20  # windows of random tokens


@dataclasses.dataclass(frozen=True)
class Source:
    """Windows of L + 1 tokens, of which the first L are inputs and the last L are targets.

    `rows` is the number of rows of a step over all processes. Every epoch has an order of its own, and the window at
    (seed, step, row) depends on nothing else: not on processes, devices, or what was read before.
    `tokenizer` is None for random tokens. `digest`: equal for equal windows.
    """

    train: Windows
    validation: Windows
    rows: int
    tokenizer: Tokenizer | None
    digest: str

    def number(self, seed: int, step: int, row: int) -> int:
        """Which of the training windows stands at this place."""
        if not 0 <= row < self.rows:
            raise IndexError(f"row {row} of {self.rows}")
        epoch, at = divmod(step * self.rows + row, len(self.train))
        return int(_order(seed, epoch, len(self.train))[at])

    def record(self, seed: int, step: int, row: int) -> np.ndarray:
        """One window, int32 [L + 1]."""
        return self.batch(seed, step, [row])[0]

    def batch(self, seed: int, step: int, rows: Sequence[int] | None = None) -> np.ndarray:
        """The windows of these rows, of all by default; int32 [row, L + 1]."""
        rows = range(self.rows) if rows is None else rows
        return self.train.take([self.number(seed, step, row) for row in rows]).astype(np.int32)

    def held_out(self, count: int) -> np.ndarray:
        """The first `count` validation windows, or as many as there are; int32 [window, L + 1]."""
        found = min(count, len(self.validation))
        return self.validation.take(range(found)).astype(np.int32)


@functools.lru_cache(4)
def _order(seed: int, epoch: int, count: int) -> np.ndarray:
    return np.random.default_rng((seed, epoch)).permutation(count)


def make_source(data: DataConfig, *, length: int, vocab: int, rows: int) -> Source:
    """The source of a corpus. Windows have `length` + 1 tokens below `vocab`; a step has `rows` of them.

    Raises ValueError for a corpus that cannot be read, is too small, or has a larger vocabulary than the model.
    """
    if data.kind in (Kind.TEXT, Kind.SHARDS, Kind.TFDS) and not data.path:
        raise ValueError(f"data.kind={data.kind} needs data.path")
    match data.kind:
        case Kind.SYNTHETIC:
            train, validation = (RandomTokens(vocab, length, _RANDOM, first) for first in (0, _RANDOM))
            tokenizer, content = None, f"random tokens below {vocab}"
        case Kind.SHARDS:
            manifest = shards.read(Path(data.path), length=length)
            tokenizer, content = manifest.tokenizer(), manifest.digest
            _fits(tokenizer, vocab)
            train, validation = (manifest.windows(side) for side in (Side.TRAIN, Side.VALIDATION))
        case _:
            tokenizer = tokenizers.make(data.tokenizer, documents.of_side(data, Side.TRAIN))
            _fits(tokenizer, vocab)
            train, validation = (_in_memory(data, side, tokenizer, length) for side in (Side.TRAIN, Side.VALIDATION))
            content = hashlib.sha256(train.tokens).hexdigest()
    for name, windows in (("train", train), ("validation", validation)):
        if not len(windows):
            raise ValueError(
                f"{data.kind} {data.path}: no {name} window of {length + 1} tokens; use a larger corpus, a shorter "
                f"length, or a smaller data.held_out_every than {data.held_out_every}"
            )
    return Source(train, validation, rows, tokenizer, _digest(data, length, tokenizer, content))


def _fits(tokenizer: Tokenizer, vocab: int) -> None:
    if tokenizer.vocab > vocab:
        raise ValueError(
            f"the tokenizer {tokenizer.name} has {tokenizer.vocab} tokens, the model {vocab}: set model.vocab to at "
            f"least {tokenizer.vocab}"
        )


def _in_memory(data: DataConfig, side: Side, tokenizer: Tokenizer, length: int) -> Stream:
    tokens = stream(tokenizer, _limited(data, side))
    return Stream(tokens, length)


def _limited(data: DataConfig, side: Side):
    size = 0
    for text in documents.of_side(data, side):
        size += len(text)
        if size > _IN_MEMORY:
            raise ValueError(
                f"{data.path}: more than {_IN_MEMORY:,} characters; write shards first with scripts/corpus_shards.py"
            )
        yield text


def _digest(data: DataConfig, length: int, tokenizer: Tokenizer | None, content: str) -> str:
    facts = [data.kind, length, tokenizer and tokenizer.digest, content, data.held_out_every]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()
