"""Reading /proc: who descends from a process, what the tree uses, whether a process is still the one we knew.

The supervisor imports it: standard library only, and no slow part of it (dataclasses, pathlib, typing).
"""

import collections
import os
import signal
import time
from collections.abc import Callable

_TICK = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


Process = collections.namedtuple("Process", "pid parent group state starttime cpu_s rss_bytes")
Process.__doc__ = """One line of /proc/<pid>/stat.

`state` is a letter, `starttime` is in clock ticks since boot, `cpu_s` includes children that were waited for.
"""


def read(pid: int) -> Process | None:
    """None when there is no such process."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    times = sum(int(fields[i]) for i in (11, 12, 13, 14))
    return Process(
        pid=pid,
        parent=int(fields[1]),
        group=int(fields[2]),
        state=fields[0].decode(),
        starttime=int(fields[19]),
        cpu_s=times / _TICK,
        rss_bytes=int(fields[21]) * _PAGE,
    )


def descendants(root: int) -> list[Process]:
    """All living processes below `root` (zombies and `root` itself left out), parents before children."""
    by_parent: dict[int, list[Process]] = {}
    for name in os.listdir("/proc"):
        process = read(int(name)) if name.isdigit() else None
        if process is not None:
            by_parent.setdefault(process.parent, []).append(process)
    found = []
    waiting = [root]
    while waiting:
        children = by_parent.get(waiting.pop(), [])
        found += [c for c in children if c.state not in "ZX"]
        waiting += [c.pid for c in children]
    return found


def is_alive(pid: int, starttime: int) -> bool:
    """Whether process `pid` lives and is the one that started at `starttime` (pids are used again)."""
    process = read(pid)
    return process is not None and process.starttime == starttime and process.state not in "ZX"


def kill_descendants(root: int, deadline_s: float) -> list[Process]:
    """SIGKILL to everything below `root`, again until nothing is left; returns what outlived `deadline_s` seconds.

    Whole process groups first: the kernel kills a group at once, so that a fork bomb cannot outrun us.
    """
    end = time.monotonic() + deadline_s
    while left := descendants(root):
        for group in {process.group for process in left} - {os.getpgrp(), 0}:
            _kill(os.killpg, group)
        for process in left:
            _kill(os.kill, process.pid)
        if time.monotonic() > end:
            return left
        time.sleep(0.005)
    return []


def _kill(call: Callable[[int, int], None], target: int) -> None:
    try:
        call(target, signal.SIGKILL)
    except ProcessLookupError:
        return
