"""Trains in a process of its own: candidate code never runs here, and whatever it does becomes one classed outcome.

The child leads its own process group; it is killed when it passes the time limit or its resident memory the limit. It
sees an allow-list of the environment. That is no sandbox: it reads files as this user (see aira_jax.sandbox).
This module does not import jax.
"""

import collections
import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from aira_jax.core import files, signals
from aira_jax.sandbox.environment import allowed
from lra.failures import CandidateFault, Kind
from lra.job import Job

TAIL_LINES = 40
POLL_S = 0.5
GRACE_S = 30.0  # beyond the time limit, which the child itself keeps between updates
FAILURE = "failure.json"
_PAGE = os.sysconf("SC_PAGE_SIZE")
_OF_PYTHON = ("PYTHONNOUSERSITE", "PYTHONDONTWRITEBYTECODE")  # empty = unset: packages are found as by the parent
_DETERMINISTIC = "--xla_gpu_deterministic_ops=true"


class Interrupted(Exception):
    """A signal stopped the run; its text says after which update it was saved."""


def run(job: Job, *, on_row: Callable[[Mapping[str, Any]], None], check: bool = False) -> dict[str, Any]:
    """{"report", "summary"} of a finished run, or with `check` {"checked"}: what was found before the first update.

    Raises: CandidateFault (also written to <workdir>/failure.json), ValueError, Interrupted; RuntimeError for a defect
    of this package.
    """
    failure = job.workdir / FAILURE
    if not check and failure.is_file():
        failure.unlink()
    try:
        return _Child(job, on_row, check).outcome()
    except CandidateFault as fault:
        if not check and job.workdir.is_dir():
            record = {"failure": fault.kind, "message": fault.message, "details": fault.details}
            files.write_json(failure, record, indent=2)
        raise


class _Child:
    def __init__(self, job: Job, on_row: Callable[[Mapping[str, Any]], None], check: bool):
        self.job, self.on_row = job, on_row
        self.request = json.dumps({"job": job.to_json(), "check": check}) + "\n"
        self.tail: collections.deque[str] = collections.deque(maxlen=TAIL_LINES)
        self.message: dict[str, Any] | None = None
        self.killed: CandidateFault | None = None
        self.signals = 0

    def outcome(self) -> dict[str, Any]:
        reader, writer = os.pipe()
        process = subprocess.Popen(
            [sys.executable, "-m", "lra.child", str(writer)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=(writer,),
            start_new_session=True,
            env=self._environment(),
        )
        os.close(writer)
        heard = signals.listening(lambda number: self._forward(process))
        with process, os.fdopen(reader, "rb", buffering=0) as channel, heard:
            try:
                process.stdin.write(self.request.encode())
                process.stdin.flush()
                self._follow(process, channel)
                process.wait()
            finally:
                _kill_group(process)
        return self._judged(process.returncode)

    def _environment(self) -> dict[str, str]:
        """What candidate code may see of this process's environment: an allow-list, so no key of an API is in it."""
        root = Path(__file__).resolve().parents[1]
        paths = [os.fspath(root), *filter(None, [os.environ.get("PYTHONPATH")])]
        extra = {"PYTHONPATH": os.pathsep.join(paths), **{name: os.environ.get(name, "") for name in _OF_PYTHON}}
        environment = allowed(os.environ, extra, home=Path.home(), tmp=Path(tempfile.gettempdir()))
        if self.job.deterministic:
            environment["XLA_FLAGS"] = f"{environment.get('XLA_FLAGS', '')} {_DETERMINISTIC}".strip()
        return environment

    def _follow(self, process: subprocess.Popen, channel: Any) -> None:
        """Reads messages and output until both end, and holds the child to its limits meanwhile."""
        started = time.monotonic()
        with selectors.DefaultSelector() as selector:
            selector.register(channel, selectors.EVENT_READ, _Lines(self._receive))
            selector.register(process.stdout, selectors.EVENT_READ, _Lines(self._print))
            while selector.get_map():
                for key, _ in selector.select(POLL_S):
                    data = os.read(key.fd, 1 << 16)
                    key.data.feed(data)
                    if not data:
                        selector.unregister(key.fileobj)
                if self.killed is None:
                    self._watch(process, time.monotonic() - started)
                if process.poll() is not None:
                    _kill_group(process)  # what it started may hold the pipes open
                    if self.killed is not None:
                        return

    def _receive(self, line: str) -> None:
        try:
            message = json.loads(line)
        except json.JSONDecodeError:  # torn: the process was killed while it wrote; its exit code tells
            return
        if "row" in message:
            self.on_row(message["row"])
        else:
            self.message = message

    def _print(self, line: str) -> None:
        self.tail.append(line)
        print(line, file=sys.stderr, flush=True)

    def _watch(self, process: subprocess.Popen, elapsed: float) -> None:
        limit_s, limit_bytes = self.job.time_limit_s, self.job.memory_limit
        resident = resident_bytes(process.pid)
        if limit_s is not None and elapsed > limit_s + GRACE_S:
            self.killed = CandidateFault(
                Kind.TIMEOUT, f"killed after {elapsed:.0f} s; the limit is {limit_s:g} s", seconds=elapsed
            )
        elif limit_bytes is not None and resident > limit_bytes:
            text = f"killed at {resident} bytes of resident memory; the limit is {limit_bytes}: a smaller batch helps"
            self.killed = CandidateFault(Kind.OOM, text, need_bytes=resident, limit_bytes=limit_bytes)
        if self.killed is not None:
            _kill_group(process)

    def _judged(self, code: int) -> dict[str, Any]:
        message = self.message
        if self.killed is not None:
            raise self.killed
        if message is None:
            raise Interrupted("stopped, nothing more was saved") if self.signals else self._crash(code)
        if "defect" in message:
            raise RuntimeError(f"training ended with a defect of its own:\n{message['defect']}")
        if "fault" in message:
            raise CandidateFault.from_json(message["fault"])
        if "invalid" in message:
            raise ValueError(message["invalid"])
        if "interrupted" in message:
            raise Interrupted(message["interrupted"])
        return message

    def _crash(self, code: int) -> Exception:
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        hint = " (what the kernel sends when memory runs out)" if code == -signal.SIGKILL else ""
        lines = "\n".join(self.tail)
        if self.job.path is None:
            return RuntimeError(f"training ended with {how}{hint}:\n{lines}")
        return CandidateFault(Kind.CRASH, f"the process ended with {how}{hint}; its last lines:\n{lines}", code=code)

    def _forward(self, process: subprocess.Popen) -> None:
        """The first SIGTERM or SIGINT of this process asks the child to save and stop, the second one kills it."""
        self.signals += 1
        process.send_signal(signal.SIGTERM if self.signals == 1 else signal.SIGKILL)


class _Lines:
    """Cuts bytes into lines."""

    def __init__(self, take: Callable[[str], None]):
        self.take, self.rest = take, b""

    def feed(self, data: bytes) -> None:
        *lines, self.rest = (self.rest + data).split(b"\n")
        if not data and self.rest:
            lines, self.rest = [self.rest], b""
        for line in lines:
            self.take(line.decode(errors="replace"))


def resident_bytes(pid: int) -> int:
    """Resident memory of a process; 0 once it is gone, or where /proc is missing."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE
    except (OSError, IndexError):
        return 0


def _kill_group(process: subprocess.Popen) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
