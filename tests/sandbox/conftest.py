"""Runs small programs in the sandbox and says what this machine lets it enforce."""

import sys
import textwrap
import time
from pathlib import Path

import pytest

from aira_jax.sandbox import make, proctree
from aira_jax.sandbox.base import Execution, Isolation, Job, Limits, Running

# pip-installed modules are not needed by most programs here: a bare interpreter starts in 10 ms.
PYTHON = (sys.executable, "-S", "-c")
LIMITS = Limits(wall_s=20)


class Lab:
    """Starts Python source as a job, each in a work directory of its own."""

    def __init__(self, folder: Path):
        self.folder = folder
        self._count = 0

    def start(self, source: str, *, limits: Limits = LIMITS, python=PYTHON, **job) -> Running:
        self._count += 1
        return make().start(
            Job(
                argv=(*python, textwrap.dedent(source)),
                workdir=self.folder / f"work-{self._count}",
                limits=limits,
                **job,
            )
        )

    def run(self, source: str, **job) -> Execution:
        running = self.start(source, **job)
        running.go()
        return running.wait()


@pytest.fixture
def lab(tmp_path) -> Lab:
    return Lab(tmp_path)


@pytest.fixture(scope="session")
def isolation(tmp_path_factory) -> Isolation:
    running = Lab(tmp_path_factory.mktemp("probe")).start("pass")
    running.kill()
    running.wait()
    return running.isolation


@pytest.fixture
def needs(isolation):
    """`needs("net")` skips the test, with the machine's reason, where that is not isolated."""

    def check(what: str) -> None:
        if not getattr(isolation, what):
            pytest.skip(f"this machine does not permit isolation.{what}: {'; '.join(isolation.notes)}")

    return check


REFUSALS = {
    # as in a container without privileges
    "namespaces": """
def refuse(flags, name):
    raise OSError(1, "refused")
linux.unshare = refuse
""",
    "groups": """
cgroups.create = lambda *limits: (None, "refused")
""",
    # as where the old root is the kernel's first one
    "turning the root": """
def refuse(folder, old):
    raise OSError(22, "refused")
linux.turn_root = refuse
""",
    # as below a control group that lets us make folders, but not move processes
    "joining groups": """
def refuse(self, pid):
    raise OSError(13, "refused")
cgroups.Group.add = refuse
""",
}


@pytest.fixture
def refuse(monkeypatch):
    """`refuse("namespaces", "groups")` makes supervisors meet a machine that does not grant them."""

    def change(*what: str) -> None:
        root = Path(proctree.__file__).parents[2]
        head = f"import sys; sys.path.append({str(root)!r}); from aira_jax.sandbox import cgroups, linux, supervisor"
        source = "\n".join([head, *(REFUSALS[name] for name in what), "supervisor.main()"])
        monkeypatch.setattr("aira_jax.sandbox.process._SUPERVISOR", source)

    return change


def alive_with_marker(marker: str) -> list[int]:
    """Living processes that have `marker` in their command line."""
    found = []
    for name in Path("/proc").iterdir():
        if name.name.isdigit():
            process = proctree.read(int(name.name))
            try:
                line = (name / "cmdline").read_bytes()
            except (FileNotFoundError, ProcessLookupError):
                continue
            if process is not None and process.state not in "ZX" and marker.encode() in line:
                found.append(int(name.name))
    return found


@pytest.fixture
def marked():
    return alive_with_marker


@pytest.fixture
def eventually():
    """Waits until a condition holds; False after `patience_s`."""

    def wait(condition, patience_s: float = 5.0) -> bool:
        end = time.monotonic() + patience_s
        while not condition():
            if time.monotonic() > end:
                return False
            time.sleep(0.02)
        return True

    return wait
