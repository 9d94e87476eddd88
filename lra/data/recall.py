"""Recall: multi-query associative recall as classification, at lengths 512 to 8192. Generated; not part of LRA.

A row shows key-value pairs at random places of its first half, asks for some of them in its second half (a key
followed by its value), all between noise, and ends with one more key: the class is that key's value. Each key is
asked for once at most, so the answer stands in the row exactly once. After Arora et al. 2023 (arXiv 2312.04927), where
every query is a target; here the last one is, so that encoders with one answer per row fit.

Token ids: padding 0; keys, then values, then noise. Row i of a split is a pure function of (seed, split, i).
L length, D pairs.
"""

import dataclasses
import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from lra.data import philox, writer

GENERATOR = "recall-1"
KEYS, VALUES, NOISE = 96, 64, 16
FIRST_KEY = 1
FIRST_VALUE = FIRST_KEY + KEYS
FIRST_NOISE = FIRST_VALUE + VALUES
VOCAB, CLASSES = FIRST_NOISE + NOISE, VALUES
SIZES = {"train": 20_000, "validation": 1_000, "test": 1_000}
_TAGS = {"train": 10, "validation": 11, "test": 12}


@dataclasses.dataclass(frozen=True)
class Params:
    """Shape of a row: tokens, pairs shown, keys asked for (the last one is the question)."""

    length: int = 512
    pairs: int = 32
    queries: int = 8

    def __post_init__(self):
        if self.length % 4 or not 64 <= self.length <= 65_536:
            raise ValueError(f"length {self.length}: a multiple of 4 in [64, 65536] is needed, for example 512")
        most = min(KEYS, self.length // 4)
        if not 1 <= self.pairs <= most:
            raise ValueError(f"pairs {self.pairs} is outside [1, {most}] for length {self.length} and {KEYS} keys")
        if not 1 <= self.queries <= min(self.pairs, self.length // 4):
            raise ValueError(f"queries {self.queries} is outside [1, pairs = {self.pairs}]")


def rows(seed: int, split: str, count: int, params: Params) -> Iterator[tuple[bytes, int]]:
    """(token ids as bytes, class) of rows 0 ... count - 1."""
    stream = philox.Words(seed, _TAGS[split])
    sizes = _word_counts(params)
    total, cuts = sum(sizes), np.cumsum(sizes)[:-1]
    for index in range(count):
        yield _row(np.split(stream.block(index, total), cuts), params)


def _word_counts(params: Params) -> list[int]:
    """Words of a row: order of keys, values, places of pairs, places of queries, order of queries, noise."""
    quarter = params.length // 4
    return [KEYS, params.pairs, quarter, quarter - 1, params.pairs, params.length]


def _row(words: list[np.ndarray], params: Params) -> tuple[bytes, int]:
    by_key, by_value, by_place, by_query_place, by_query, by_noise = words
    keys_D = np.argsort(by_key, kind="stable")[: params.pairs]
    values_D = philox.below(by_value, VALUES)
    asked = np.argsort(by_query, kind="stable")[: params.queries]
    answered, question = asked[:-1], asked[-1]

    row_L = (FIRST_NOISE + philox.below(by_noise, NOISE)).astype(np.uint8)
    shown = 2 * np.argsort(by_place, kind="stable")[: params.pairs]
    again = 2 * (params.length // 4 + np.argsort(by_query_place, kind="stable")[: params.queries - 1])
    for places, pairs in ((shown, slice(None)), (again, answered)):
        row_L[places] = FIRST_KEY + keys_D[pairs]
        row_L[places + 1] = FIRST_VALUE + values_D[pairs]
    row_L[-1] = FIRST_KEY + keys_D[question]
    return row_L.tobytes(), int(values_D[question])


def digests(seed: int, sizes: Mapping[str, int], params: Params) -> dict[str, str]:
    """sha256 per split over the rows, each followed by its class as one byte."""
    return {name: rows_sha256(rows(seed, name, count, params)) for name, count in sizes.items()}


def rows_sha256(pairs: Iterator[tuple[bytes, int]]) -> str:
    """sha256 over (row, class as one byte)."""
    digest = hashlib.sha256()
    for row, target in pairs:
        digest.update(row + bytes([target]))
    return digest.hexdigest()


def build(
    out: Path, seed: int, sizes: Mapping[str, int], params: Params, command: str, rebuild: bool = False
) -> dict[str, str]:
    """Writes a data set and returns the hash of each split's rows."""
    hashes = digests(seed, sizes, params)
    with writer.building(out, rebuild) as folder:
        for name, count in sizes.items():
            writer.write_rows(folder / name, rows(seed, name, count, params))
        writer.finish(
            folder,
            task="recall",
            source="generated",
            label=f"Associative recall, length {params.length}",
            seed=seed,
            generator=GENERATOR,
            licence="generated rows are free of rights",
            command=command,
            parameters=dict(vars(params)),
            details={"canonical_sha256": hashes},
        )
    return hashes
