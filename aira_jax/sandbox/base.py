"""What it means to run a program under limits: the job, the running process, the outcome."""

import dataclasses
import enum
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

GIB = 2**30


class Status(enum.StrEnum):
    OK = "ok"
    FAIL = "fail"
    KILLED = "killed"
    LOST = "lost"


@dataclasses.dataclass(frozen=True)
class Limits:
    """Bounds of one execution. Seconds and bytes; `cpu_s` None means wall_s times the cores that the job may use."""

    wall_s: float
    cpu_s: float | None = None
    memory_bytes: int = 32 * GIB
    file_bytes: int = 2 * GIB
    disk_bytes: int = 10 * GIB
    processes: int = 512
    output_bytes: int = 2**20


class View(enum.Enum):
    """What a program sees of the machine's files, besides its work directory, its mounts and its devices.

    NEEDED: interpreter, packages and system libraries over an empty root. MACHINE: all but what is hidden, read-only;
    for programs that are trusted.
    """

    NEEDED = "needed"
    MACHINE = "machine"


@dataclasses.dataclass(frozen=True)
class Mount:
    """`source` appears at `target` (relative to the work directory), read-only."""

    source: Path
    target: str


@dataclasses.dataclass(frozen=True)
class Job:
    """One execution in a fresh work directory.

    `files` are written into `workdir` first. `env` is added to the allow-listed environment (names that look like
    secrets are dropped even from here). `view` says what it sees of the machine's files; `visible` ones are added to
    what it needs, `hidden` directories are made unreachable in any view (run log, labels); `writable` ones stay
    writable besides the work directory. `cpus` pins the program to these cores.
    """

    argv: tuple[str, ...]
    workdir: Path
    limits: Limits
    files: Mapping[str, str] = dataclasses.field(default_factory=dict)
    env: Mapping[str, str] = dataclasses.field(default_factory=dict)
    mounts: tuple[Mount, ...] = ()
    view: View = View.NEEDED
    visible: tuple[Path, ...] = ()
    hidden: tuple[Path, ...] = ()
    writable: tuple[Path, ...] = ()
    cpus: tuple[int, ...] | None = None


@dataclasses.dataclass(frozen=True)
class Isolation:
    """What this machine really enforced. `notes` says why something could not be (one sentence each).

    `files`: only the job's view to be seen, read-only but for the writable places, and no other process in /proc.
    """

    pid_ns: bool
    net: bool
    files: bool
    memory: str  # "cgroup2", "cgroup1", "rlimit+watchdog" or, by its daemon, "docker"
    notes: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Execution:
    """How it ended. `head` and `tail` are the kept output (first 256 KiB, last 768 KiB, whole lines).

    `cut_bytes` is what lies between them. `killed_for` is "wall", "cpu", "memory", "processes", "disk", "cancelled" or
    None. `peak_bytes` counts file cache too where a control group measures it. `tampered` lists read-only files that
    changed.
    """

    status: Status
    exit_code: int | None
    signal: int | None
    wall_s: float
    cpu_s: float
    peak_bytes: int
    head: str
    tail: str
    cut_bytes: int
    killed_for: str | None = None
    tampered: tuple[str, ...] = ()

    @property
    def output(self) -> str:
        if not self.cut_bytes:
            return self.head + self.tail
        return f"{self.head}\n[... {self.cut_bytes} bytes cut ...]\n{self.tail}"


class Running(Protocol):
    """A started program that waits for `go()`, so that its pid can be made durable before it has any effect."""

    pid: int
    pid_starttime: int
    isolation: Isolation

    def go(self) -> None: ...

    def wait(self) -> Execution: ...

    def kill(self) -> None: ...


class Sandbox(Protocol):
    backend: str

    def start(self, job: Job) -> Running: ...
