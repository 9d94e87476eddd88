"""Results that are never computed twice: one file per key, and a claim that keeps two workers from the same key.

    with cache.claim(key) as claimed:      # waits while another worker computes the key
        if claimed.result is None:
            claimed.store(compute())

A claim is a file that its owner keeps locked and whose age is its owner's heartbeat. It ends with its owner: at once on
the same machine, where the lock is gone, elsewhere after ten minutes without a heartbeat. Killing a worker at any time
loses the result in flight and no other.
"""

import contextlib
import dataclasses
import hashlib
import json
import logging
import os
import platform
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from aira_jax.core import locks
from aira_jax.core.files import write_atomically

_LOG = logging.getLogger(__name__)
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
            _LOG.warning("%s is damaged: put aside, its result is computed again", path)
            with contextlib.suppress(FileNotFoundError):
                path.replace(path.with_suffix(".damaged"))
            return None

    def newest(self, beginning: str) -> dict[str, Any] | None:
        """The result that was stored last among the keys with this beginning (2 digits at least), or None."""
        found = (self.directory / beginning[:2]).glob(f"{beginning}*.json")
        stored = [self.get(path.stem) for path in sorted(found, key=lambda path: path.stat().st_mtime)]
        return next((result for result in reversed(stored) if result is not None), None)

    @contextlib.contextmanager
    def claim(self, key: str) -> Iterator[Claimed]:
        """Holds `key` while its result is computed; waits while another worker holds it."""
        path = self.path(key)
        claim = path.with_suffix(".claim")
        while (result := self.get(key)) is None and (held := _acquire(claim)) is None:
            time.sleep(POLL_S)
        if result is not None:
            yield Claimed(path, result)
            return
        done = threading.Event()
        beat = threading.Thread(target=_beat, args=(held, done), daemon=True)
        beat.start()
        try:
            yield Claimed(path, self.get(key))
        finally:
            done.set()
            beat.join()
            _release(claim, held)


def _acquire(claim: Path) -> IO | None:
    """The open and locked claim file, or None if another worker holds it."""
    claim.parent.mkdir(parents=True, exist_ok=True)
    with _exclusive(claim.parent):
        if claim.exists():
            if not _abandoned(claim):
                return None
            claim.unlink()
        held = open(claim, "x")  # noqa: SIM115 (it stays open as long as the claim is held)
        locks.take(held.fileno(), wait=True)
        held.write(_machine())
        held.flush()
        return held


def _abandoned(claim: Path) -> bool:
    with open(claim) as file:
        if file.read() != _machine():
            return time.time() - os.fstat(file.fileno()).st_mtime > STALE_S
        try:
            locks.take(file.fileno())
        except locks.Held:
            return False
        return True


def _release(claim: Path, held: IO) -> None:
    with _exclusive(claim.parent), held:
        if claim.exists() and os.path.samestat(claim.stat(), os.fstat(held.fileno())):
            claim.unlink()


def _beat(held: IO, done: threading.Event) -> None:
    while not done.wait(HEARTBEAT_S):
        os.utime(held.fileno())


def _machine() -> str:
    """Names the running kernel: its processes see each other's locks."""
    boot = Path("/proc/sys/kernel/random/boot_id")
    return boot.read_text().strip() if boot.exists() else platform.node()


@contextlib.contextmanager
def _exclusive(directory: Path) -> Iterator[None]:
    """One process and thread at a time decides about the claims of a directory."""
    with open(directory / ".lock", "w") as lock:
        locks.take(lock.fileno(), wait=True)
        yield
