"""Runs programs as processes of this machine, each under a supervisor of its own."""

import contextlib
import dataclasses
import json
import math
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from aira_jax.sandbox import environment, proctree, view
from aira_jax.sandbox.base import Execution, Isolation, Job, Limits, Status, View
from aira_jax.sandbox.workdir import TMP, disarm, guard, inside, manifest, prepare

_ROOT = Path(__file__).resolve().parents[2]
_SUPERVISOR = f"import sys; sys.path.append({str(_ROOT)!r}); from aira_jax.sandbox.supervisor import main; main()"
LEFTOVER_S = 10.0


@dataclasses.dataclass(frozen=True)
class ProcessSandbox:
    """Starts jobs. With `require_isolation` a machine that cannot isolate them fully is a ValueError."""

    require_isolation: bool = False
    backend: str = "process"

    def start(self, job: Job) -> "ProcessRunning":
        """The job in a fresh work directory, held until `go()`.

        Raises ValueError for a job that cannot run as described, OSError when the work directory cannot be written.
        """
        check(job)
        workdir = prepare(job)
        environ = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ}
        return self._held(ProcessRunning(supervisor(), job, workdir, specification(job, workdir), environ))

    def _held(self, running: "ProcessRunning") -> "ProcessRunning":
        if self.require_isolation:
            running.require_isolation()
        return running

    def probe(self) -> Isolation:
        """What this machine enforces, found with a program that never starts. ValueError as `start`."""
        with tempfile.TemporaryDirectory() as folder:
            running = self.start(Job(argv=("true",), workdir=Path(folder) / "work", limits=Limits(wall_s=1)))
            running.kill()
            running.wait()
        return running.isolation


class ProcessRunning:
    """A started program that waits for `go()`; see `aira_jax.sandbox.base.Running`.

    `command` ends as the supervisor, with `environ` as its environment; `walls` are facts about the isolation that hold
    around it. `kill()` may be called from any thread, the rest from one thread at a time.
    """

    def __init__(
        self,
        command: Sequence[str],
        job: Job,
        workdir: Path,
        specification: dict,
        environ: Mapping[str, str],
        walls: Mapping[str, object] | None = None,
    ):
        pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        self._supervisor = subprocess.Popen(command, env=environ, cwd="/", **pipes)
        self._job = job
        self._workdir = workdir
        self._cancelled = False
        self._started = False
        self._execution: Execution | None = None
        self.pid = self._supervisor.pid
        process = proctree.read(self.pid)
        self.pid_starttime = process.starttime if process is not None else 0
        self._order(json.dumps(specification).encode() + b"\n")
        ready = self._answer()
        if ready is None or "failed" in ready:
            error = ready["failed"] if ready is not None else self._last_words()
            self.kill()
            self._close()
            raise OSError(f"the sandbox could not be set up: {error}")
        ready |= walls or {}
        self.isolation = Isolation(
            pid_ns=ready["pid_ns"],
            net=ready["net"],
            files=ready["files"] and ready["proc"],
            memory=ready["memory"],
            notes=tuple(ready["notes"]),
        )
        self._manifest = None if ready["readonly"] else guard(job.mounts)

    def require_isolation(self) -> None:
        """Ends the program and raises ValueError unless processes, network and files are isolated."""
        wanted = {"pid_ns": "processes", "net": "network", "files": "files"}
        missing = [text for name, text in wanted.items() if not getattr(self.isolation, name)]
        if missing:
            self.kill()
            self.wait()
            raise ValueError(
                f"sandbox.require_isolation: this machine does not isolate {', '.join(missing)} "
                f"({'; '.join(self.isolation.notes)}); run as root, allow user namespaces, "
                "or set sandbox.require_isolation=false"
            )

    def go(self) -> None:
        self._started = True
        self._order(b"g")

    def kill(self) -> None:
        """Kills the whole tree at once. What it has printed so far is kept for `wait()`."""
        self._cancelled = True
        self._order(b"k")

    def wait(self) -> Execution:
        """Blocks until nothing of the program is left; then the work directory holds plain files only."""
        if self._execution is None:
            if not (self._started or self._cancelled):
                raise RuntimeError("wait() before go(): the program would never start")
            outcome = self._answer()
            self._execution = self._lost() if outcome is None else self._ended(outcome)
            self._close()
            disarm(self._workdir)
        return self._execution

    def _order(self, data: bytes) -> None:
        with contextlib.suppress(BrokenPipeError, ValueError):  # ValueError: already closed
            self._supervisor.stdin.write(data)
            self._supervisor.stdin.flush()

    def _answer(self) -> dict | None:
        line = self._supervisor.stdout.readline()
        return json.loads(line) if line.endswith(b"\n") else None

    def _last_words(self) -> str:
        return self._supervisor.stderr.read().decode(errors="replace").strip() or "the supervisor died"

    def _close(self) -> None:
        self._supervisor.wait()
        for stream in (self._supervisor.stdin, self._supervisor.stdout, self._supervisor.stderr):
            with contextlib.suppress(BrokenPipeError):
                stream.close()

    def _ended(self, outcome: dict) -> Execution:
        killed_for = outcome["killed_for"]
        finished = Status.OK if outcome["exit_code"] == 0 else Status.FAIL
        return Execution(status=Status.KILLED if killed_for else finished, tampered=self._tampered(), **outcome)

    def _lost(self) -> Execution:
        """The supervisor went away without an answer: before the start on our order, else by foreign hand."""
        never_ran = self._cancelled and not self._started
        return Execution(
            status=Status.KILLED if never_ran else Status.LOST,
            exit_code=None,
            signal=int(signal.SIGKILL),
            wall_s=0.0,
            cpu_s=0.0,
            peak_bytes=0,
            head="" if never_ran else self._last_words(),
            tail="",
            cut_bytes=0,
            killed_for="cancelled" if self._cancelled else None,
            tampered=self._tampered(),
        )

    def _tampered(self) -> tuple[str, ...]:
        if self._manifest is None:
            return ()
        after = manifest(self._job.mounts)
        return tuple(sorted(p for p in self._manifest.keys() | after.keys() if self._manifest.get(p) != after.get(p)))


def kill_leftover(pid: int, starttime: int) -> bool:
    """Ends the execution of a harness that died: True when supervisor `pid` of that start time was still alive.

    `starttime` is `Running.pid_starttime` (clock ticks since boot), so that a reused pid is never touched. Returns when
    the supervisor and its tree are gone; raises TimeoutError when they cannot be killed.
    """
    if not proctree.is_alive(pid, starttime):
        return False
    os.kill(pid, signal.SIGTERM)
    if not _gone(pid, starttime, LEFTOVER_S):
        proctree.kill_descendants(pid, LEFTOVER_S)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        if not _gone(pid, starttime, LEFTOVER_S):
            raise TimeoutError(f"process {pid}, left over from an earlier run, cannot be killed; end it by hand")
    return True


def _gone(pid: int, starttime: int, patience_s: float) -> bool:
    end = time.monotonic() + patience_s
    while proctree.is_alive(pid, starttime):
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


def supervisor() -> list[str]:
    """The command of a supervisor. -I -S: it starts fast and takes nothing from the environment or site-packages."""
    return [sys.executable, "-I", "-S", "-c", _SUPERVISOR]


def check(job: Job) -> None:
    """Raises ValueError for a job without a program, with senseless limits or on foreign cores."""
    if not job.argv:
        raise ValueError("job.argv is empty; name the program to run")
    for name, value in dataclasses.asdict(job.limits).items():
        if value is not None and not (value > 0 and math.isfinite(value)):
            raise ValueError(f"limits.{name} is {value}; it must be a positive finite number")
    if job.cpus is not None and not set(job.cpus) <= os.sched_getaffinity(0):
        raise ValueError(f"job.cpus {job.cpus}: this process may use only {sorted(os.sched_getaffinity(0))}")


def specification(job: Job, workdir: Path) -> dict:
    """What the supervisor of a job is told; `workdir` is the prepared one."""
    limits = job.limits
    cores = len(job.cpus if job.cpus is not None else os.sched_getaffinity(0))
    env = environment.allowed(os.environ, job.env, home=workdir, tmp=workdir / TMP)
    secrets = environment.secret_places([_ROOT, *job.visible, *(Path(a) for a in job.argv if a.startswith("/"))])
    root = None
    if job.view is View.NEEDED:
        root = dataclasses.asdict(view.needed(job.argv, env, job.visible))
    return {
        "argv": list(job.argv),
        "env": env,
        "root": root,
        "secrets": list(map(str, secrets)),
        "workdir": str(workdir),
        "writable": [str(p.resolve()) for p in job.writable],
        "hidden": [str(p.resolve()) for p in job.hidden],
        "mounts": [(str(m.source.resolve()), str(inside(workdir, m.target))) for m in job.mounts],
        "cpus": None if job.cpus is None else list(job.cpus),
        "contained": False,
        "shm_bytes": limits.memory_bytes,
        **dataclasses.asdict(limits),
        "cpu_s": math.ceil(limits.wall_s * cores if limits.cpu_s is None else limits.cpu_s),
    }
