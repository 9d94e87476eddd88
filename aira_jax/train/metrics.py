"""metrics.jsonl: one JSON object a line, appended while a run trains, cut back to a checkpoint when it continues."""

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from aira_jax.core import files

TIMING = frozenset(
    {"steps_per_s", "tokens_per_s", "real_tokens_per_s", "wall_s", "compile_s", "peak_bytes", "eta_s"}
    | {"mfu", "mfu_causal", "data_wait"}
)
FULL = "full"  # kind of the rows written after the last update
OnRow = Callable[[Mapping[str, Any]], None]


class MetricsLog:
    """Appends rows to `path`, each of them also seen by `on_row`.

    Rows of updates after `step`, left by an earlier attempt, move to metrics.orphan.jsonl; those of whole splits are
    dropped, because they are measured again.
    """

    def __init__(self, path: Path, step: int, on_row: OnRow):
        self.path, self.tell = path, on_row
        rows = [row for row in read(path) if row["kind"] != FULL]
        orphans = [row for row in rows if row["step"] > step]
        if orphans:
            with path.with_suffix(".orphan.jsonl").open("a") as file:
                file.writelines(map(_line, orphans))
        files.write_atomically(path, "".join(_line(row) for row in rows if row["step"] <= step))
        self._file = path.open("a")

    def append(self, row: Mapping[str, Any]) -> None:
        self._file.write(_line(row))
        self._file.flush()
        self.tell(row)

    def close(self) -> None:
        self._file.close()


def read(path: Path) -> Iterator[dict[str, Any]]:
    """The rows of a log; a torn last line is left out. Raises: ValueError naming any other line that is no JSON."""
    lines = path.read_text().splitlines(keepends=True) if path.is_file() else []
    for number, line in enumerate(lines, 1):
        try:
            yield json.loads(line)
        except json.JSONDecodeError as error:
            if number == len(lines) and not line.endswith("\n"):
                return
            raise ValueError(f"{path} line {number} is no JSON ({error}): remove that line") from error


def without_timing(row: Mapping[str, Any]) -> dict[str, Any]:
    """What must be equal in an interrupted and an uninterrupted run."""
    return {key: value for key, value in row.items() if key not in TIMING}


def _line(row: Mapping[str, Any]) -> str:
    return json.dumps(files.finite(row), allow_nan=False) + "\n"
