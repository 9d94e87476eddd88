"""MAD: the six synthetic token tasks of Poli et al. 2024 (arXiv 2403.17844), equal to mad-lab's arrays bit for bit.

    data = make("in-context-recall", n_train=800, n_test=1280, seed=12345)
    data.train.x, data.train.y, data.train.probe, data.test.x, data.test.y       # int16 [rows, tokens]

One random generator per task draws all train rows and then all test rows. Recall tasks train on every next token and
are tested only on values that can be known from the row; the other tasks have the same targets in both splits.
"""

import dataclasses
import difflib
import enum
import functools
import hashlib
import inspect
import itertools
import json
import os
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

IGNORED = -100  # a target that is neither trained on nor scored
TESTED_NUMPY = "2.2 to 2.5"
DEFAULT_SEED = 12345

_REVISION = 1  # part of the cache key; raise it when the arrays change
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


Draw = Callable[[np.random.Generator, bool], tuple[list[int], list[int]]]
"""Draws one row (generator, whether it is a train row) as full tokens and masked targets of equal length."""


def _in_context_recall(seed: int, *, vocab: int = 16, seq_len: int = 128) -> Draw:
    """Pairs (key, value); the targets are the values of keys that were shown before."""
    return _recall(vocab, seq_len, noise_vocab=0, frac_noise=0.0)


def _noisy_recall(
    seed: int, *, vocab: int = 32, seq_len: int = 128, noise_vocab: int = 16, frac_noise: float = 0.2
) -> Draw:
    """In-context recall where a fraction of the pairs is replaced by two noise tokens."""
    _require(0 <= frac_noise < 1, f"frac_noise must be in [0, 1), got {frac_noise}")
    _require(frac_noise == 0 or noise_vocab >= 1, f"noise_vocab must be at least 1, got {noise_vocab}")
    return _recall(vocab, seq_len, noise_vocab, frac_noise)


def _recall(vocab: int, seq_len: int, noise_vocab: int, frac_noise: float) -> Draw:
    symbols = vocab - noise_vocab
    _require(symbols >= 2, f"vocab must exceed noise_vocab by at least 2, got {vocab} and {noise_vocab}")
    _require(seq_len >= 4 and seq_len % 2 == 0, f"seq_len must be even and at least 4, got {seq_len}")
    n_keys, n_pairs = symbols // 2, seq_len // 2
    noise = np.arange(symbols, vocab)

    def draw(g: np.random.Generator, train: bool) -> tuple[list[int], list[int]]:
        x, y, values = [], [], {}
        kept = g.integers(n_pairs)  # this pair is never noise; drawn even without noise
        for i in range(n_pairs - 1):
            if frac_noise > 0 and i != kept and g.random() < frac_noise:
                x += g.choice(noise, size=2).tolist()
                y += [IGNORED, IGNORED]
                continue
            key = int(g.integers(n_keys))
            seen = key in values
            if not seen:
                values[key] = n_keys + int(g.integers(symbols - n_keys))
            x += [key, values[key]]
            y += [IGNORED, values[key] if seen else IGNORED]
        _require(bool(values), "a row of noise only was drawn: lower frac_noise, raise seq_len or use another seed")
        key = list(values)[g.integers(len(values))]
        return [*x, key, values[key]], [*y, IGNORED, values[key]]

    return draw


def _fuzzy_recall(seed: int, *, vocab: int = 16, seq_len: int = 128, key_size: int = 3, value_size: int = 3) -> Draw:
    """In-context recall whose keys and values are motifs of 1 to `key_size` and `value_size` distinct tokens.

    Test rows have keys of full size only. In about 3 % of the test rows the last key was never shown, which bounds
    the accuracy near 0.987.
    """
    pad = vocab - 1
    n_keys = pad // 2
    _require(1 <= key_size <= n_keys, f"key_size must be 1 to {n_keys} for vocab {vocab}, got {key_size}")
    _require(1 <= value_size <= pad - n_keys, f"value_size must be 1 to {pad - n_keys}, got {value_size}")
    shortest = 2 * (key_size + value_size) + 1
    _require(seq_len >= shortest, f"seq_len must be at least {shortest} for these motif sizes, got {seq_len}")
    motifs = functools.cache(lambda start, stop, size: list(itertools.permutations(range(start, stop), size)))

    def shuffled(g: np.random.Generator, start: int, stop: int, size: int) -> Callable[[], tuple[int, ...]]:
        """A picker from the freshly shuffled motifs; shuffling indices draws what shuffling the list would."""
        order = np.arange(len(motifs(start, stop, size)))
        g.shuffle(order)
        return lambda: motifs(start, stop, size)[order[g.integers(len(order))]]

    def draw(g: np.random.Generator, train: bool) -> tuple[list[int], list[int]]:
        key_sizes = range(1, key_size + 1) if train else [key_size]
        keys = {size: shuffled(g, 0, n_keys, size) for size in key_sizes}
        values = {size: shuffled(g, n_keys, pad, size) for size in range(1, value_size + 1)}

        def sizes() -> tuple[int, int]:
            a = 1 + int(g.integers(key_size)) if train else key_size
            return a, 1 + int(g.integers(value_size))

        a, b = sizes()
        last_key, last_value, length = keys[a](), values[b](), a + b
        at = g.integers(seq_len - 2 * length)
        x, y, paired, shown, added = [], [], {}, set(), False
        while len(x) < seq_len - length - (key_size + value_size):
            a, b = sizes()
            if len(x) >= at and not added:
                key, value, targets = last_key, last_value, [IGNORED] * len(last_value)
                paired[key], added = value, True
            else:
                key = keys[a]()
                if key == last_key:
                    value, added = last_value, True
                else:
                    if key not in paired:
                        paired[key] = values[b]()
                    value = paired[key]
                targets = value if key in shown else [IGNORED] * len(value)
            x += [*key, *value]
            y += [IGNORED] * len(key) + [*targets]
            shown.add(key)
        x += [*last_key, *last_value]
        y += [IGNORED] * len(last_key) + [*last_value]
        padding = seq_len + 1 - len(x)
        return [pad] * padding + x, [IGNORED] * padding + y

    return draw


def _memorization(seed: int, *, vocab: int = 256, seq_len: int = 32) -> Draw:
    """Keys followed by a marker; the target at the marker is the key's value, fixed for the whole data set."""
    _require(vocab >= 3, f"vocab must be at least 3, got {vocab}")
    _require(seq_len >= 2 and seq_len % 2 == 0, f"seq_len must be even and at least 2, got {seq_len}")
    marker = vocab - 1
    fixed = np.random.default_rng(seed)
    keys, values = list(range(marker // 2)), list(range(marker // 2, marker))
    fixed.shuffle(keys)
    fixed.shuffle(values)

    def draw(g: np.random.Generator, train: bool) -> tuple[list[int], list[int]]:
        x, y = [], []
        g.integers(seq_len // 2)  # drawn and not used
        for _ in range(seq_len // 2):
            k = g.integers(len(keys))
            x += [keys[k], marker]
            y += [IGNORED, values[k]]
        return x, y

    return draw


def _compression(seed: int, *, vocab: int = 16, seq_len: int = 32) -> Draw:
    """Random tokens and an end marker; every token is to be reproduced from the last position."""
    _require(vocab >= 2, f"vocab must be at least 2, got {vocab}")
    _require(seq_len >= 2, f"seq_len must be at least 2, got {seq_len}")
    tokens = np.arange(vocab - 1)

    def draw(g: np.random.Generator, train: bool) -> tuple[list[int], list[int]]:
        x = [*g.choice(tokens, size=seq_len - 1).tolist(), vocab - 1]
        return x, x

    return draw


def _selective_copying(seed: int, *, vocab: int = 16, seq_len: int = 256, n_copy: int = 16) -> Draw:
    """`n_copy` tokens among blanks, then a marker; the targets of the last `n_copy` blanks are the tokens in order."""
    _require(vocab >= 3, f"vocab must be at least 3, got {vocab}")
    _require(n_copy >= 1, f"n_copy must be at least 1, got {n_copy}")
    _require(seq_len > 2 * n_copy, f"seq_len must exceed 2 n_copy = {2 * n_copy}, got {seq_len}")
    blank, marker = vocab - 2, vocab - 1
    tokens = np.arange(vocab - 2)
    legacy = np.random.RandomState(_words(seed))  # mad-lab places blanks with numpy's global generator

    def draw(g: np.random.Generator, train: bool) -> tuple[list[int], list[int]]:
        content = g.choice(tokens, size=n_copy)
        at = legacy.randint(0, n_copy, seq_len - 2 * n_copy - 1)
        x = [*np.insert(content, at, blank).tolist(), marker, *[blank] * n_copy]
        return x, [IGNORED] * (seq_len - n_copy) + content.tolist()

    return draw


def _words(seed: int) -> int | list[int]:
    """`seed` as RandomState takes it: as it is up to 32 bits (as published), else as 32-bit words."""
    if seed < 2**32:
        return seed
    return [seed >> shift & 0xFFFFFFFF for shift in range(0, seed.bit_length(), 32)]


_TASKS: Mapping[str, Callable[..., Draw]] = MappingProxyType(
    {
        "in-context-recall": _in_context_recall,
        "fuzzy-in-context-recall": _fuzzy_recall,
        "noisy-in-context-recall": _noisy_recall,
        "memorization": _memorization,
        "compression": _compression,
        "selective-copying": _selective_copying,
    }
)
_SHIFTED = frozenset(name for name in _TASKS if name.endswith("recall"))  # the input at t predicts the token at t + 1
TASKS = tuple(_TASKS)


def fields_of(task: str) -> dict[str, Any]:
    """The fields of `task` with their published values. Raises ValueError for an unknown task."""
    _known(task, TASKS, "MAD task")
    return {p.name: p.default for p in inspect.signature(_TASKS[task]).parameters.values() if p.name != "seed"}


def resolve(task: str, fields: Mapping[str, Any]) -> dict[str, Any]:
    """All fields of `task`: the published ones, overridden by `fields`. Raises ValueError for an unknown field."""
    defaults = fields_of(task)
    for name, value in fields.items():
        _known(name, defaults, f"field of {task}")
        kinds = (int, float) if isinstance(defaults[name], float) else (int,)
        wanted = "a number" if float in kinds else "an integer"
        _require(type(value) in kinds, f"{name} must be {wanted}, got {value!r}")
    resolved = defaults | dict(fields)
    _require(resolved["vocab"] <= _MAX_VOCAB, f"vocab must be at most {_MAX_VOCAB}, got {resolved['vocab']}")
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
    _require(n_train >= 1 and n_test >= 0, f"row counts must be at least 1 train, 0 test; got {n_train}, {n_test}")
    _require(seed >= 0, f"seed must not be negative, got {seed}")
    if cache_dir is None:
        return _draw(task, n_train, n_test, seed, resolved)
    path = Path(cache_dir) / "mad" / f"{task}-{_key(task, n_train, n_test, seed, resolved)}.npz"
    cached = _read(path, resolved["vocab"])
    if cached is not None:
        return cached
    data = _draw(task, n_train, n_test, seed, resolved)
    _write(path, data)
    return data


def generate(task: str, split: Split | str, n: int, seed: int = DEFAULT_SEED, *, n_train: int = 800, **fields) -> Rows:
    """`n` rows of one split. Test rows continue the stream after `n_train` train rows, which are drawn and dropped."""
    if Split(split) is Split.TRAIN:
        return make(task, n, 0, seed, **fields).train
    return make(task, n_train, n, seed, **fields).test


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


def digest(array: np.ndarray) -> str:
    """sha256 of the array as int64, little-endian, C order."""
    return hashlib.sha256(np.ascontiguousarray(array, dtype="<i8").tobytes()).hexdigest()


def digests(data: Dataset) -> tuple[str, str, str, str]:
    """Digests of X train, Y train, X test, Y test."""
    return digest(data.train.x), digest(data.train.y), digest(data.test.x), digest(data.test.y)


def _draw(task: str, n_train: int, n_test: int, seed: int, fields: Mapping[str, Any]) -> Dataset:
    _check_streams()
    draw, g = _TASKS[task](seed, **fields), np.random.default_rng(seed)
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
    if task not in _SHIFTED:
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
    content = {"revision": _REVISION, "task": task, "rows": [n_train, n_test], "seed": seed, "fields": dict(fields)}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:32]


def _read(path: Path, vocab: int) -> Dataset | None:
    """The cached data set, or None where there is none or a damaged one (which the caller then replaces)."""
    try:
        with np.load(path) as arrays:
            train, test = (Rows(*(arrays[f"{split}_{part}"] for part in ("x", "y", "probe"))) for split in Split)
    except (FileNotFoundError, zipfile.BadZipFile, EOFError, KeyError, ValueError):
        return None
    return Dataset(train, test, vocab)


def _write(path: Path, data: Dataset) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays = {f"{split}_{part}": array for split in Split for part, array in vars(getattr(data, split)).items()}
    with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".tmp", delete=False) as file:
        try:
            np.savez(file, **arrays)
            file.flush()
            os.fsync(file.fileno())
        except BaseException:
            os.unlink(file.name)
            raise
    os.replace(file.name, path)


def _known(name: str, known, what: str) -> None:
    if name in known:
        return
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
    raise ValueError(
        f"unknown {what} {name!r}" + f" (did you mean {close[0]}?)" * bool(close) + f"; known: {', '.join(known)}"
    )


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ValueError(message)
