"""MAD: the six synthetic token tasks of Poli et al. 2024 (arXiv 2403.17844), equal to mad-lab's arrays bit for bit.

    data = make("in-context-recall", n_train=800, n_test=1280, seed=12345)
    data.train.x, data.train.y, data.train.probe, data.test.x, data.test.y       # int16 [rows, tokens]

One random generator per task draws all train rows and then all test rows. Recall tasks train on every next token and
are tested only on values that can be known from the row; the other tasks have the same targets in both splits.
"""

import dataclasses
import enum
import functools
import hashlib
import inspect
import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from aira_jax.core import choices
from aira_jax.core.files import write_atomically
from aira_jax.proxies import sources
from aira_jax.proxies.mad_rows import DRAWS, SHIFTED, Draw, require
from aira_jax.proxies.mad_rows import IGNORED as IGNORED

TESTED_NUMPY = "2.2 to 2.5"
DEFAULT_SEED = 12345
TASKS = tuple(DRAWS)

_MAX_VOCAB = 2**15 - 1
_STREAM_DIGEST = "6c0921cd1d9b40d9f1a0d65049a9504ba727a7ccd039b73ac68816f9f82ea0ad"
_KNOWN_DIGESTS = {  # first 16 hex digits for 800 train and 1,280 test rows, seed 12345, default fields
    "in-context-recall": ("8e8c84701b431282", "2b099566781e9ea6", "467f2d3fef92c8b7", "db72e981eded90ac"),
    "fuzzy-in-context-recall": ("e3db093b758f7a75", "01bdd69a87d164a1", "e677007b41b0a378", "b85b410e2ec07919"),
    "memorization": ("1f2e8edc9c20d384", "2dbeeb4ea8cd9ce6", "cd0cf7698ab701a5", "f1de5c63c81e8e61"),
    "compression": ("30a2d2c4d3d40873", "30a2d2c4d3d40873", "6dfc01da24e0a606", "6dfc01da24e0a606"),
}


class Split(enum.StrEnum):
    TRAIN = "train"
    TEST = "test"


class NumpyStreamError(ValueError):
    """This numpy draws other random numbers than the published data were made with."""


@dataclasses.dataclass(frozen=True)
class Rows:
    """Token rows, int16 [n, length] each: inputs, the split's own targets, the test-type targets of the same rows."""

    x: np.ndarray
    y: np.ndarray
    probe: np.ndarray

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, rows) -> "Rows":
        """A selection of rows (a slice or an index array)."""
        return Rows(self.x[rows], self.y[rows], self.probe[rows])


@dataclasses.dataclass(frozen=True)
class Dataset:
    """Both splits of one task; token ids are below `vocab`."""

    train: Rows
    test: Rows
    vocab: int


def fields_of(task: str) -> dict[str, Any]:
    """The fields of `task` with their published values. Raises ValueError for an unknown task."""
    choices.among("MAD task", task, TASKS)
    return {p.name: p.default for p in inspect.signature(DRAWS[task]).parameters.values() if p.name != "seed"}


def resolve(task: str, fields: Mapping[str, Any]) -> dict[str, Any]:
    """All fields of `task`: the published ones, overridden by `fields`. Raises ValueError for an unknown field."""
    defaults = fields_of(task)
    for name, value in fields.items():
        choices.among(f"field of {task}", name, defaults)
        kinds = (int, float) if isinstance(defaults[name], float) else (int,)
        wanted = "a number" if float in kinds else "an integer"
        require(type(value) in kinds, f"{name} must be {wanted}, got {value!r}")
    resolved = defaults | dict(fields)
    require(resolved["vocab"] <= _MAX_VOCAB, f"vocab must be at most {_MAX_VOCAB}, got {resolved['vocab']}")
    return resolved


def make(
    task: str,
    n_train: int = 800,
    n_test: int = 1280,
    seed: int = DEFAULT_SEED,
    *,
    cache_dir: Path | str | None = None,
    **fields,
) -> Dataset:
    """Both splits of `task`; `fields` override the published ones (see `fields_of`).

    With `cache_dir` the arrays are kept there under a key of everything that they depend on. Never give a shared cache
    to a hidden seed. Raises ValueError for bad arguments, NumpyStreamError if numpy draws other numbers.
    """
    resolved = resolve(task, fields)
    require(n_train >= 1 and n_test >= 0, f"row counts must be at least 1 train, 0 test; got {n_train}, {n_test}")
    require(seed >= 0, f"seed must not be negative, got {seed}")
    if cache_dir is None:
        return _draw(task, n_train, n_test, seed, resolved)
    path = Path(cache_dir) / "mad" / f"{task}-{_key(task, n_train, n_test, seed, resolved)}.npz"
    cached = _read(path, resolved["vocab"])
    if cached is not None:
        return cached
    data = _draw(task, n_train, n_test, seed, resolved)
    save(path, data)
    return data


def generate(task: str, split: Split | str, n: int, seed: int = DEFAULT_SEED, *, n_train: int = 800, **fields) -> Rows:
    """`n` rows of one split. Test rows continue the stream after `n_train` train rows, which are drawn and dropped."""
    if Split(split) is Split.TRAIN:
        return make(task, n, 0, seed, **fields).train
    return make(task, n_train, n, seed, **fields).test


def save(path: Path, data: Dataset) -> None:
    """Writes train_x, train_y, train_probe, test_x, ... to an .npz file, in one step. Raises OSError."""
    arrays = {f"{split}_{part}": array for split in Split for part, array in vars(getattr(data, split)).items()}
    content = io.BytesIO()
    np.savez(content, **arrays)
    write_atomically(path, content.getvalue())


def split_validation(rows: Rows) -> tuple[Rows, Rows]:
    """The 70:30 split of train rows: rows to fit, and rows to score, which have test-type targets as their `y`."""
    fit, held = validation_indices(len(rows))
    scored = rows[held]
    return rows[fit], Rows(scored.x, scored.probe, scored.probe)


def validation_indices(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Which of `n` train rows are fitted and which are scored: 70 % and 30 % of one fixed permutation."""
    order = np.random.default_rng(0).permutation(n)
    cut = 7 * n // 10
    return order[:cut], order[cut:]


def joined(fit: Rows, held: Rows) -> Rows:
    """Rows that `validation_indices` divided, in their original order."""
    order = np.argsort(np.concatenate(validation_indices(len(fit) + len(held))))
    parts = zip(vars(fit).values(), vars(held).values(), strict=True)
    return Rows(*(np.concatenate(part)[order] for part in parts))


def digest(array: np.ndarray) -> str:
    """sha256 of the array as int64, little-endian, C order."""
    return hashlib.sha256(np.ascontiguousarray(array, dtype="<i8").tobytes()).hexdigest()


def digests(data: Dataset) -> tuple[str, str, str, str]:
    """Digests of X train, Y train, X test, Y test."""
    return digest(data.train.x), digest(data.train.y), digest(data.test.x), digest(data.test.y)


def _draw(task: str, n_train: int, n_test: int, seed: int, fields: Mapping[str, Any]) -> Dataset:
    _check_streams()
    draw, g = DRAWS[task](seed, **fields), np.random.default_rng(seed)
    train, test = (_rows(draw, g, split, n, task) for split, n in ((Split.TRAIN, n_train), (Split.TEST, n_test)))
    data = Dataset(train, test, fields["vocab"])
    published = (n_train, n_test, seed) == (800, 1280, DEFAULT_SEED) and fields == fields_of(task)
    if published and task in _KNOWN_DIGESTS:
        found = tuple(d[:16] for d in digests(data))
        if found != _KNOWN_DIGESTS[task]:
            raise _stream_error(f"the digests of {task} are {found}, published {_KNOWN_DIGESTS[task]}")
    return data


def _rows(draw: Draw, g: np.random.Generator, split: Split, n: int, task: str) -> Rows:
    drawn = [draw(g, split is Split.TRAIN) for _ in range(n)]
    pairs = np.array(drawn, np.int16) if drawn else np.zeros((0, 2, 1), np.int16)
    tokens, targets = pairs[:, 0], pairs[:, 1]
    if task not in SHIFTED:
        return Rows(tokens, targets, targets)
    probe = targets[:, 1:]
    return Rows(tokens[:, :-1], tokens[:, 1:] if split is Split.TRAIN else probe, probe)


@functools.cache
def _check_streams() -> None:
    """Draws once from everything that the generators use and compares with what tested numpy versions draw."""
    g, legacy = np.random.default_rng(DEFAULT_SEED), np.random.RandomState(DEFAULT_SEED)
    order = list(range(20))
    indices = np.arange(50)
    drawn = []
    for n in (1, 3, 7, 64, 300):
        g.shuffle(order)
        g.shuffle(indices)
        drawn += [int(g.integers(n)), *g.choice(np.arange(n), size=5).tolist(), *order, *indices.tolist()]
        drawn += [int(2**53 * g.random()), *legacy.randint(0, n, 5).tolist()]
    if digest(np.array(drawn)) != _STREAM_DIGEST:
        raise _stream_error("the self-test of the random streams failed")


def _stream_error(what: str) -> NumpyStreamError:
    return NumpyStreamError(
        f"numpy {np.__version__} draws other random numbers than the MAD data need: {what}.\n"
        f"    tested with numpy {TESTED_NUMPY}; install one of these versions"
    )


def _key(task: str, n_train: int, n_test: int, seed: int, fields: Mapping[str, Any]) -> str:
    content = {"task": task, "rows": [n_train, n_test], "seed": seed, "fields": dict(fields)}
    content["sources"] = sources.of(__name__)
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:32]


def _read(path: Path, vocab: int) -> Dataset | None:
    """The cached data set, or None where there is none or a damaged one (which the caller then replaces)."""
    try:
        with np.load(path) as arrays:
            train, test = (Rows(*(arrays[f"{split}_{part}"] for part in ("x", "y", "probe"))) for split in Split)
    except (FileNotFoundError, zipfile.BadZipFile, EOFError, KeyError, ValueError):
        return None
    return Dataset(train, test, vocab)
