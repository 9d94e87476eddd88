"""Containers: what docker and apptainer are asked for, and what a program in an empty container meets."""

import os
import sys
from pathlib import Path

import pytest

from aira_jax.sandbox import base, containers, make, process
from aira_jax.sandbox.base import GIB, Job, Limits, Mount, Status, View
from aira_jax.sandbox.containers import IMAGE, Box, ContainerSandbox
from aira_jax.sandbox.view import Root

LIMITS = Limits(wall_s=10, memory_bytes=2 * GIB, processes=64)
BOX = Box(
    shown=(("/usr", "/usr"), ("/usr/lib", "/lib"), ("/empty", "/usr/share/runs")),
    kept=(("/scratch/work", "/scratch/work"),),
    data=(("/data/train", "/scratch/work/data/train"),),
    devices=("/dev/nvidia0",),
    limits=LIMITS,
)
BACKENDS = ("apptainer", "docker")


def test_docker_is_asked_for_an_empty_root_without_network_and_privileges():
    assert containers.docker(BOX, IMAGE) == [
        *("docker", "run", "--rm", "--interactive", "--pull=never", "--log-driver=none"),
        *("--network=none", "--cap-drop=ALL", "--security-opt=no-new-privileges"),
        *("--pids-limit=512", "--memory=2415919104", "--memory-swap=2415919104"),
        *("--read-only", "--tmpfs=/tmp", "--shm-size=2147483648", f"--user={os.getuid()}:{os.getgid()}"),
        "--device=/dev/nvidia0",
        *("--volume=/usr:/usr:ro", "--volume=/usr/lib:/lib:ro", "--volume=/empty:/usr/share/runs:ro"),
        *("--volume=/scratch/work:/scratch/work:rw", "--volume=/data/train:/scratch/work/data/train:ro"),
        "aira-jax-empty",
    ]


def test_apptainer_is_asked_for_an_empty_root_without_network_and_home():
    assert containers.apptainer(BOX, "/tmp/empty") == [
        *("apptainer", "exec", "--containall", "--cleanenv", "--no-home", "--net", "--network=none", "--nv"),
        *("--bind=/usr:/usr:ro", "--bind=/usr/lib:/lib:ro", "--bind=/empty:/usr/share/runs:ro"),
        *("--bind=/scratch/work:/scratch/work:rw", "--bind=/data/train:/scratch/work/data/train:ro"),
        *("--pwd=/", "/tmp/empty"),
    ]


def test_what_is_hidden_is_not_mounted_or_lies_under_an_empty_folder(tmp_path):
    for name in ("packages/own", "runs", "work"):
        (tmp_path / name).mkdir(parents=True)
    job = Job(("true",), tmp_path / "work", LIMITS, hidden=(tmp_path / "packages" / "own", tmp_path / "runs"))
    packages = str(tmp_path / "packages")
    box = Box.of(job, tmp_path / "work", Root((packages, "/proc/self"), (("/lib", "usr/lib"),)), tmp_path / "empty")
    assert box.shown == (
        (packages, packages),
        (os.path.realpath("/lib"), "/lib"),
        (str(tmp_path / "empty"), f"{packages}/own"),
    )


@pytest.mark.parametrize("sign", [":", ","])
def test_a_path_that_the_command_line_cannot_hold_is_refused(tmp_path, sign):
    work = tmp_path / f"a{sign}b"
    with pytest.raises(ValueError, match=r"cannot be mounted into a container"):
        Box.of(Job(("true",), work, LIMITS), work, Root((), ()), tmp_path)


@pytest.fixture
def program(tmp_path, monkeypatch):
    """Puts a program of that name first on the PATH; its text is a shell script."""

    def write(name: str, text: str) -> None:
        path = tmp_path / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
        monkeypatch.setenv("PATH", f"{path.parent}:{os.environ['PATH']}")

    return write


@pytest.fixture(params=[*BACKENDS, *(f"stand-in {name}" for name in BACKENDS)])
def contained(request, tmp_path, program, needs):
    """Runs Python source in a container: of the backend where it works here, and of a stand-in for it."""
    stand_in, _, backend = request.param.rpartition(" ")
    if stand_in:
        for what in ("pid_ns", "files", "net"):
            needs(what)
        fake = Path(__file__).with_name("fake_container.py")
        program(backend, f'exec {sys.executable} {fake} {backend} "$@"')
    try:
        sandbox = make(backend, require_isolation=True)
    except ValueError as error:
        if stand_in:
            raise
        pytest.skip(str(error))

    def start(source: str, *, limits: Limits = LIMITS, **job) -> base.Running:
        return sandbox.start(Job((sys.executable, "-S", "-c", source), tmp_path / "work", limits, **job))

    return start


def run(running: base.Running) -> base.Execution:
    running.go()
    return running.wait()


LOOK = """
import os, socket
print(open("data/rows.txt").read(), sorted(os.listdir("/")), os.path.exists(HIDDEN))
open("made.txt", "w").write("x")
for place in ("data/rows.txt", "/usr/x", "/x"):
    try:
        open(place, "w")
    except OSError as error:
        print(place, error.strerror)
try:
    socket.create_connection(("127.0.0.1", 9), 1)
except OSError as error:
    print("network", type(error).__name__)
"""


def test_a_contained_program_sees_its_data_and_nothing_of_the_machine(contained, tmp_path):
    (tmp_path / "rows").mkdir()
    (tmp_path / "rows" / "rows.txt").write_text("seven")
    hidden = tmp_path / "labels"
    hidden.mkdir()
    running = contained(
        f"HIDDEN = {str(hidden)!r}\n{LOOK}", mounts=(Mount(tmp_path / "rows", "data"),), hidden=(hidden,)
    )
    execution = run(running)
    assert execution.status is Status.OK, execution.output
    lines = execution.output.splitlines()
    assert lines[0].startswith("seven [")
    assert lines[0].endswith("] False")
    assert "'home'" not in lines[0]
    assert lines[1:4] == [f"{place} Read-only file system" for place in ("data/rows.txt", "/usr/x", "/x")]
    assert lines[4].startswith("network ")
    assert (tmp_path / "work" / "made.txt").read_text() == "x"
    isolation = running.isolation
    assert (isolation.pid_ns, isolation.net, isolation.files) == (True, True, True)
    assert execution.tampered == ()


def test_a_contained_program_ends_with_its_own_exit_code(contained):
    assert run(contained("import sys; sys.exit(3)")).exit_code == 3


def test_a_contained_program_that_passes_its_time_is_killed_with_its_output_kept(contained):
    execution = run(contained("import time; print('begun', flush=True); time.sleep(60)", limits=Limits(wall_s=0.5)))
    assert (execution.status, execution.killed_for, execution.output) == (Status.KILLED, "wall", "begun\n")


def test_a_container_that_is_called_off_never_starts_its_program(contained, tmp_path):
    running = contained("open('made.txt', 'w')")
    running.kill()
    assert running.wait().killed_for == "cancelled"
    assert not (tmp_path / "work" / "made.txt").exists()


def test_a_container_ends_with_the_harness(contained, eventually):
    running = contained("import time; time.sleep(60)")
    running.go()
    running._supervisor.stdin.close()  # what the end of this process does
    assert eventually(lambda: running._supervisor.poll() is not None)


def test_what_a_dead_harness_left_in_a_container_is_ended(contained, request):
    if "stand-in" in request.node.callspec.id:
        pytest.skip("the stand-in passes no signals on")
    running = contained("import time; time.sleep(60)")
    running.go()
    assert process.kill_leftover(running.pid, running.pid_starttime)
    assert running.wait().status is Status.LOST


def test_trusted_programs_run_beside_the_containers(tmp_path, program):
    program("docker", "echo called >&2; exit 1")
    job = Job(("true",), tmp_path / "work", LIMITS, view=View.MACHINE)
    assert run(ContainerSandbox(backend="docker").start(job)).status is Status.OK


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_backend_that_starts_no_container_is_refused_with_its_words(program, backend):
    program(backend, "echo no daemon here >&2; exit 1")
    with pytest.raises(ValueError, match=f"sandbox.backend={backend} starts no container: .*no daemon here"):
        make(backend)
