"""Runs what nobody trusts in a container of docker or apptainer: the same view of the disk, the same supervisor inside.

The container's own root is empty, so that no image is fetched or kept up to date: interpreter, packages and system
libraries of this machine are mounted as the process backend mounts them (`view.py`), read-only; then the work directory
and the data. Hidden folders are not mounted at all, or lie under an empty one. The supervisor in the container keeps
the limits, the output and the protocol, and the container ends with it.

Trusted programs (`View.MACHINE`) read labels, raw data and caches; they run as in the process backend.
"""

import dataclasses
import os
import subprocess
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

from aira_jax.sandbox import isolation, process, view
from aira_jax.sandbox.base import GIB, Job, Limits, View
from aira_jax.sandbox.process import ProcessRunning, ProcessSandbox
from aira_jax.sandbox.workdir import inside, prepare

IMAGE = "aira-jax-empty"
HEADROOM = GIB // 4  # above the job's memory: its supervisor lives in the container too
THREADS = 8  # of a process, at most: the container counts threads
WALLS = {  # what a container adds to what its supervisor finds
    "apptainer": {"pid_ns": True},
    "docker": {"pid_ns": True, "memory": "docker", "notes": []},
}
_OWN = ("/proc", "/sys", "/dev")  # of every container
_SKELETON = ("dev", "etc", "proc", "root", "run", "sys", "tmp", "var/tmp")


@dataclasses.dataclass(frozen=True)
class Box:
    """What is put into a container: `shown` and `kept` are (place here, place there), read-only and writable, in order.

    `devices` are accelerators, `limits` those of the job.
    """

    shown: tuple[tuple[str, str], ...]
    kept: tuple[tuple[str, str], ...]
    data: tuple[tuple[str, str], ...]
    devices: tuple[str, ...]
    limits: Limits

    @classmethod
    def of(cls, job: Job, workdir: Path, root: view.Root, empty: Path, devices: Iterable[str] = ()) -> "Box":
        """The box of a job. `empty` is a folder to lie over what is hidden. Raises ValueError for a `:` in a path."""
        binds = [path for path in root.binds if not path.startswith(_OWN)]
        links = [path for path, _ in root.links if not path.startswith((*_OWN, *(f"{bind}/" for bind in binds)))]
        hidden = [str(path.resolve()) for path in job.hidden if path.exists()]
        masks = [(str(empty) if os.path.isdir(path) else os.devnull, path) for path in sorted(hidden)]
        kept = [str(workdir), *(str(path.resolve()) for path in job.writable)]
        box = cls(
            shown=(
                *((path, path) for path in binds),
                *((os.path.realpath(path), path) for path in links),
                *(mask for mask in masks if any(Path(mask[1]).is_relative_to(bind) for bind in binds)),
            ),
            kept=tuple((path, path) for path in kept),
            data=tuple((str(m.source.resolve()), str(inside(workdir, m.target))) for m in job.mounts),
            devices=tuple(devices),
            limits=job.limits,
        )
        for path in (path for pair in (*box.shown, *box.kept, *box.data) for path in pair):
            if set(path) & set(":,"):
                raise ValueError(f"{path} cannot be mounted into a container: name a path without `:` and `,`")
        return box

    def volumes(self, flag: str) -> list[str]:
        """Mounts as words of a command line."""
        modes = (("ro", self.shown), ("rw", self.kept), ("ro", self.data))
        return [f"{flag}={here}:{there}:{mode}" for mode, pairs in modes for here, there in pairs]


def docker(box: Box, root: str) -> list[str]:
    """The command that runs what follows it in a docker container made from the image `root`."""
    limits = box.limits
    memory = limits.memory_bytes + HEADROOM
    return [
        *("docker", "run", "--rm", "--interactive", "--pull=never", "--log-driver=none"),
        *("--network=none", "--cap-drop=ALL", "--security-opt=no-new-privileges"),
        *(f"--pids-limit={THREADS * limits.processes}", f"--memory={memory}", f"--memory-swap={memory}"),
        *("--read-only", "--tmpfs=/tmp", f"--shm-size={limits.memory_bytes}", f"--user={os.getuid()}:{os.getgid()}"),
        *(f"--device={path}" for path in box.devices),
        *box.volumes("--volume"),
        root,
    ]


def apptainer(box: Box, root: str) -> list[str]:
    """The command that runs what follows it in an apptainer container whose root is the folder `root`."""
    return [
        *("apptainer", "exec", "--containall", "--cleanenv", "--no-home", "--net", "--network=none"),
        *(["--nv"] if box.devices else []),
        *box.volumes("--bind"),
        "--pwd=/",
        root,
    ]


COMMANDS: dict[str, Callable[[Box, str], list[str]]] = {"apptainer": apptainer, "docker": docker}


@dataclasses.dataclass(frozen=True)
class ContainerSandbox(ProcessSandbox):
    """Starts jobs in containers of `backend`, trusted ones beside them."""

    backend: str = "docker"

    def start(self, job: Job) -> ProcessRunning:
        if job.view is View.MACHINE:
            return super().start(job)
        process.check(job)
        workdir, empty = prepare(job), _empty_root()
        spec = process.specification(job, workdir)
        root = view.needed(job.argv, spec["env"], job.visible)
        devices = isolation.accelerators() if spec["env"].get("CUDA_VISIBLE_DEVICES", "all") else ()
        box = Box.of(job, workdir, root, empty / "tmp", devices)
        command = COMMANDS[self.backend](box, IMAGE if self.backend == "docker" else str(empty))
        command = [*command, *process.supervisor()]
        walls = WALLS[self.backend]
        return self._held(ProcessRunning(command, job, workdir, spec | {"contained": True}, os.environ, walls))

    def require_start(self) -> None:
        """Raises ValueError where no container starts here."""
        try:
            if self.backend == "docker":
                _import_empty()
            self.probe()
        except (OSError, subprocess.CalledProcessError) as error:
            told = (getattr(error, "stderr", b"") or str(error).encode()).decode(errors="replace").strip()
            raise ValueError(f"sandbox.backend={self.backend} starts no container: {told}\n    {_MEND}") from error


_MEND = "mend that, or set sandbox.backend=process"


def _empty_root() -> Path:
    """A folder of this user with nothing in it but the places that a container mounts over."""
    root = Path(tempfile.gettempdir()) / f"{IMAGE}-{os.getuid()}"
    root.mkdir(mode=0o700, exist_ok=True)
    if root.is_symlink() or root.stat().st_uid != os.getuid():
        raise ValueError(f"{root} belongs to somebody else: remove it, or set TMPDIR")
    for name in _SKELETON:
        (root / name).mkdir(parents=True, exist_ok=True)
    return root


def _import_empty() -> None:
    """The image without a file. Raises CalledProcessError where docker has no daemon."""
    nothing = bytes(10240)  # an empty archive
    subprocess.run(["docker", "import", "-", IMAGE], input=nothing, capture_output=True, check=True)
