"""Makes and checks ListOps data sets: every split free of samples that occur twice, on as many processes as cores."""

import collections
import concurrent.futures
import hashlib
import itertools
import multiprocessing
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np

from lra.data import listops, listops_trees, philox, store, writer

OFFICIAL_SIZES = {"train": 96_000, "validation": 2_000, "test": 2_000}
SMOKE_SIZES = {"train": 20_000, "validation": 1_000, "test": 1_000}
BUILD_ORDER = ("test", "validation", "train")  # so a larger train split never changes test
_TAGS = {"train": philox.Tag.TRAIN, "validation": philox.Tag.VALIDATION, "test": philox.Tag.TEST}
_CHUNK = 2_000  # samples drawn at once: about 64 MB of words
_WORDS_PER_WORKER = 16_000_000  # about one second's work: less does not pay for starting a process
_DRY = 20_000  # repeats in a row after which a split is taken to have no more distinct samples


def build(
    out: Path, seed: int, sizes: Mapping[str, int], params: listops.Params, command: str, rebuild: bool = False
) -> dict[str, str]:
    """Writes a data set and returns the canonical hash of each split."""
    with writer.building(out, rebuild) as folder:
        kept = generate(seed, sizes, params, lambda name, rows: writer.write_rows(folder / name, rows))
        writer.finish(
            folder,
            task="listops",
            source="generated",
            label="ListOps",
            seed=seed,
            generator=listops.GENERATOR,
            licence="generated rows are free of rights; rules: Nangia & Bowman 2018",
            command=command,
            parameters=dict(vars(params)),
            details=kept,
        )
    return kept["canonical_sha256"]


def digests(seed: int, sizes: Mapping[str, int], params: listops.Params, workers: int | None = None) -> dict[str, str]:
    """The canonical hash of each split, nothing written."""
    counts = generate(seed, sizes, params, lambda name, rows: collections.deque(rows, maxlen=0), workers)
    return counts["canonical_sha256"]


def generate(
    seed: int,
    sizes: Mapping[str, int],
    params: listops.Params,
    consume: Callable[[str, Iterator], object],
    workers: int | None = None,
) -> dict[str, object]:
    """Gives the rows of each split, (ids as bytes, value), to `consume(name, rows)`, which must use them up.

    `workers` processes draw (None: as many as cores, if there is enough to draw); they change the time alone.
    Returns what was counted: {'canonical_sha256', 'skipped', 'trees'}, each per split.
    """
    listops_trees.draw(seed, _TAGS[BUILD_ORDER[0]], 0, 1, params)  # hopeless parameters fail here, on one sample
    seen: set[bytes] = set()
    splits = [_Rows(seed, name, sizes.get(name, 0), params, seen) for name in BUILD_ORDER]
    with _processes(_workers(sum(sizes.values()), params) if workers is None else workers) as run:
        for split in splits:
            consume(split.name, split.rows(run))
    return {
        "canonical_sha256": {s.name: s.digest.hexdigest() for s in splits},
        "skipped": {s.name: s.skipped for s in splits},
        "trees": {s.name: s.trees for s in splits},
    }


class _Rows:
    """The rows of one split: samples 0, 1, 2, ... but those already in `seen`."""

    def __init__(self, seed: int, name: str, size: int, params: listops.Params, seen: set[bytes]):
        if size < 0:
            raise ValueError(f"{name}: {size} rows: choose 0 or more")
        self.name, self.size = name, size
        self.digest, self.skipped, self.trees = hashlib.sha256(), 0, 0
        self._seen, self._job = seen, (seed, _TAGS[name], params)

    def rows(self, run: Callable) -> Iterator[tuple[bytes, int]]:
        """(ids as bytes, value), in the order of the index."""
        made, repeats = 0, 0
        for drawn, text in run(self._chunks()):
            self.trees += drawn.trees
            for row, label, line in zip(drawn.split(), drawn.labels.tolist(), text.splitlines(True), strict=True):
                if made == self.size:
                    return
                key = hashlib.blake2b(line, digest_size=16).digest()
                if key in self._seen:
                    self.skipped, repeats = self.skipped + 1, repeats + 1
                    if repeats == _DRY:
                        raise ValueError(
                            f"{self.name}: only {made} distinct expressions found, {self.size} asked for: "
                            "ask for fewer rows, or raise max_depth, max_args or max_length"
                        )
                    continue
                self._seen.add(key)
                self.digest.update(line)
                made, repeats = made + 1, 0
                yield row.tobytes(), label

    def _chunks(self) -> Iterator[tuple]:
        """What to draw: first the whole split in chunks, then small chunks for what was skipped."""
        for start in range(0, self.size, _CHUNK):
            yield (*self._job, start, min(_CHUNK, self.size - start))
        if self.size:
            for start in itertools.count(self.size, _CHUNK // 20):
                yield (*self._job, start, _CHUNK // 20)


def _draw(seed: int, tag: philox.Tag, params: listops.Params, start: int, count: int):
    drawn = listops_trees.draw(seed, tag, start, count, params)
    return drawn, listops.lines(drawn.tokens, drawn.lengths, drawn.labels)


def _workers(rows: int, params: listops.Params) -> int:
    return min(len(os.sched_getaffinity(0)), 8, rows * listops_trees.first_width(params) // _WORDS_PER_WORKER)


class _processes:
    """Runs `_draw` on chunks and gives the results in their order; with fewer than 2 workers, in this process."""

    def __init__(self, workers: int):
        self.workers = workers

    def __enter__(self) -> Callable[[Iterator[tuple]], Iterator]:
        if self.workers < 2:
            self.pool = None
            return lambda chunks: itertools.starmap(_draw, chunks)
        context = multiprocessing.get_context("spawn")
        self.pool = concurrent.futures.ProcessPoolExecutor(self.workers, context)
        return self._ordered

    def __exit__(self, *exception: object) -> None:
        if self.pool is not None:
            self.pool.shutdown(cancel_futures=True)

    def _ordered(self, chunks: Iterator[tuple]) -> Iterator:
        ahead = collections.deque(self.pool.submit(_draw, *c) for c in itertools.islice(chunks, self.workers + 1))
        while ahead:
            result = ahead.popleft().result()
            ahead.extend(self.pool.submit(_draw, *c) for c in itertools.islice(chunks, 1))
            yield result


def from_tsv(source: Path, out: Path, command: str, rebuild: bool = False) -> dict[str, str]:
    """Writes a data set from a folder with basic_train.tsv, basic_val.tsv and basic_test.tsv."""
    files = {"train": "basic_train.tsv", "validation": "basic_val.tsv", "test": "basic_test.tsv"}
    for name in files.values():
        if not (source / name).is_file():
            raise ValueError(f"{source / name} is missing: {', '.join(files.values())} expected")
    with writer.building(out, rebuild) as folder:
        hashes = {}
        for split, name in files.items():
            writer.write_rows(folder / split, listops.read_tsv(source / name))
            hashes[split] = _stored_sha256(folder / split)
        writer.finish(
            folder,
            task="listops",
            source=f"TSV files of {source.name}",
            label="ListOps",
            seed=0,
            generator="none",
            licence="as the source's",
            command=command,
            details={"canonical_sha256": hashes},
        )
    return hashes


def _stored_sha256(folder: Path) -> str:
    tokens = np.fromfile(folder / "tokens.bin", np.uint8)
    lengths, labels = np.diff(np.load(folder / "offsets.npy")), np.load(folder / "targets.npy")
    return hashlib.sha256(listops.lines(tokens, lengths, labels)).hexdigest()


def check(dataset: store.Dataset) -> None:
    """Recomputes the canonical hash of every split that records one. Errors: ValueError naming the split."""
    for name, expected in dataset.meta.details.get("canonical_sha256", {}).items():
        found = _stored_sha256(dataset.folder / name)
        if found != expected:
            raise ValueError(
                f"{dataset.folder / name}: canonical sha256 {expected} expected, {found} found. "
                f"Make it anew:\n    {dataset.mend}"
            )


def write_tsv(dataset: store.Dataset, out: Path, parentheses: bool) -> None:
    """Writes basic_{train,val,test}.tsv with a header, flat or in the published left-nested form."""
    shown = listops.parenthesised if parentheses else listops.text_of
    out.mkdir(parents=True, exist_ok=True)
    for name in dataset.splits:
        split = dataset.split(name)
        with (out / f"basic_{'val' if name == 'validation' else name}.tsv").open("w", encoding="utf-8") as file:
            file.write("Source\tTarget\n")
            for row, target in enumerate(split.targets_N.tolist()):
                file.write(f"{shown(split.documents.row(row).tolist())}\t{target}\n")
