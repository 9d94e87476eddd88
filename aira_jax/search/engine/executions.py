"""One execution from start to end: a slot of the machine, the time that is left, the sandbox, two records."""

import contextlib
import dataclasses
import errno
import os
import queue
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from aira_jax.core.failures import Failure
from aira_jax.core.files import finite
from aira_jax.sandbox.base import GIB, Execution, Job, Limits, Mount, Sandbox, Status, View
from aira_jax.sandbox.failures import Program, classify
from aira_jax.sandbox.workdir import clear
from aira_jax.search.engine.budget import Budget
from aira_jax.search.log.events import Kind, Record, WriteFailed
from aira_jax.search.log.journal import Cancelled, Control, Journal, StopSearch
from aira_jax.search.settings import Workers
from aira_jax.tasks.client import PREDICTIONS, RESULT_FILE, printed_value, read_result

KEPT_FILES, KEPT_BYTES = 256, 64 * 2**20  # of what a candidate exports, in all
HEAD = TAIL = 2500  # characters of output in a record; the whole lies in a blob
DATA = ("data",)
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO)


@dataclasses.dataclass(frozen=True)
class Slot:
    """A place where one execution runs: a GPU (or none), and cores of its own."""

    name: str
    device: str | None
    cpus: tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class Phase:
    """What to execute for a node. Programs that are not trusted must reach neither labels nor the log (`hidden`), and
    of the machine's files only what they need, and `visible`.

    `keep` names files (globs) of the work directory whose text the record keeps: what a candidate exports; `artifact`
    must be among them. `carry` is where the folder `predictions` of the work directory goes, for a later phase.
    `printed_metric` is what to read from the printed result block, where the evaluator knows no result file.
    """

    node: int
    phase: str
    seed: int
    argv: tuple[str, ...]
    limit_s: float
    memory_gb: float | None
    files: Mapping[str, str]
    mounts: tuple[Mount, ...]
    program: Program
    keep: tuple[str, ...] = ()
    artifact: str | None = None
    visible: tuple[Path, ...] = ()
    hidden: tuple[Path, ...] = ()
    carry: Path | None = None
    printed_metric: str | None = None


class Slots:
    """The slots of this machine, handed out to one execution each."""

    def __init__(self, slots: tuple[Slot, ...], control: Control):
        self.all, self._control = slots, control
        self._free: queue.SimpleQueue[Slot] = queue.SimpleQueue()
        for slot in slots:
            self._free.put(slot)

    @contextlib.contextmanager
    def hold(self) -> Iterator[Slot]:
        """Waits for a free slot. Raises Cancelled when the search is called off."""
        slot = None
        while slot is None:
            self._control.check()
            with contextlib.suppress(queue.Empty):
                slot = self._free.get(timeout=0.2)
        try:
            yield slot
        finally:
            self._free.put(slot)


def make_slots(workers: Workers, *, exclusive: bool) -> tuple[Slot, ...]:
    """The slots that config.workers asks for. Raises ValueError when they are more than the devices can hold."""
    devices = visible_devices(workers.devices)
    places = max(1, len(devices)) * workers.slots_per_device
    wanted = workers.eval or min(workers.n, places)
    if exclusive and (workers.slots_per_device > 1 or (not devices and wanted > 1)):
        key = "workers.slots_per_device" if workers.slots_per_device > 1 else "workers.eval"
        raise ValueError(f"config.{key} must be 1: this task's score depends on the clock, so evaluations run alone")
    if wanted > places:
        raise ValueError(
            f"config.workers.eval={wanted} is more than {max(1, len(devices))} device(s) x "
            f"config.workers.slots_per_device={workers.slots_per_device}; raise the latter or lower the former"
        )
    cores = sorted(os.sched_getaffinity(0))
    names = devices or (None,)
    return tuple(
        Slot(f"{names[i % len(names)] or 'cpu'}:{i // len(names)}", names[i % len(names)], _share(cores, i, wanted))
        for i in range(wanted)
    )


def visible_devices(wanted: str) -> tuple[str, ...]:
    """GPU ids by config.workers.devices, else by CUDA_VISIBLE_DEVICES, else by what the driver lists.

    Raises ValueError for ids in config.workers.devices on a machine without a GPU.
    """
    if wanted == "cpu":
        return ()
    if wanted and not has_gpu():
        raise ValueError(
            f"config.workers.devices={wanted!r} names GPUs, and this machine has none: "
            "leave it out, or set config.workers.devices=cpu"
        )
    listed = wanted or os.environ.get("CUDA_VISIBLE_DEVICES")
    if listed is not None:
        return tuple(part.strip() for part in listed.split(",") if part.strip() not in ("", "-1"))
    gpus = Path("/proc/driver/nvidia/gpus")
    return tuple(str(i) for i, _ in enumerate(sorted(gpus.iterdir()))) if gpus.is_dir() else ()


def has_gpu() -> bool:
    """Whether this machine shows a driver of NVIDIA GPUs: its own, a container's device files, or Windows' below."""
    return any(map(os.path.exists, ("/proc/driver/nvidia", "/dev/nvidiactl", "/dev/dxg")))


def _share(cores: list[int], index: int, parts: int) -> tuple[int, ...]:
    if len(cores) < parts:
        return (cores[index % len(cores)],)
    return tuple(cores[index * len(cores) // parts : (index + 1) * len(cores) // parts])


class Clock:
    """The time that the budget leaves, live: the tree's spend is brought up to now."""

    def __init__(self, journal: Journal):
        self._journal = journal
        self._running: dict[int, float] = {}

    def left(self) -> Budget:
        """Wall and device seconds that may still be used; None is unlimited."""
        tree, now = self._journal.tree, self._journal.log.mono
        earlier = sum(tree.sessions[:-1])
        busy = sum(now - start for start in list(self._running.values()))
        return tree.limits - Budget(wall_s=earlier + now, device_s=tree.spent.device_s + busy)

    def out_of(self) -> str | None:
        """The axis on which no time is left."""
        left = self.left()
        bounded = {axis: getattr(left, axis) for axis in ("wall_s", "device_s") if getattr(left, axis) is not None}
        return next((axis for axis, seconds in bounded.items() if seconds <= 0), None)

    def timeout(self, limit_s: float, min_s: float) -> tuple[float, str | None]:
        """The seconds that an execution may take, and the budget axis that set them (None: its own limit).

        Raises StopSearch when less than `min_s` is left.
        """
        left = self.left()
        axis, seconds = None, limit_s
        for name in ("wall_s", "device_s"):
            value = getattr(left, name)
            if value is not None and value < seconds:
                axis, seconds = name, value
        if axis and (seconds < min_s or seconds <= 0):
            reason = axis.removesuffix("_s")
            raise StopSearch(reason, f"{max(seconds, 0):.1f} s of {reason} left, config.budget.min_exec_s={min_s:g}")
        return seconds, axis

    @contextlib.contextmanager
    def running(self, token: int) -> Iterator[None]:
        self._running[token] = self._journal.log.mono
        try:
            yield
        finally:
            del self._running[token]


class Executor:
    """Runs phases in the sandbox. `account` None: the test account, which no budget bounds."""

    def __init__(
        self,
        sandbox: Sandbox,
        journal: Journal,
        control: Control,
        slots: Slots,
        *,
        scratch: Path,
        env: Mapping[str, str],
        clock: Clock | None,
        min_exec_s: float,
        preallocate: bool,
    ):
        self.slots, self.blobs = slots, journal.log.blobs
        self._sandbox, self._journal, self._control = sandbox, journal, control
        self._scratch, self._env, self._clock = scratch, env, clock
        self._min_exec_s, self._preallocate = min_exec_s, preallocate
        self._notes: set[str] = set()

    def run(self, slot: Slot, phase: Phase) -> Record:
        """Executes a phase on a slot and returns its exec_end record.

        Raises Cancelled when the search was called off meanwhile, StopSearch when the budget ended it.
        """
        self._control.check()
        timeout_s, axis = self._clock.timeout(phase.limit_s, self._min_exec_s) if self._clock else (phase.limit_s, None)
        with self._workdir(phase) as workdir:
            job = self._job(slot, phase, workdir, timeout_s)
            execution = self._execute(slot, phase, job)
            cut = axis if execution.killed_for in ("wall", "cpu") else None
            if phase.carry is not None and execution.status is Status.OK:
                _carry(workdir / PREDICTIONS, phase.carry)
            record = self._end(phase, job, execution, cut)
        if cut:
            raise StopSearch(cut.removesuffix("_s"), f"the budget ended node {phase.node}'s {phase.phase}")
        if execution.killed_for == "cancelled":
            raise Cancelled
        return record

    def _execute(self, slot: Slot, phase: Phase, job: Job) -> Execution:
        with _stopping_on_a_full_disk(job.workdir):
            running = self._sandbox.start(job)
        try:
            self._control.add(running)
            isolation = running.isolation
            self._warn_isolation(isolation.notes)
            self._journal.append(
                Kind.EXEC_START,
                node=phase.node,
                phase=phase.phase,
                seed=phase.seed,
                argv=list(job.argv),
                limits=dataclasses.asdict(job.limits),
                isolation={**dataclasses.asdict(isolation), "notes": list(isolation.notes)},
                device=slot.name,
                pid=running.pid,
                pid_starttime=running.pid_starttime,
            )
            with self._clock.running(id(running)) if self._clock else contextlib.nullcontext():
                running.go()
                return running.wait()
        except BaseException:
            running.kill()
            raise
        finally:
            self._control.discard(running)

    def _job(self, slot: Slot, phase: Phase, workdir: Path, timeout_s: float) -> Job:
        trusted = phase.program is Program.TRUSTED
        env = {**self._env, "CUDA_VISIBLE_DEVICES": slot.device or ""}
        if slot.device is None:
            env["JAX_PLATFORMS"] = "cpu"
        if not self._preallocate:
            env["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"
        memory = {} if phase.memory_gb is None else {"memory_bytes": int(phase.memory_gb * GIB)}
        writable = [Path(env["AIRA_JAX_CACHE"])] if trusted and "AIRA_JAX_CACHE" in env else []
        return Job(
            argv=phase.argv,
            workdir=workdir,
            limits=Limits(wall_s=timeout_s, cpu_s=timeout_s * len(slot.cpus), **memory),
            files=phase.files,
            env=env,
            mounts=phase.mounts,
            view=View.MACHINE if trusted else View.NEEDED,
            visible=phase.visible,
            hidden=() if trusted else phase.hidden,
            writable=tuple(writable),
            cpus=slot.cpus,
        )

    def _end(self, phase: Phase, job: Job, execution: Execution, cut: str | None) -> Record:
        result = read_result(job.workdir / RESULT_FILE)
        if phase.printed_metric is not None:
            result = {"value": printed_value(execution.output, phase.printed_metric)}
        kept = self._kept(job.workdir, phase.keep) if phase.keep else None
        failure = None
        if not cut and execution.killed_for != "cancelled":
            missing = phase.artifact is not None and phase.artifact not in (kept or {})
            failure = classify(
                execution, result, files=phase.files, program=phase.program, artifact_missing=missing, data=DATA
            )
        result = finite(result) if kept is None else {**finite(result or {}), "files": kept}
        output = execution.output
        whole = len(output) <= HEAD + TAIL
        return self._journal.append(
            Kind.EXEC_END,
            node=phase.node,
            phase=phase.phase,
            seed=phase.seed,
            status="killed" if cut else str(execution.status),
            killed_for="budget" if cut else execution.killed_for,
            failure_class=None if failure is None else str(failure),
            exit_code=execution.exit_code,
            signal=execution.signal,
            wall_s=round(execution.wall_s, 3),
            cpu_s=round(execution.cpu_s, 3),
            device_s=0.0 if phase.phase == "check" else round(execution.wall_s, 3),
            peak_bytes=execution.peak_bytes,
            head=output if whole else output[:HEAD],
            tail="" if whole else output[-TAIL:],
            output_blob=None if whole else self._journal.log.put(output),
            result=result,
        )

    def _kept(self, workdir: Path, globs: tuple[str, ...]) -> dict[str, Any]:
        kept: dict[str, Any] = {}
        room = KEPT_BYTES
        for path in sorted({path for glob in globs for path in workdir.glob(glob)}):
            if len(kept) < KEPT_FILES and path.is_file() and not path.is_symlink() and path.stat().st_size <= room:
                room -= path.stat().st_size
                text = path.read_bytes().decode("utf-8", "replace")
                kept[str(path.relative_to(workdir))] = self._journal.log.store(text)
        return kept

    def _warn_isolation(self, notes: tuple[str, ...]) -> None:
        for note in notes:
            if note not in self._notes:
                self._notes.add(note)
                self._journal.append(Kind.WARNING, code="isolation", text=note)

    @contextlib.contextmanager
    def _workdir(self, phase: Phase) -> Iterator[Path]:
        with _stopping_on_a_full_disk(self._scratch):
            self._scratch.mkdir(parents=True, exist_ok=True)
            workdir = Path(tempfile.mkdtemp(dir=self._scratch, prefix=f"{phase.node:04d}-{phase.phase}-"))
        try:
            yield workdir
        finally:
            clear(workdir)


@contextlib.contextmanager
def _stopping_on_a_full_disk(folder: Path) -> Iterator[None]:
    """Turns the errors of a disk that takes nothing more into WriteFailed: no candidate is to blame, the run stops."""
    try:
        yield
    except OSError as error:
        if error.errno in NO_ROOM:
            raise WriteFailed(folder, error) from error
        raise


def _carry(folder: Path, target: Path) -> None:
    """Moves what a fit wrote to where the score finds it, over what a session that died has left there.

    A fit that made no folder, or something else of that name, leaves an empty one.
    """
    if not folder.is_dir():
        folder.unlink(missing_ok=True)
        folder.mkdir()
    clear(target)
    os.replace(folder, target)


def was_conclusive(end: Record) -> bool:
    """Whether an execution told something about the candidate (it was neither lost nor called off)."""
    return end["status"] != "lost" and end.get("killed_for") not in ("cancelled", "budget")


def is_infra(end: Record) -> bool:
    """Whether the evaluator itself was at fault."""
    return end["failure_class"] == Failure.INFRA
