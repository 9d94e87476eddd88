"""How many rows of a data set stand in two of its splits: a model may remember those."""

import hashlib
import itertools
from collections.abc import Collection, Iterator

import numpy as np

from lra.data import store


def shared_rows(dataset: store.Dataset) -> list[str]:
    """A line for every two splits: how many rows of the later one stand in the earlier one, labels aside.

    A row is its document, byte for byte; or its pair of documents in any order, and then documents are counted, too.
    """
    splits = [dataset.split(name) for name in dataset.splits]
    rows = {split.name: list(_contents(split)) for split in splits}
    lines = []
    for earlier, later in itertools.combinations(rows, 2):
        lines.append(f"    {later}: {_in_both(rows[later], rows[earlier])} rows stand in {earlier}, too")
        if dataset.meta.pair:
            documents = _in_both(set().union(*rows[later]), set().union(*rows[earlier]))
            lines[-1] += f"; of the documents {documents}"
    return lines


def _contents(split: store.Split) -> Iterator[frozenset[bytes]]:
    """The digests of each row's documents; a pair of equal documents is one."""
    pairs = range(len(split)) if split.pairs_N2 is None else split.pairs_N2
    for documents in pairs:
        yield frozenset(hashlib.sha256(split.documents.row(n).tobytes()).digest() for n in np.atleast_1d(documents))


def _in_both(later: Collection, earlier: Collection) -> str:
    known = set(earlier)
    return f"{sum(row in known for row in later):,} of {len(later):,}"
