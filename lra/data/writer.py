"""Writes data sets in the format of `store`: into a temporary sibling, renamed when complete."""

import contextlib
import dataclasses
import json
import os
import shutil
import tempfile
from array import array
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np

from lra.data import store
from lra.settings import TASKS


@contextlib.contextmanager
def building(out: Path, rebuild: bool) -> Iterator[Path]:
    """A temporary folder that becomes `out` when the block ends well, and is removed when it does not.

    Errors: ValueError when `out` holds something (unless it is a data set and `rebuild`), or cannot be written.
    """
    if out.exists() and not out.is_dir():
        raise ValueError(f"{out} is a file: choose another --out")
    if out.is_dir() and any(out.iterdir()):
        if not (out / store.META).is_file():
            raise ValueError(f"{out} is not empty and holds no data set: choose another --out (nothing was changed)")
        if not rebuild:
            raise ValueError(
                f"{out} already holds another data set: add --rebuild to replace it, or choose another --out"
            )
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=f".{out.name}.partial-", dir=out.parent))
    except OSError as error:
        raise ValueError(f"cannot write {out}: {error.strerror}; choose another --out") from error
    try:
        yield folder
        _publish(folder, out)
    except OSError as error:
        raise ValueError(f"cannot write {out}: {error.strerror or error}; nothing was changed there") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _publish(folder: Path, out: Path) -> None:
    folder.chmod(0o755)
    if out.exists():
        old = Path(tempfile.mkdtemp(prefix=f".{out.name}.old-", dir=out.parent))
        out.rename(old / "replaced")
        folder.rename(out)
        shutil.rmtree(old)
    else:
        folder.rename(out)


class DocumentWriter:
    """Appends rows to folder/tokens.bin; `close` writes the offsets. Use as a context manager."""

    def __init__(self, folder: Path):
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.empty = folder, 0
        self._file = (folder / "tokens.bin").open("wb")
        self._offsets = array("q", [0])

    def __enter__(self) -> "DocumentWriter":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def __len__(self) -> int:
        return len(self._offsets) - 1

    def append(self, row: bytes) -> int:
        """Stores one row and returns its number. An empty text becomes one blank, counted in `empty`."""
        if not row:
            row, self.empty = b" ", self.empty + 1
        self._file.write(row)
        self._offsets.append(self._offsets[-1] + len(row))
        return len(self) - 1

    def close(self) -> None:
        """Writes what is left."""
        self._file.close()
        np.save(self.folder / "offsets.npy", np.asarray(self._offsets, np.int64))


def write_rows(folder: Path, rows: Iterable[tuple[bytes, int]]) -> int:
    """Stores (row, target) pairs as one split; returns how many rows were empty."""
    targets = array("i")
    with DocumentWriter(folder) as documents:
        for row, target in rows:
            documents.append(row)
            targets.append(target)
    np.save(folder / "targets.npy", np.asarray(targets, np.int32))
    return documents.empty


def write_pairs(folder: Path, pairs: Iterable[tuple[int, int]], targets: Iterable[int]) -> None:
    """Stores the document numbers and targets of a split whose rows are two documents."""
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / "pairs.npy", np.asarray(list(pairs), np.int32).reshape(-1, 2))
    np.save(folder / "targets.npy", np.asarray(list(targets), np.int32))


def finish(folder: Path, **values: object) -> store.Meta:
    """Writes meta.json with the counts and hashes of what lies in `folder`; `values` are the other fields of Meta.

    What the task decides, and that the rows are no surrogate, need not be said.
    """
    info = TASKS.get(values["task"])
    told = {key: getattr(info, key) for key in ("vocab", "classes", "byte_level")} if info else {}
    names = [name for name in (*store.SPLITS, store.DOCS) if (folder / name).is_dir()]
    meta = store.Meta(
        counts={name: _rows(folder / name) for name in names if name != store.DOCS},
        sha256={name: store.content_sha256(folder / name) for name in names},
        **{"surrogate": False, **told, **values},
    )
    (folder / store.META).write_text(json.dumps(dataclasses.asdict(meta), indent=1, default=_plain) + "\n")
    return meta


def relabel(folder: Path, **values: object) -> None:
    """Replaces fields of a finished data set's meta.json, for example its label, or a seed that must not be known."""
    path = folder / store.META
    meta = dataclasses.replace(store.Meta(**json.loads(path.read_text())), **values)
    path.write_text(json.dumps(dataclasses.asdict(meta), indent=1, default=_plain) + "\n")


def _rows(folder: Path) -> int:
    pairs = folder / "pairs.npy"
    return len(np.load(pairs, "r")) if pairs.exists() else len(np.load(folder / "offsets.npy", "r")) - 1


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, np.integer):
        return int(value)
    raise TypeError(f"{value!r} has no place in {store.META}")


def extract(
    dataset: store.Dataset,
    out: str | os.PathLike,
    splits: Iterable[str],
    *,
    targets: bool = True,
    order: Mapping[str, np.ndarray] | None = None,
    rebuild: bool = False,
) -> store.Dataset:
    """Copies some splits, and only the documents that they use, into a data set of its own.

    `targets=False` withholds the labels. `order` maps a split to the row numbers to copy, in this order (all rows, in
    theirs, when absent): a permutation hides which row is which. Nothing of the other splits reaches `out`: of
    meta.json too, only what concerns the copied rows is kept, and no path of a source.
    """
    out, order = Path(out), order or {}
    with building(out, rebuild) as folder:
        numbers: dict[int, int] = {}
        with contextlib.ExitStack() as stack:
            shared = stack.enter_context(DocumentWriter(folder / store.DOCS)) if dataset.meta.pair else None
            for name in splits:
                split = dataset.split(name)
                rows = np.asarray(order.get(name, np.arange(len(split))))
                if shared is None:
                    _copy_rows(split, rows, folder / name)
                else:
                    _copy_pairs(split, rows, folder / name, shared, numbers)
                labels = folder / name / "targets.npy"
                labels.unlink(missing_ok=True)
                if targets and split.targets_N is not None:
                    np.save(labels, split.targets_N[rows])
        kept = {f.name: getattr(dataset.meta, f.name) for f in dataclasses.fields(store.Meta)}
        for computed in ("counts", "sha256", "details"):
            del kept[computed]
        finish(folder, **kept | {"command": store.build_command(dataset.meta.task)})
    return store.open(out)


def _copy_rows(split: store.Split, rows: np.ndarray, folder: Path) -> None:
    with DocumentWriter(folder) as documents:
        for row in rows:
            documents.append(split.documents.row(row).tobytes())


def _copy_pairs(
    split: store.Split, rows: np.ndarray, folder: Path, shared: DocumentWriter, numbers: dict[int, int]
) -> None:
    pairs_N2 = split.pairs_N2[rows]
    for old in pairs_N2.ravel().tolist():
        if old not in numbers:
            numbers[old] = shared.append(split.documents.row(old).tobytes())
    write_pairs(folder, [[numbers[a], numbers[b]] for a, b in pairs_N2.tolist()], [])
