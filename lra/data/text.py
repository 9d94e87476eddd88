"""Text: IMDB reviews as raw bytes, from the aclImdb folder, from a prepared TFDS data set, or from jsonl samples.

Bytes, not characters: a review is never decoded; white space is stripped at both ends (as TFDS does) and nothing else
is touched. Validation is carved out of train by movie, so that no film and no text lies on both sides; the published
test set stays whole. Source of the reviews: Maas et al. 2011, Learning word vectors for sentiment analysis.
"""

import collections
import dataclasses
import gzip
import hashlib
import json
import logging
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from lra.data import writer

GENERATOR = "text-1"
SAMPLES = "samples"
FINGERPRINT = "44d56759f3d0f75422f4a09ea6eeb3d6a4bbb584892bf27f07378614d23eecb9"  # the complete aclImdb
PREPARE_TFDS = (
    "pip install tensorflow-datasets tensorflow array_record && "
    "tfds build imdb_reviews --file_format=array_record"  # TensorFlow serves this one step, never the reading
)
_LABELS = {"neg": 0, "pos": 1}
_PER_FOLDER = 12_500
_FILE = re.compile(r"(\d+)_(\d+)\.txt")
_MOVIE = re.compile(r"tt\d+")


@dataclasses.dataclass(frozen=True)
class Review:
    """One review: stripped bytes, label (1 = positive), and the film's title id where the source tells it."""

    id: str
    label: int
    text: bytes
    movie: str | None = None


def build(
    out: Path, source: str, train: Sequence[Review], test: Sequence[Review], seed: int, command: str, rebuild: bool
) -> dict[str, object]:
    """Writes a data set of train, validation (a tenth of each label of train) and test; returns what was counted."""
    chosen = validation_ids(train, seed)
    details = {
        "fingerprint": fingerprint(train, test),
        "validation_ids_sha256": hashlib.sha256("\n".join(sorted(chosen)).encode()).hexdigest(),
        "test_texts_also_in_train": overlap(train, test),
        "movies_known": all(review.movie for review in train),
    }
    _check_fingerprint(details["fingerprint"], source, len(train), len(test))
    splits = {
        "train": [r for r in train if r.id not in chosen],
        "validation": [r for r in train if r.id in chosen],
        "test": test,
    }
    with writer.building(out, rebuild) as folder:
        details["empty"] = {
            name: writer.write_rows(folder / name, ((r.text, r.label) for r in reviews))
            for name, reviews in splits.items()
        }
        writer.finish(
            folder,
            task="text",
            source=source,
            surrogate=source == SAMPLES,
            label="IMDB sample" if source == SAMPLES else "IMDB",
            seed=seed,
            generator=GENERATOR,
            licence="aclImdb v1: no explicit licence; cite Maas et al. 2011, do not redistribute",
            command=command,
            details=details,
        )
    return details


def _check_fingerprint(found: str, source: str, train: int, test: int) -> None:
    if source != SAMPLES and found != FINGERPRINT:
        logging.warning(
            "these reviews are not the published aclImdb: fingerprint %s, %s expected; %d train and %d test rows "
            "found, 25000 and 25000 expected. Results are not comparable with published ones.",
            found,
            FINGERPRINT,
            train,
            test,
        )


def read_aclimdb(folder: Path, split: str) -> list[Review]:
    """The reviews of aclImdb/train or aclImdb/test, sorted by id. Errors: ValueError naming path and pattern."""
    reviews = []
    for name, label in _LABELS.items():
        where = folder / split / name
        if not where.is_dir():
            raise ValueError(f"{where} is missing: {folder} must hold {{train,test}}/{{neg,pos}}/<number>_<rating>.txt")
        movies = _movies(folder / split / f"urls_{name}.txt")
        files = sorted(where.iterdir())
        for path in files:
            found = _FILE.fullmatch(path.name)
            if not found:
                raise ValueError(f"{path}: file names must be <number>_<rating>.txt, for example 127_7.txt")
            number = int(found[1])
            if movies is not None and number >= len(movies):
                raise ValueError(
                    f"{folder / split / f'urls_{name}.txt'} has {len(movies)} lines, {path.name} needs more"
                )
            movie = movies[number] if movies else None
            reviews.append(Review(f"{split}/{name}/{number}", label, path.read_bytes().strip(), movie))
        if len(files) != _PER_FOLDER:
            logging.warning("%s holds %d reviews, %d in the published set", where, len(files), _PER_FOLDER)
    return reviews


def _movies(path: Path) -> list[str] | None:
    """The title id of each line, or None (with a warning) when the file is missing."""
    if not path.is_file():
        logging.warning("%s is missing: validation is carved by equal text alone, not by film", path)
        return None
    movies = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        found = _MOVIE.search(line)
        if not found:
            raise ValueError(f"{path} line {number}: no title id (tt and digits) in {line!r}")
        movies.append(found[0])
    return movies


def read_tfds(split: str, data_dir: str | None = None) -> list[Review]:
    """The reviews of a prepared `imdb_reviews`, read through array_record without TensorFlow.

    Errors: ValueError with the command that prepares it.
    """
    try:
        import tensorflow_datasets as tfds  # optional, and slow to import
    except ImportError as error:
        raise ValueError(
            f"tensorflow_datasets is not installed ({error}). Prepare the data with\n    {PREPARE_TFDS}"
        ) from error
    command = PREPARE_TFDS + (f" --data_dir={data_dir}" if data_dir else "")
    try:
        source = tfds.data_source("imdb_reviews", split=split, data_dir=data_dir, download=False)
    except (AssertionError, ImportError, NotImplementedError, OSError, ValueError) as error:
        raise ValueError(
            f"imdb_reviews is not prepared as array_record ({error}). Prepare it with\n    {command}"
        ) from error
    return [Review(f"{split}/{i}", int(row["label"]), bytes(row["text"]).strip()) for i, row in enumerate(source)]


def read_jsonl(path: Path) -> list[Review]:
    """Reviews of a .jsonl or .jsonl.gz file with id, label (0 or 1) and text. ValueError: file and line."""
    if not path.is_file():
        raise ValueError(f"{path} does not exist: a .jsonl or .jsonl.gz file with id, label and text is expected")
    reviews = []
    for number, row in json_rows(path):
        text, label = row.get("text"), row.get("label")
        if not isinstance(text, str) or label not in (0, 1) or "id" not in row:
            raise ValueError(f"{path} line {number}: id, text and a label 0 or 1 expected, found {sorted(row)}")
        reviews.append(Review(str(row["id"]), label, text.encode("utf-8", "surrogatepass").strip()))
    repeated = [name for name, n in collections.Counter(r.id for r in reviews).items() if n > 1]
    if repeated:
        raise ValueError(f"{path}: id {repeated[0]!r} occurs more than once")
    return reviews


def json_rows(path: Path) -> Iterator[tuple[int, dict]]:
    """(line number, object) per line of a JSON-lines file, gzipped or not. ValueError: file and line."""
    opener = gzip.open if path.suffix == ".gz" else open
    try:
        with opener(path, "rb") as file:
            for number, line in enumerate(file, start=1):
                try:
                    row = json.loads(line)
                except ValueError as error:
                    raise ValueError(f"{path} line {number}: not JSON ({error})") from error
                if not isinstance(row, dict):
                    raise ValueError(f"{path} line {number}: a JSON object expected")
                yield number, row
    except (EOFError, gzip.BadGzipFile) as error:
        raise ValueError(f"{path} is damaged or cut short ({error}): fetch it again") from error


def fingerprint(train: Iterable[Review], test: Iterable[Review]) -> str:
    """sha256 of the content in any order: train, then test, rows sorted by (label, sha256 of the text)."""
    digest = hashlib.sha256()
    for reviews in (train, test):
        for label, text in sorted((r.label, hashlib.sha256(r.text).digest()) for r in reviews):
            digest.update(bytes([label]) + text)
    return digest.hexdigest()


def overlap(train: Iterable[Review], test: Iterable[Review]) -> int:
    """How many test reviews have a text that also occurs in train."""
    known = {r.text for r in train}
    return sum(r.text in known for r in test)


def groups(reviews: Sequence[Review]) -> dict[str, list[Review]]:
    """Reviews that must stay on one side: connected by film or by equal text. Named by the smallest node of each."""
    parent: dict[str, str] = {}

    def root(node: str) -> str:
        while parent.setdefault(node, node) != node:
            parent[node] = node = parent[parent[node]]
        return node

    nodes = [
        [f"text:{hashlib.sha256(r.text).hexdigest()}", *([f"movie:{r.movie}"] if r.movie else [])] for r in reviews
    ]
    for first, *others in nodes:
        for other in others:
            low, high = sorted((root(first), root(other)))
            parent[high] = low
    found: dict[str, list[Review]] = collections.defaultdict(list)
    for review, (first, *_) in zip(reviews, nodes, strict=True):
        found[root(first)].append(review)
    return dict(found)


def validation_ids(train: Sequence[Review], seed: int) -> set[str]:
    """Ids of the validation rows: a tenth of each label, whole groups, walked in the order of a seeded hash."""
    left = {label: sum(r.label == label for r in train) // 10 for label in _LABELS.values()}
    parts = groups(train)
    chosen: set[str] = set()
    for name in sorted(parts, key=lambda name: hashlib.sha256(f"{seed}:{name}".encode()).hexdigest()):
        counts = {label: sum(r.label == label for r in parts[name]) for label in left}
        if all(counts[label] <= left[label] for label in left):
            chosen |= {r.id for r in parts[name]}
            left = {label: left[label] - counts[label] for label in left}
        if not any(left.values()):
            break
    return chosen
