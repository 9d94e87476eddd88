"""The agent's data folders in words: counts, shapes, types and two rows, for prompts."""

from pathlib import Path

_ROWS = 2
_SHOWN = 16  # values of a row


def data_overview(mount: Path) -> str:
    """One block of lines per file below `mount`, paths as an execution sees them."""
    lines = []
    for path in sorted(p for p in mount.rglob("*") if p.is_file()):
        name = f"data/{path.relative_to(mount)}"
        lines += _arrays(name, path) if path.suffix == ".npz" else [f"{name}: {path.stat().st_size} bytes"]
    return "\n".join(lines)


def _arrays(name: str, path: Path) -> list[str]:
    import numpy as np

    lines = []
    with np.load(path) as arrays:
        for key, array in arrays.items():
            lines.append(f"{name}, array {key}: shape {list(array.shape)}, {array.dtype}")
            if name.startswith("data/train/"):
                lines += [
                    f"    row {i}: {_shortened(array[i].ravel().tolist())}" for i in range(min(_ROWS, len(array)))
                ]
    return lines


def _shortened(values: list) -> str:
    shown = " ".join(map(str, values[:_SHOWN]))
    return shown if len(values) <= _SHOWN else f"{shown} ... ({len(values)} values)"
