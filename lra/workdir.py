"""The folder of a run: what it holds, whether it may be continued, and that it can be written.

config.json model.py env.json metrics.jsonl report.json checkpoints/ plots/
"""

import contextlib
import errno
import fcntl
import json
import os
import platform
import time
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import jax

from lra.job import Job

CONFIG, MODEL, ENV, METRICS, REPORT = "config.json", "model.py", "env.json", "metrics.jsonl", "report.json"
CHECKPOINTS, PLOTS = "checkpoints", "plots"
_NO_LOCKS = (errno.EBADF, errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)
PATIENCE_S = 60.0  # for a process that lost its parent and still saves
_PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy")


@contextlib.contextmanager
def held(folder: Path, patience_s: float = PATIENCE_S) -> Iterator[None]:
    """Makes the folder and keeps other processes out of it until the end of the block, or of this process.

    Some network file systems have no such locks; there nobody is kept out.
    Raises: ValueError when it cannot be written, or another process still holds it after `patience_s`.
    """
    _probe(folder)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        deadline = time.monotonic() + patience_s
        while not _locked(descriptor):
            if time.monotonic() > deadline:
                raise ValueError(f"another process trains in {folder}: wait for its end, stop it, or name a new folder")
            time.sleep(0.2)
        yield
    finally:
        os.close(descriptor)


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
    return True


def prepare(job: Job, identity: Mapping[str, Any]) -> None:
    """Starts or continues the run of the folder: config.json, env.json and a copy of model.py.

    What failed before its first update is replaced: mend model.py and run the same command.
    Raises: ValueError when it holds something that is no run, holds a run and `job.resume` is off, or holds another
    run: the keys that differ are listed.
    """
    folder = job.workdir
    identity = json.loads(json.dumps(identity))
    config = folder / CONFIG
    if config.is_file() and _begun(folder):
        _compare(job, _read(config), identity)
    elif strangers := sorted(path.name for path in folder.iterdir() if not _ours(path.name)):
        raise ValueError(f"{folder} holds {strangers[0]} and no run: name an empty or a new folder")
    if job.path is not None:
        (folder / MODEL).write_bytes(job.path.read_bytes())
    (folder / ENV).write_text(json.dumps(environment(), indent=2) + "\n")
    _replace(config, json.dumps(identity, indent=2) + "\n")


def _begun(folder: Path) -> bool:
    log = folder / METRICS
    return (log.is_file() and log.stat().st_size > 0) or any((folder / CHECKPOINTS).glob("[0-9]*"))


def _ours(name: str) -> bool:
    return name in (CONFIG, MODEL, ENV, METRICS, REPORT, CHECKPOINTS, PLOTS, "job.json", "log.txt", "failure.json")


def _compare(job: Job, old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
    if not job.resume:
        raise ValueError(f"{job.workdir} holds a run: name another folder, or leave resume on to continue it")
    a, b = _flat(old), _flat(new)
    differing = [
        f"{key}: {a.get(key)!r} there, {b.get(key)!r} asked" for key in sorted({*a, *b}) if a.get(key) != b.get(key)
    ]
    if differing:
        lines = "\n    ".join(differing)
        raise ValueError(f"{job.workdir} holds another run; name another folder, or ask for the same:\n    {lines}")


def _read(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text())
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} is damaged ({error}): remove {path.parent} and run anew") from error


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        nested = isinstance(value, Mapping)
        flat.update(_flat(value, f"{prefix}{key}.") if nested else {f"{prefix}{key}": value})
    return flat


def _probe(folder: Path) -> None:
    """Raises ValueError when the folder cannot be made or written (a full disk, no permission)."""
    probe = folder / f".probe-{os.getpid()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(bytes(1 << 16))
        probe.unlink()
    except OSError as error:
        raise ValueError(f"{folder} cannot be written ({error.strerror}): free space or name another folder") from error


def _replace(path: Path, text: str) -> None:
    temporary = path.with_suffix(".tmp")
    temporary.write_text(text)
    temporary.replace(path)


def write_report(folder: Path, report: Mapping[str, Any]) -> None:
    """report.json, complete or not at all."""
    _replace(folder / REPORT, json.dumps(report, indent=2) + "\n")


def environment() -> dict[str, Any]:
    """Versions, devices and what else decides numbers and speed."""
    device = jax.local_devices()[0]
    return {
        "python": platform.python_version(),
        **{name: metadata.version(name) for name in _PACKAGES},
        "platform": device.platform,
        "device": device.device_kind,
        "devices": jax.local_device_count(),
        "cpus": os.cpu_count(),
        "machine": platform.machine(),
        "default_matmul_precision": jax.config.jax_default_matmul_precision or "backend default",
        "xla_flags": os.environ.get("XLA_FLAGS", ""),
    }
