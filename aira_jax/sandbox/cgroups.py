"""Memory and task limits by control groups, version 2 or 1, where the machine lets us make one.

Standard library only: the supervisor imports it.
"""

import contextlib
import dataclasses
import os
import time
from collections.abc import Callable
from pathlib import Path


@dataclasses.dataclass(frozen=True)
class Files:
    """The names that the two versions give to one thing."""

    limit: str
    swap_limit: str
    swap_bytes: Callable[[int], int]  # version 2 limits swap alone, version 1 memory and swap together
    peak: str
    events: str


VERSIONS = {
    "cgroup2": Files("memory.max", "memory.swap.max", lambda limit: 0, "memory.peak", "memory.events"),
    "cgroup1": Files(
        "memory.limit_in_bytes",
        "memory.memsw.limit_in_bytes",
        lambda limit: limit,
        "memory.max_usage_in_bytes",
        "memory.oom_control",
    ),
}
TASKS_PER_PROCESS = 8  # pids.max counts threads too; processes are counted by the watchdog


@dataclasses.dataclass(frozen=True)
class Group:
    """A control group of ours. `version` is "cgroup2" or "cgroup1"; `tasks` limits tasks (same folder in version 2)."""

    version: str
    memory: Path
    tasks: Path | None

    def add(self, pid: int) -> None:
        for folder in self._folders():
            _write(folder / "cgroup.procs", pid)

    def oom_kills(self) -> int:
        return _counter(self.memory / VERSIONS[self.version].events, "oom_kill")

    def refused_forks(self) -> int:
        return 0 if self.tasks is None else _counter(self.tasks / "pids.events", "max")

    def peak_bytes(self) -> int:
        """The highest use of memory, file cache included; 0 where the kernel does not tell."""
        try:
            return int((self.memory / VERSIONS[self.version].peak).read_text())
        except FileNotFoundError:
            return 0

    def remove(self) -> None:
        """Removes the group; the kernel may need a moment after the last process has gone."""
        for folder in self._folders():
            for _ in range(50):
                try:
                    folder.rmdir()
                except FileNotFoundError:
                    break
                except OSError:
                    time.sleep(0.01)
                else:
                    break

    def _folders(self) -> list[Path]:
        return [self.memory] if self.tasks in (None, self.memory) else [self.memory, self.tasks]


def create(name: str, memory_bytes: int, processes: int) -> tuple[Group | None, str]:
    """A group with the limits, or None and the reason why there is none."""
    reasons = []
    for version, parents in _candidates():
        for parent in parents:
            try:
                memory = _limited_memory(parent / name, VERSIONS[version], memory_bytes)
            except OSError as error:
                reasons.append(f"{parent}: {error.strerror}")
                continue
            return Group(version, memory, _limited_tasks(version, memory, name, processes)), ""
    return None, "; ".join(reasons) or "no memory control group is mounted"


def _limited_memory(folder: Path, files: Files, memory_bytes: int) -> Path:
    folder.mkdir()
    try:
        _write(folder / files.limit, memory_bytes)
        if (folder / files.swap_limit).exists():
            _write(folder / files.swap_limit, files.swap_bytes(memory_bytes))
    except OSError:
        folder.rmdir()
        raise
    return folder


def _limited_tasks(version: str, memory: Path, name: str, processes: int) -> Path | None:
    folder = memory
    if version == "cgroup1":
        parent = _own_v1("pids")
        if parent is None:
            return None
        folder = parent / name
    try:
        if folder != memory:
            folder.mkdir()
        _write(folder / "pids.max", processes * TASKS_PER_PROCESS)
    except OSError:
        if folder != memory:
            with contextlib.suppress(OSError):
                folder.rmdir()
        return None
    return folder


def _candidates() -> list[tuple[str, list[Path]]]:
    """Where a group may be made. In version 2 a group with processes has no children: beside our own, then."""
    unified = _own_folder("cgroup2", "", "")
    memory = _own_v1("memory")
    beside = [unified, unified.parent] if unified is not None and not unified.is_mount() else [unified]
    return [("cgroup2", beside if unified is not None else []), ("cgroup1", [] if memory is None else [memory])]


def _own_v1(controller: str) -> Path | None:
    return _own_folder("cgroup", controller, controller)


def _own_folder(kind: str, controller: str, option: str) -> Path | None:
    """The folder of the control group that we run in, in the hierarchy of `controller` ("" is version 2)."""
    own = None
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controller in controllers.split(","):
            own = path
    if own is None:
        return None
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        left, _, right = line.partition(" - ")
        root, mountpoint = left.split()[3:5]
        mounted, _, options = right.split()[:3]
        if mounted == kind and (not option or option in options.split(",")):
            folder = Path(mountpoint, os.path.relpath(own, root))
            return folder if folder.is_dir() else None
    return None


def _write(path: Path, value: int) -> None:
    """Only into a file that the kernel has put there."""
    fd = os.open(path, os.O_WRONLY)
    try:
        os.write(fd, str(value).encode())
    finally:
        os.close(fd)


def _counter(path: Path, name: str) -> int:
    for line in path.read_text().splitlines():
        key, _, value = line.partition(" ")
        if key == name:
            return int(value)
    return 0
