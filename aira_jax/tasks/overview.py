"""The agent's data folders in words: counts, shapes, types and two rows, for prompts."""

from pathlib import Path

_ROWS = 2
_SHOWN = 16  # values of a row
_BYTES = 80  # of a text


def data_overview(mount: Path, *, rows: bool = True) -> str:
    """One block of lines per file or data set below `mount`, paths as an execution sees them; `rows`: samples too."""
    sets = [path.parent for path in sorted(mount.rglob("meta.json"))]
    lines = []
    for folder in sets:
        lines += _dataset(f"data/{folder.relative_to(mount)}", folder, rows)
    for path in sorted(p for p in mount.rglob("*") if p.is_file() and not any(p.is_relative_to(s) for s in sets)):
        name = f"data/{path.relative_to(mount)}"
        lines += _arrays(name, path, rows) if path.suffix == ".npz" else [f"{name}: {path.stat().st_size} bytes"]
    return "\n".join(lines)


def _dataset(name: str, folder: Path, rows: bool) -> list[str]:
    """A data set of lra.data: its splits, and two rows of those with labels."""
    import numpy as np

    from lra.data import store

    dataset = store.open(folder)
    lines = [f"{name}: {dataset.meta.label}, read by lra.data.store.open({name!r})"]
    for split in map(dataset.split, dataset.splits):
        lengths = np.diff(split.documents.offsets)
        what = "rows, documents of" if dataset.meta.pair else "rows of"
        unit = "bytes" if dataset.meta.byte_level else "token ids"
        told = "without labels" if split.targets_N is None else f"labels 0 to {dataset.meta.classes - 1}"
        lines.append(f"    {split.name}: {len(split)} {what} {lengths.min()} to {lengths.max()} {unit}, {told}")
        if rows and split.targets_N is not None:
            lines += [f"    row {i}: {_row(dataset, split, i)}" for i in range(min(_ROWS, len(split)))]
    return lines


def _row(dataset, split, row: int) -> str:
    documents = split.pairs_N2[row].tolist() if dataset.meta.pair else [row]
    stored = [split.documents.row(number) for number in documents]
    shown = [repr(d[:_BYTES].tobytes())[1:] if dataset.meta.byte_level else _shortened(d.tolist()) for d in stored]
    return f"{' | '.join(shown)} -> {split.targets_N[row]}"


def _arrays(name: str, path: Path, rows: bool) -> list[str]:
    import numpy as np

    lines = []
    with np.load(path) as arrays:
        for key, array in arrays.items():
            lines.append(f"{name}, array {key}: shape {list(array.shape)}, {array.dtype}")
            if rows and name.startswith("data/train/"):
                lines += [
                    f"    row {i}: {_shortened(array[i].ravel().tolist())}" for i in range(min(_ROWS, len(array)))
                ]
    return lines


def _shortened(values: list) -> str:
    shown = " ".join(map(str, values[:_SHOWN]))
    return shown if len(values) <= _SHOWN else f"{shown} ... ({len(values)} values)"
