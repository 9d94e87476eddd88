"""Rows of a pretraining: the record at (step, row) is a pure function of (seed, step, row).

A record is a window of length + 1 tokens; window k covers the positions k length .. k length + length of the stream,
so that each token is a target once. It does not depend on the number of devices or processes.
"""

import functools
import hashlib
from collections.abc import Iterable, Sequence
from typing import Protocol

import numpy as np

from aira_jax.core import choices
from aira_jax.pretrain.settings import Data
from aira_jax.proxies.corpora import documents, tokenizers

KINDS = ("text", "synthetic")
LEARNED_FROM = 2_000_000  # bytes of training text from which a BPE is learned at most
PERMILLE = 1000


class Source(Protocol):
    """int32 windows [length + 1]. `bytes_per_token` int32 [vocab], or None where tokens stand for no text."""

    digest: str
    tokenizer: tokenizers.Tokenizer | None

    def batch(self, seed: int, step: int, rows: Sequence[int]) -> np.ndarray:
        """[len(rows), length + 1], the records at (step, row)."""

    def held_out(self, n: int) -> np.ndarray:
        """The first `n` validation windows, or all that there are."""


class Synthetic:
    """Random tokens: the speed of a step without any text."""

    tokenizer = None

    def __init__(self, length: int, vocab: int):
        self.length, self.vocab = length, vocab
        self.digest = hashlib.sha256(f"synthetic:{length}:{vocab}".encode()).hexdigest()

    def batch(self, seed: int, step: int, rows: Sequence[int]) -> np.ndarray:
        return np.stack([self._draw(seed, 0, step, row) for row in rows])

    def held_out(self, n: int) -> np.ndarray:
        return np.stack([self._draw(0, 1, 0, row) for row in range(n)])

    def _draw(self, *key: int) -> np.ndarray:
        return np.random.default_rng(key).integers(self.vocab, size=self.length + 1, dtype=np.int32)


class Text:
    """Windows of a corpus in memory, in a new random order every epoch."""

    def __init__(self, train: np.ndarray, held: np.ndarray, length: int, rows: int, tokenizer: tokenizers.Tokenizer):
        self.train, self.held, self.rows, self.tokenizer = (
            _windows(train, length),
            _windows(held, length),
            rows,
            tokenizer,
        )
        for name, windows in (("training", self.train), ("validation", self.held)):
            if not len(windows):
                raise ValueError(
                    f"the corpus holds no {name} window of {length} tokens: give more text, or less length"
                )
        contents = (tokenizer.digest.encode(), train.tobytes(), held.tobytes(), str(length).encode())
        self.digest = hashlib.sha256(b"\0".join(contents)).hexdigest()

    def batch(self, seed: int, step: int, rows: Sequence[int]) -> np.ndarray:
        epochs, places = np.divmod(step * self.rows + np.asarray(rows), len(self.train))
        return np.stack([self.train[self._order(seed, int(e))[p]] for e, p in zip(epochs, places, strict=True)])

    def held_out(self, n: int) -> np.ndarray:
        return self.held[:n]

    @functools.lru_cache(2)  # noqa: B019 - one source a process
    def _order(self, seed: int, epoch: int) -> np.ndarray:
        return np.random.default_rng((seed, epoch)).permutation(len(self.train))


def make_source(data: Data, *, length: int, vocab: int, rows: int) -> Source:
    """The source of a config; `rows` records make a step. Raises ValueError where tokens do not fit the model."""
    choices.among("data.kind", data.kind, KINDS)
    if data.kind == "synthetic":
        return Synthetic(length, vocab)
    found = documents.collect(data.path, field=data.field, separator=data.separator, seed=0)
    if found.facts is not None:
        raise ValueError(f"data.path={data.path} holds tokens; data.kind=text reads documents")
    train, held = [], []
    for document in found.documents:
        is_held = int(document.id, 16) % PERMILLE < data.held_out_permille
        (held if is_held else train).append(document.content)
    tokenizer = tokenizers.make(data.tokenizer, ranks=data.ranks, texts=_some(train))
    if tokenizer.vocab > vocab:
        raise ValueError(
            f"tokenizer {tokenizer.name} has {tokenizer.vocab} tokens, the model {vocab}: raise model.vocab"
        )
    return Text(_stream(train, tokenizer), _stream(held, tokenizer), length, rows, tokenizer)


def _some(texts: Iterable[str]) -> Iterable[str]:
    read = 0
    for text in texts:
        if read >= LEARNED_FROM:
            return
        read += len(text.encode())
        yield text


def _stream(texts: Iterable[str], tokenizer: tokenizers.Tokenizer) -> np.ndarray:
    parts = [np.append(tokenizer.encode(text), tokenizer.end).astype(np.int32) for text in texts]
    return np.concatenate(parts) if parts else np.zeros(0, np.int32)


def _windows(stream: np.ndarray, length: int) -> np.ndarray:
    count = max((len(stream) - 1) // length, 0)
    starts = length * np.arange(count)[:, None]
    return stream[starts + np.arange(length + 1)]
