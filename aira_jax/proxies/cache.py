"""Results that are never computed twice: one file per key, and a claim that keeps two workers from the same key.

    with cache.claim(key) as claimed:      # waits while another worker computes the key
        if claimed.result is None:
            claimed.store(compute())

A claim is a file whose age is its owner's heartbeat. It ends with its owner: at once if the owner's process is seen to
be gone, else after ten minutes without a heartbeat. Killing a worker at any time loses the result in flight, no other.
"""

import contextlib
import dataclasses
import fcntl
import hashlib
import json
import logging
import os
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

HEARTBEAT_S = 30.0
STALE_S = 600.0
POLL_S = 0.2


def default_directory() -> Path:
    """$AIRA_JAX_CACHE, or ~/.cache/aira_jax."""
    return Path(os.environ.get("AIRA_JAX_CACHE") or Path.home() / ".cache" / "aira_jax")


def content_key(content: Mapping[str, Any]) -> str:
    """sha256 of the content as canonical JSON: sorted keys, no white space, no NaN."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def write_atomically(path: Path, content: bytes) -> None:
    """`path` holds the old content or all of the new one, whatever happens."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


@dataclasses.dataclass
class Claimed:
    """A key that this worker holds: its result if there is one already, else the right to compute it."""

    path: Path
    result: dict[str, Any] | None

    def store(self, result: Mapping[str, Any]) -> None:
        """Makes the result durable."""
        self.result = dict(result)
        write_atomically(self.path, json.dumps(self.result, sort_keys=True, allow_nan=False).encode())


class ResultCache:
    """JSON results under `directory`, one file per key."""

    def __init__(self, directory: Path | str):
        self.directory = Path(directory)

    def path(self, key: str) -> Path:
        """Where the result of `key` is kept."""
        return self.directory / key[:2] / f"{key}.json"

    def get(self, key: str) -> dict[str, Any] | None:
        """The result, or None. A file that is no JSON is put aside as `*.damaged` and counts as absent."""
        path = self.path(key)
        try:
            return json.loads(path.read_bytes())
        except FileNotFoundError:
            return None
        except ValueError:
            logging.warning("%s is damaged: put aside, its result is computed again", path)
            with contextlib.suppress(FileNotFoundError):
                path.replace(path.with_suffix(".damaged"))
            return None

    @contextlib.contextmanager
    def claim(self, key: str) -> Iterator[Claimed]:
        """Holds `key` while its result is computed; waits while another worker holds it."""
        path = self.path(key)
        mine = path.with_suffix(".claim")
        while True:
            result = self.get(key)
            if result is not None:
                yield Claimed(path, result)
                return
            if _acquire(mine):
                break
            time.sleep(POLL_S)
        done = threading.Event()
        beat = threading.Thread(target=_beat, args=(mine, done), daemon=True)
        beat.start()
        try:
            yield Claimed(path, self.get(key))
        finally:
            done.set()
            beat.join()
            _release(mine)


def _acquire(claim: Path) -> bool:
    claim.parent.mkdir(parents=True, exist_ok=True)
    with _exclusive(claim.parent):
        if claim.exists() and not _stale(claim):
            return False
        write_atomically(claim, json.dumps(_owner()).encode())
        return True


def _release(claim: Path) -> None:
    with _exclusive(claim.parent):
        if _owner_of(claim) == _owner():
            claim.unlink()


def _beat(claim: Path, done: threading.Event) -> None:
    while not done.wait(HEARTBEAT_S):
        with _exclusive(claim.parent):
            if _owner_of(claim) != _owner():
                return
            os.utime(claim)


@contextlib.contextmanager
def _exclusive(directory: Path) -> Iterator[None]:
    """One process and thread at a time decides about the claims of a directory."""
    with open(directory / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _owner() -> dict[str, Any]:
    pid = os.getpid()
    return {"pid": pid, "started": _started(pid), "thread": threading.main_thread().ident, "space": _pid_space()}


def _owner_of(claim: Path) -> dict[str, Any] | None:
    try:
        return json.loads(claim.read_bytes())
    except (FileNotFoundError, ValueError):
        return None


def _stale(claim: Path) -> bool:
    owner = _owner_of(claim)
    if owner is not None and owner.get("space") == _pid_space():
        return _started(owner["pid"]) != owner["started"]
    return time.time() - claim.stat().st_mtime > STALE_S


def _pid_space() -> str | None:
    """Names the boot and the process-id namespace within which a pid can be looked up; None if that is unknown."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip() + os.readlink("/proc/self/ns/pid")
    except OSError:
        return None


def _started(pid: int) -> str | None:
    """The start time of a process in clock ticks since boot; with the pid it names a process for good."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return None
