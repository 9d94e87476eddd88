"""The folder of a run: one process at a time, one identity, continued or refused by name."""

import contextlib
import json
import os
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from aira_jax.core import files, locks

CONFIG, METRICS, CHECKPOINTS = "config.json", "metrics.jsonl", "checkpoints"
PATIENCE_S = 60.0  # for a process that lost its parent and still saves


@contextlib.contextmanager
def held(folder: Path, patience_s: float = PATIENCE_S) -> Iterator[None]:
    """Makes the folder and keeps other processes out of it until the end of the block, or of this process.

    Raises: ValueError when it cannot be written, or another process still holds it after `patience_s`.
    """
    _probe(folder)
    descriptor = locks.open_folder(folder)
    try:
        try:
            locks.take_within(descriptor, patience_s)
        except locks.Held as error:
            mend = "wait for its end, stop it, or name a new folder"
            raise ValueError(f"another process trains in {folder}: {mend}") from error
        yield
    finally:
        os.close(descriptor)


def _probe(folder: Path) -> None:
    """Raises ValueError when the folder cannot be made or written (a full disk, no permission)."""
    probe = folder / f".probe-{os.getpid()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(bytes(1 << 16))
        probe.unlink()
    except OSError as error:
        raise ValueError(f"{folder} cannot be written ({error.strerror}): free space or name another folder") from error


def begin(folder: Path, identity: Mapping[str, Any], *, resume: bool = True, ours: Collection[str] = ()) -> None:
    """Starts the run of `identity` (JSON) in the folder, or continues it; one that failed before update 1 is replaced.

    `ours`: names, besides those of this module, that a run may have left. Raises: ValueError when the folder holds
    something that is no run, holds a run and `resume` is off, or holds another run: the keys that differ are listed.
    """
    identity = json.loads(json.dumps(identity))
    config = folder / CONFIG
    if config.is_file() and _begun(folder):
        if not resume:
            raise ValueError(f"{folder} holds a run: name another folder, or leave resume on to continue it")
        _compare(folder, _read(config), identity)
    elif strangers := sorted({path.name for path in folder.iterdir()} - {CONFIG, METRICS, CHECKPOINTS, *ours}):
        raise ValueError(f"{folder} holds {strangers[0]} and no run: name an empty or a new folder")
    files.write_json(config, identity, indent=2)


def _begun(folder: Path) -> bool:
    log = folder / METRICS
    return (log.is_file() and log.stat().st_size > 0) or any((folder / CHECKPOINTS).glob("[0-9]*"))


def _compare(folder: Path, old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
    if differing := files.differences(old, new):
        lines = "\n    ".join(f"{key}: {a!r} there, {b!r} asked" for key, (a, b) in differing.items())
        raise ValueError(f"{folder} holds another run; name another folder, or ask for the same:\n    {lines}")


def _read(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text())
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} is damaged ({error}): remove {path.parent} and run anew") from error
