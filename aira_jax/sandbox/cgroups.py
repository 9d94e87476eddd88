"""Memory and task limits by control groups, version 2 or 1, where the machine lets us make one.

The supervisor imports it: standard library only, and no slow part of it (dataclasses, pathlib, typing).
"""

import collections
import contextlib
import os
import time

PREFIX = "aira-"
TASKS_PER_PROCESS = 8  # pids.max counts threads too; processes are counted by the watchdog

_Files = collections.namedtuple("_Files", "limit swap_limit swap_has_memory peak events")
_VERSIONS = {
    "cgroup2": _Files("memory.max", "memory.swap.max", False, "memory.peak", "memory.events"),
    "cgroup1": _Files(
        "memory.limit_in_bytes", "memory.memsw.limit_in_bytes", True, "memory.max_usage_in_bytes", "memory.oom_control"
    ),
}


class Group:
    """A control group of ours: `version` is "cgroup2" or "cgroup1", `memory` and `tasks` its folders (may be one)."""

    def __init__(self, version: str, memory: str, tasks: str | None):
        self.version = version
        self._files = _VERSIONS[version]
        self._memory = memory
        self._tasks = tasks

    def add(self, pid: int) -> None:
        for folder in self._folders():
            _write(f"{folder}/cgroup.procs", pid)

    def oom_kills(self) -> int:
        return _counter(f"{self._memory}/{self._files.events}", "oom_kill")

    def refused_forks(self) -> int:
        return 0 if self._tasks is None else _counter(f"{self._tasks}/pids.events", "max")

    def peak_bytes(self) -> int:
        """The highest use of memory, file cache included; 0 where the kernel does not tell."""
        try:
            return int(_read(f"{self._memory}/{self._files.peak}"))
        except FileNotFoundError:
            return 0

    def remove(self) -> None:
        """Removes the group; the kernel may need a moment after the last process has gone."""
        for folder in self._folders():
            _remove(folder)

    def _folders(self) -> set[str]:
        return {self._memory} | ({self._tasks} if self._tasks is not None else set())


def create(memory_bytes: int, processes: int) -> tuple[Group | None, str]:
    """A group with the limits, or None and the reason why there is none. It is named after the calling process."""
    name = f"{PREFIX}{os.getpid()}"
    reasons = []
    for version, parent in _parents():
        _sweep(parent)
        try:
            memory = _limited_memory(f"{parent}/{name}", _VERSIONS[version], memory_bytes)
        except OSError as error:
            reasons.append(f"{parent}: {error.strerror}")
            continue
        return Group(version, memory, _limited_tasks(version, memory, name, processes)), ""
    return None, "; ".join(reasons) or "no memory control group is mounted"


def _limited_memory(folder: str, files: _Files, memory_bytes: int) -> str:
    os.mkdir(folder)
    try:
        _write(f"{folder}/{files.limit}", memory_bytes)
        if os.path.exists(f"{folder}/{files.swap_limit}"):
            _write(f"{folder}/{files.swap_limit}", memory_bytes if files.swap_has_memory else 0)
    except OSError:
        _remove(folder)
        raise
    return folder


def _limited_tasks(version: str, memory: str, name: str, processes: int) -> str | None:
    """The folder whose pids.max is set; None where there is none, and then only the watchdog counts."""
    folder = memory
    if version == "cgroup1":
        parent = _own_folder("pids")
        if parent is None:
            return None
        _sweep(parent)
        folder = f"{parent}/{name}"
    try:
        if folder != memory:
            os.mkdir(folder)
        _write(f"{folder}/pids.max", processes * TASKS_PER_PROCESS)
    except OSError:
        if folder != memory:
            _remove(folder)
        return None
    return folder


def _parents() -> list[tuple[str, str]]:
    """Where a group may be made. In version 2 a group with processes has no children: beside our own, then."""
    unified, memory = _own_folder(""), _own_folder("memory")
    found = [] if unified is None else [("cgroup2", unified)]
    if unified is not None and not os.path.ismount(unified):
        found.append(("cgroup2", os.path.dirname(unified)))
    return found if memory is None else [*found, ("cgroup1", memory)]


def _own_folder(controller: str) -> str | None:
    """The folder of the control group that we run in, in the hierarchy of `controller` ("" is version 2)."""
    own = None
    for line in _read("/proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if controller in controllers.split(","):
            own = path
    for line in _read("/proc/self/mountinfo").splitlines() if own is not None else ():
        left, _, right = line.partition(" - ")
        root, mountpoint = left.split()[3:5]
        kind, _, options = right.split()[:3]
        if kind == ("cgroup" if controller else "cgroup2") and (not controller or controller in options.split(",")):
            folder = os.path.normpath(os.path.join(mountpoint, os.path.relpath(own, root)))
            return folder if os.path.isdir(folder) else None
    return None


def _sweep(parent: str) -> None:
    """Removes groups whose owner was killed before it could."""
    for name in os.listdir(parent):
        pid = name.removeprefix(PREFIX)
        if name.startswith(PREFIX) and pid.isdigit() and not os.path.exists(f"/proc/{pid}"):
            with contextlib.suppress(OSError):  # processes in it, or someone else's group
                os.rmdir(f"{parent}/{name}")


def _remove(folder: str) -> None:
    for _ in range(50):
        try:
            os.rmdir(folder)
        except FileNotFoundError:
            return
        except OSError:
            time.sleep(0.01)
        else:
            return


def _read(path: str) -> str:
    with open(path) as file:
        return file.read()


def _write(path: str, value: int) -> None:
    """Only into a file that the kernel has put there."""
    fd = os.open(path, os.O_WRONLY)
    try:
        os.write(fd, str(value).encode())
    finally:
        os.close(fd)


def _counter(path: str, name: str) -> int:
    for line in _read(path).splitlines():
        key, _, value = line.partition(" ")
        if key == name:
            return int(value)
    return 0
