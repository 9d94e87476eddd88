"""The process between harness and program: starts it isolated, watches its limits, kills the tree, keeps the output.

Protocol. stdin: one JSON line (the specification), then b"g" (start) or b"k" (kill); end of file means that the harness
is gone and everything dies. stdout: one JSON line when the program is ready to start, one when it has ended.
One thread only: PR_SET_PDEATHSIG follows the thread that forked. Standard library only.
"""

import contextlib
import errno
import fcntl
import json
import os
import resource
import select
import signal
import sys
import time

from aira_jax.sandbox import cgroups, init, linux, proctree
from aira_jax.sandbox.capture import Capture

GRACE_S = 5.0
WATCH_S = 0.25
DISK_WATCH_S = 1.0
WATCH_SHARE = 0.02  # of one core, at most, goes into watching
CHUNK = 1 << 16


class Harness:
    """The other end of stdin and stdout."""

    def specification(self) -> dict:
        line = b""
        while not line.endswith(b"\n"):  # no order follows before our first answer
            data = os.read(0, CHUNK)
            if not data:
                sys.exit(1)
            line += data
        return json.loads(line)

    def order(self) -> bytes:
        """b"g", b"k", or b"" when the harness has gone."""
        return os.read(0, 1)

    def send(self, message: dict) -> None:
        data = json.dumps(message).encode() + b"\n"
        with contextlib.suppress(BrokenPipeError):
            while data:
                data = data[os.write(1, data) :]


class Tree:
    """The confined process and all that comes from it."""

    def __init__(self, spec: dict):
        self.pid_ns = False
        self.notes: list[str] = []
        self.output, self._program_output = os.pipe()
        self._lines = b""
        alone = () if spec["contained"] else (linux.CLONE_NEWPID, linux.CLONE_NEWPID | linux.CLONE_NEWUSER)
        for flags in (*alone, 0):
            if self._start(spec, flags):
                self.pid_ns = bool(flags)
                break
        os.close(self._program_output)
        fcntl.fcntl(self.output, fcntl.F_SETFL, os.O_NONBLOCK)

    def _start(self, spec: dict, flags: int) -> bool:
        """A short-lived child enters the namespaces, forks the first process and leaves it to us."""
        orders, self._orders = os.pipe()
        self.report, report = os.pipe()
        launcher = os.fork()
        if launcher == 0:
            null = os.open(os.devnull, os.O_RDWR)
            for fd in (0, 1):
                os.dup2(null, fd)
            for fd in (null, self._orders, self.report, self.output):
                os.close(fd)
            _launch(spec, flags, orders, report, self._program_output)
        os.close(orders)
        os.close(report)
        answer = self.line() or {"failed": "the launcher died"}
        os.waitpid(launcher, 0)
        if "pid" in answer:
            self.pid = answer["pid"]
            return True
        os.close(self._orders)
        os.close(self.report)
        self.notes.append(answer["failed"])
        return False

    def line(self) -> dict | None:
        """The next message of the first process; None when it has gone."""
        while b"\n" not in self._lines:
            data = os.read(self.report, CHUNK)
            if not data:
                return None
            self._lines += data
        line, _, self._lines = self._lines.partition(b"\n")
        return json.loads(line)

    def proceed(self, order: bytes = init.GO) -> None:
        with contextlib.suppress(BrokenPipeError):
            os.write(self._orders, order)

    def terminate(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGTERM)

    def kill(self) -> None:
        """Returns when nothing of the tree is left."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        survivors = proctree.kill_descendants(os.getpid(), deadline_s=30)
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG if survivors else 0)[0]:
                pass


def _launch(spec: dict, flags: int, orders: int, report: int, output: int) -> None:
    try:
        if flags:
            _enter(flags)
    except OSError as error:
        kind = "with" if flags & linux.CLONE_NEWUSER else "without"
        os.write(report, json.dumps({"failed": f"no PID namespace {kind} a user namespace: {error}"}).encode() + b"\n")
        os._exit(1)
    pid = os.fork()
    if pid == 0:
        init.run(spec, pid_ns=bool(flags), orders=orders, report=report, output=output)
    os.write(report, json.dumps({"pid": pid}).encode() + b"\n")
    os._exit(0)


def _enter(flags: int) -> None:
    uid, gid = os.getuid(), os.getgid()
    linux.unshare(flags, "pid")
    if flags & linux.CLONE_NEWUSER:
        for name, text in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1")):
            with open(f"/proc/self/{name}", "w") as file:
                file.write(text)


class Memory:
    """The control group, if the machine grants one; else `kind` says what replaces it and `notes` why."""

    def __init__(self, spec: dict):
        self.group, reason = cgroups.create(spec["memory_bytes"], spec["processes"])
        self.notes = [] if self.group is not None else [self._note(reason)]

    @property
    def kind(self) -> str:
        return "rlimit+watchdog" if self.group is None else self.group.version

    def take(self, pid: int) -> None:
        """Puts the process into the group. Where that is refused (delegation may allow less than it seems), none."""
        if self.group is None:
            return
        try:
            self.group.add(pid)
        except OSError as error:
            self.remove()
            self.group = None
            self.notes = [self._note(str(error))]

    def remove(self) -> None:
        if self.group is not None:
            self.group.remove()

    @staticmethod
    def _note(reason: str) -> str:
        return f"memory limited by RLIMIT_DATA and a watchdog, no control group: {reason}"


class Watch:
    """Counts what the tree uses and says which limit it has passed."""

    def __init__(self, spec: dict, tree: Tree, group: cgroups.Group | None):
        self._spec = spec
        self._tree = tree
        self._group = group
        self._next = self._next_disk = 0.0
        self.cpu_s = 0.0
        self.peak_bytes = 0

    def exceeded(self, now: float) -> str | None:
        if now >= self._next_disk:
            self._next_disk = now + DISK_WATCH_S
            used = _disk_bytes(self._spec["workdir"])
            self._next_disk += (time.monotonic() - now) / WATCH_SHARE
            if used > self._spec["disk_bytes"]:
                return "disk"
        if now >= self._next:
            self._next = now + WATCH_S
            reason = self._processes()
            self._next += (time.monotonic() - now) / WATCH_SHARE
            return reason
        return None

    def _processes(self) -> str | None:
        processes = proctree.descendants(os.getpid())
        self.cpu_s = max(self.cpu_s, sum(p.cpu_s for p in processes))
        processes = [p for p in processes if p.pid != self._tree.pid]
        rss_bytes = sum(p.rss_bytes for p in processes)
        self.peak_bytes = max(self.peak_bytes, rss_bytes)
        if self.out_of_memory() or (self._group is None and rss_bytes > self._spec["memory_bytes"]):
            return "memory"
        if len(processes) > self._spec["processes"] or (self._group is not None and self._group.refused_forks()):
            return "processes"
        return "cpu" if self.cpu_s > self._spec["cpu_s"] else None

    def out_of_memory(self) -> bool:
        return self._group is not None and self._group.oom_kills() > 0


def _disk_bytes(folder: str) -> int:
    """What the files below `folder` occupy. Files that vanish meanwhile count nothing.

    Folders so deep that their path is too long to be named could hold anything, and count as more than any limit.
    """
    total = 0
    waiting = [folder]
    while waiting:
        try:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    with contextlib.suppress(FileNotFoundError):
                        total += entry.stat(follow_symlinks=False).st_blocks * 512
                        if entry.is_dir(follow_symlinks=False):
                            waiting.append(entry.path)
        except (FileNotFoundError, PermissionError):
            continue
        except OSError as error:
            if error.errno != errno.ENAMETOOLONG:
                raise
            return sys.maxsize
    return total


def supervise(harness: Harness, tree: Tree, watch: Watch, wall_s: float, capture: Capture) -> tuple[str | None, dict]:
    """From the start of the program to its end: (why it was killed, the last message of the first process)."""
    killed_for = None
    start = time.monotonic()
    deadline = start + wall_s
    poll = select.poll()
    for fd in (0, tree.report, tree.output):
        poll.register(fd, select.POLLIN)
    while True:
        now = time.monotonic()
        ready = {fd for fd, _ in poll.poll(max(1.0, min(deadline - now, WATCH_S) * 1000))}
        if tree.output in ready and not _drain(tree.output, capture, once=True):
            poll.unregister(tree.output)
        if 0 in ready and harness.order() in (b"k", b""):
            return killed_for or "cancelled", {}
        if tree.report in ready:
            return killed_for, tree.line() or {}
        now = time.monotonic()
        if now >= deadline:
            if killed_for is not None:
                return killed_for, {}
            killed_for, deadline = "wall", now + GRACE_S
            tree.terminate()
        reason = watch.exceeded(now)
        if reason == "cpu" and killed_for is None:
            killed_for, deadline = reason, now + GRACE_S
            tree.terminate()
        elif reason not in (None, "cpu"):
            return killed_for or reason, {}


def _drain(fd: int, capture: Capture, *, once: bool) -> bool:
    """Takes what is there; False at the end of file."""
    while True:
        try:
            data = os.read(fd, CHUNK)
        except BlockingIOError:
            return True
        if not data:
            return False
        capture.feed(data)
        if once:
            return True


def run(harness: Harness, spec: dict, tree: Tree, memory: Memory) -> None:
    """Answers "ready", waits for the order to start, supervises, answers with the outcome."""
    memory.take(tree.pid)
    tree.proceed(init.GO if memory.group is not None else init.LIMIT_DATA)
    state = tree.line() or {"failed": "the first process died"}
    if "failed" in state:
        harness.send(state)
        return
    notes = [*([] if tree.pid_ns else tree.notes), *memory.notes, *state["notes"]]
    harness.send(state | {"pid_ns": tree.pid_ns, "memory": memory.kind, "notes": notes})
    if harness.order() != b"g":
        return
    group = memory.group
    capture = Capture(spec["output_bytes"])
    watch = Watch(spec, tree, group)
    start = time.monotonic()
    tree.proceed()
    killed_for, message = supervise(harness, tree, watch, spec["wall_s"], capture)
    wall_s = time.monotonic() - start
    tree.kill()
    _drain(tree.output, capture, once=False)
    harness.send(_outcome(killed_for, message.get("status"), wall_s, watch, group) | capture.kept()._asdict())


def _outcome(killed_for: str | None, status: int | None, wall_s: float, watch: Watch, group) -> dict:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    signal_ = os.WTERMSIG(status) if status is not None and os.WIFSIGNALED(status) else None
    if killed_for is None and watch.out_of_memory():
        killed_for = "memory"
    if killed_for is None and signal_ == signal.SIGXCPU:
        killed_for = "cpu"
    peak = group.peak_bytes() if group is not None else 0
    return {
        "killed_for": killed_for,
        "exit_code": os.WEXITSTATUS(status) if status is not None and os.WIFEXITED(status) else None,
        "signal": signal_ if status is not None else int(signal.SIGKILL),
        "wall_s": wall_s,
        "cpu_s": max(watch.cpu_s, used.ru_utime + used.ru_stime),
        "peak_bytes": peak or max(watch.peak_bytes, used.ru_maxrss * 1024),
    }


def main() -> None:
    if os.getsid(0) != os.getpid():  # as the first process of a container it leads a session already
        os.setsid()
    linux.prctl(linux.PR_SET_CHILD_SUBREAPER, 1)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    harness = Harness()
    spec = harness.specification()
    memory = Memory(spec)
    try:
        tree = Tree(spec)
        try:
            run(harness, spec, tree, memory)
        finally:
            tree.kill()
    finally:
        memory.remove()
