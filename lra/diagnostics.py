"""Cheap baselines that a model must beat before its accuracy says anything, and whether it does.

    python -m lra.diagnostics DIR

ListOps: the root operator alone. Text: naive Bayes on byte n-grams. Retrieval: the documents' identity, and the share
of words in common. Every table is fitted on train.
"""

import argparse
import dataclasses
import functools
import math
import re
import sys

import numpy as np

from lra.data import listops, needle, recall, store

_BUCKET_BITS = 20
_WORD = re.compile(rb"[a-z]{4,}")


@dataclasses.dataclass(frozen=True)
class Baseline:
    """A baseline's accuracy on `rows` rows of one split."""

    name: str
    accuracy: float
    rows: int


def baselines(dataset: store.Dataset, split: str, max_length: int | None = None) -> list[Baseline]:
    """All baselines of the data set's task on one split, the best last.

    Text is read up to `max_length` bytes (the whole text when None), so give what the model sees.
    """
    train, scored = dataset.split("train"), dataset.split(split)
    for part in (train, scored):
        if part.targets_N is None:
            raise ValueError(f"{dataset.folder}: the labels of {part.name} were withheld, so nothing can be scored")
    rules = {"majority": majority} | {
        "listops": {"root operator": root_operator},
        "text": {f"byte {n}-gram": functools.partial(ngrams, n=n, max_length=max_length) for n in (1, 6)},
        "retrieval": {"document identity": identity, "words in common": word_overlap},
        "recall": {"value shown once": shown_once},
        "needle": {"first sentence": first_sentence},
    }.get(dataset.meta.task, {})
    truth = np.asarray(scored.targets_N)
    found = [Baseline(name, float(np.mean(rule(train, scored) == truth)), len(scored)) for name, rule in rules.items()]
    return sorted(found, key=lambda baseline: baseline.accuracy)


def majority(train: store.Split, scored: store.Split) -> np.ndarray:
    """The most frequent class of train, for every row: int64 [N]."""
    return np.full(len(scored), np.bincount(train.targets_N).argmax())


def root_operator(train: store.Split, scored: store.Split) -> np.ndarray:
    """The most frequent answer of train for each row's first token: int64 [N]."""
    table = np.zeros((listops.VOCAB, listops.CLASSES), np.int64)
    np.add.at(table, (_first_tokens(train), train.targets_N), 1)
    return table.argmax(axis=1)[_first_tokens(scored)]


def _first_tokens(split: store.Split) -> np.ndarray:
    return split.documents.tokens[split.documents.offsets[:-1]]


def ngrams(train: store.Split, scored: store.Split, n: int, max_length: int | None = None) -> np.ndarray:
    """Naive Bayes on which byte n-grams occur, hashed into 2**20 buckets: int64 [N], 1 where the log-odds exceed 0.

    Only n-grams that occur count, each class weighing them by log((count + 1) / (rows + 2)).
    """
    counts = np.zeros((2, 1 << _BUCKET_BITS))
    for row, label in enumerate(np.asarray(train.targets_N)):
        counts[label, _buckets(train.documents.row(row), n, max_length)] += 1
    rows = np.bincount(train.targets_N, minlength=2)
    odds = np.log(counts[1] + 1) - math.log(rows[1] + 2) - np.log(counts[0] + 1) + math.log(rows[0] + 2)
    sums = [odds[_buckets(scored.documents.row(row), n, max_length)].sum() for row in range(len(scored))]
    return (np.array(sums) > 0).astype(np.int64)


def _buckets(text: np.ndarray, n: int, max_length: int | None) -> np.ndarray:
    text = np.asarray(text[:max_length], np.uint64)
    count = max(len(text) - n + 1, 0)
    value = np.zeros(count, np.uint64)
    for k in range(n):
        value = value * np.uint64(0x100000001B3) + text[k : k + count]
    return np.unique((value * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(64 - _BUCKET_BITS))


def identity(train: store.Split, scored: store.Split) -> np.ndarray:
    """Each document votes with the labels of its train pairs: int64 [N], 1 where the sum of both votes exceeds 0."""
    votes = np.zeros(len(train.documents), np.int64)
    np.add.at(votes, np.asarray(train.pairs_N2), 2 * np.asarray(train.targets_N)[:, None] - 1)
    return (votes[scored.pairs_N2].sum(axis=1) > 0).astype(np.int64)


def word_overlap(train: store.Split, scored: store.Split) -> np.ndarray:
    """1 where the Jaccard index of the two documents' words reaches the threshold that is best on train: int64 [N]."""
    words = functools.cache(lambda row: frozenset(_WORD.findall(train.documents.row(row).tobytes().lower())))

    def jaccard(split: store.Split) -> np.ndarray:
        pairs = [(words(a), words(b)) for a, b in split.pairs_N2.tolist()]
        return np.array([len(a & b) / max(len(a | b), 1) for a, b in pairs])

    return (jaccard(scored) >= _threshold(jaccard(train), np.asarray(train.targets_N))).astype(np.int64)


def _threshold(values: np.ndarray, labels: np.ndarray) -> float:
    """The t for which (value >= t) == label most often."""
    order = np.argsort(-values, kind="stable")
    gained = np.cumsum(2 * labels[order] - 1)
    last_of_equal = np.append(np.diff(values[order]) != 0, True)
    return float(values[order][np.where(last_of_equal, gained, -len(values)).argmax()])


def shown_once(train: store.Split, scored: store.Split) -> np.ndarray:
    """The least value among those that each row shows least often, as the answer is never repeated: int64 [N]."""
    del train
    first, count = recall.FIRST_VALUE, recall.VALUES
    rows = (scored.documents.row(row).astype(np.int64) - first for row in range(len(scored)))
    shown = np.array([np.bincount(row[(row >= 0) & (row < count)], minlength=count) for row in rows])
    return np.where(shown, shown, shown.max(initial=1) + 1).argmin(axis=1)


def first_sentence(train: store.Split, scored: store.Split) -> np.ndarray:
    """The digit of the first hidden sentence of each row, whatever is asked: int64 [N]."""
    del train
    return np.array([needle.first_digit(scored.documents.row(row).tobytes()) for row in range(len(scored))])


def wilson(correct: int, rows: int, z: float = 1.959964) -> tuple[float, float]:
    """The 95 % Wilson interval of an accuracy."""
    if rows == 0:
        return 0.0, 1.0
    share, shrink = correct / rows, 1 + z * z / rows
    middle = (share + z * z / (2 * rows)) / shrink
    half = z * math.sqrt(share * (1 - share) / rows + z * z / (4 * rows * rows)) / shrink
    return middle - half, middle + half


def verdict(accuracy: float, rows: int, baseline: Baseline) -> str:
    """One sentence: "beats" only when the lower end of the model's interval exceeds the baseline's accuracy."""
    low, high = wilson(round(accuracy * rows), rows)
    beats = "beats" if low > baseline.accuracy else "does not beat"
    return f"{accuracy:.4f} [{low:.4f}, {high:.4f}] {beats} {baseline.name} ({baseline.accuracy:.4f})"


def main(argv: list[str] | None = None) -> int:
    """Prints the baselines of every split but train. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m lra.diagnostics", description="Cheap baselines of a data set.")
    parser.add_argument("folder", help="a folder written by scripts/lra_data.py")
    parser.add_argument("--max_length", type=int, help="bytes of text to read; the whole text when absent")
    options = parser.parse_args(argv)
    try:
        dataset = store.open(options.folder)
        print(f"{dataset.meta.label}: {dataset.folder}")
        for name in dataset.splits[1:]:
            for baseline in baselines(dataset, name, options.max_length):
                print(f"{name:10}  {baseline.name:18}  {baseline.accuracy:.4f}  of {baseline.rows} rows")
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
