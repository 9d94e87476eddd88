"""Start, go, kill, and what happens when the harness or the supervisor dies."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from aira_jax.sandbox import make, process
from aira_jax.sandbox.base import Job, Limits, Mount, Status

SLEEPER = """
import subprocess, sys, time
print("up")
subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(99)", "{0}"], start_new_session=True)
time.sleep(99)
"""


def test_nothing_runs_before_go(lab):
    running = lab.start("open('ran', 'w')")
    time.sleep(0.2)
    assert not (lab.folder / "work-1" / "ran").exists()
    running.go()
    assert running.wait().status is Status.OK
    assert (lab.folder / "work-1" / "ran").exists()


def test_wait_without_go_is_refused(lab):
    running = lab.start("pass")
    with pytest.raises(RuntimeError, match="before go"):
        running.wait()
    running.kill()
    assert running.wait().killed_for == "cancelled"


def test_kill_before_go_runs_nothing(lab):
    running = lab.start("open('ran', 'w')")
    running.kill()
    execution = running.wait()
    assert (execution.status, execution.killed_for) == (Status.KILLED, "cancelled")
    assert not (lab.folder / "work-1" / "ran").exists()


def test_kill_while_running_keeps_the_output(lab, marked, eventually):
    marker = f"marker-{time.time_ns()}"
    running = lab.start(SLEEPER.format(marker))
    running.go()
    assert eventually(lambda: len(marked(marker)) >= 2)
    running.kill()
    execution = running.wait()
    assert (execution.status, execution.killed_for) == (Status.KILLED, "cancelled")
    assert execution.output == "up\n"
    assert marked(marker) == []
    assert running.wait() is execution


def test_stdin_is_empty(lab):
    assert lab.run("import sys; print(repr(sys.stdin.read()))").output == "''\n"


def test_files_are_written_first_and_home_is_the_work_directory(lab):
    source = "import os; print(open('deep/model.py').read(), os.environ['HOME'] == os.getcwd(), os.listdir())"
    execution = lab.run(source, files={"deep/model.py": "x = 1"})
    assert execution.output.startswith("x = 1 True")


def harness_program(folder: Path, marker: str) -> str:
    argv = (sys.executable, "-S", "-c", SLEEPER.format(marker))
    return f"""
from pathlib import Path
from aira_jax.sandbox import make
from aira_jax.sandbox.base import Job, Limits
running = make().start(Job(argv={argv!r}, workdir=Path({str(folder / "w")!r}), limits=Limits(wall_s=60)))
print(running.pid, running.pid_starttime, flush=True)
running.go()
running.wait()
"""


def start_harness(folder: Path, marker: str) -> tuple[subprocess.Popen, int, int]:
    root = Path(process.__file__).parents[2]
    harness = subprocess.Popen(
        [sys.executable, "-c", harness_program(folder, marker)], cwd=root, stdout=subprocess.PIPE, text=True
    )
    pid, starttime = harness.stdout.readline().split()
    return harness, int(pid), int(starttime)


def test_death_of_the_harness_kills_the_tree(tmp_path, marked, eventually):
    marker = f"marker-{time.time_ns()}"
    harness, pid, starttime = start_harness(tmp_path, marker)
    # the harness's own command line holds the marker too
    assert eventually(lambda: len(marked(marker)) >= 3)
    harness.kill()
    harness.wait()
    harness.stdout.close()
    assert eventually(lambda: not marked(marker))
    assert eventually(lambda: not process.proctree.is_alive(pid, starttime))


def test_kill_leftover_ends_a_supervisor_whose_harness_hangs(tmp_path, marked, eventually):
    marker = f"marker-{time.time_ns()}"
    harness, pid, starttime = start_harness(tmp_path, marker)
    assert eventually(lambda: len(marked(marker)) >= 3)
    harness.send_signal(signal.SIGSTOP)
    try:
        assert not process.kill_leftover(pid, starttime + 1)
        assert process.proctree.is_alive(pid, starttime)
        assert process.kill_leftover(pid, starttime)
        assert eventually(lambda: marked(marker) == [harness.pid])
        assert not process.kill_leftover(pid, starttime)
    finally:
        harness.kill()
        harness.wait()
        harness.stdout.close()


def test_death_of_the_supervisor_is_lost_and_kills_the_program(lab, marked, needs, eventually):
    needs("pid_ns")
    marker = f"marker-{time.time_ns()}"
    running = lab.start(SLEEPER.format(marker))
    running.go()
    assert eventually(lambda: marked(marker))
    os.kill(running.pid, signal.SIGKILL)
    execution = running.wait()
    assert execution.status is Status.LOST
    assert eventually(lambda: not marked(marker))


def test_no_control_group_is_left_behind_even_by_a_killed_supervisor(lab):
    running = lab.start("pass")
    os.kill(running.pid, signal.SIGKILL)
    running.kill()
    running.wait()
    lab.run("pass")
    groups = [name for _, folders, _ in os.walk("/sys/fs/cgroup") for name in folders if name.startswith("aira-")]
    assert [name for name in groups if not Path("/proc", name.removeprefix("aira-")).exists()] == []


@pytest.mark.parametrize(
    "change, message",
    [
        ({"argv": ()}, "argv is empty"),
        ({"files": {"../x": ""}}, "must be relative"),
        ({"files": {"/x": ""}}, "must be relative"),
        ({"cpus": (4096,)}, "may use only"),
        ({"mounts": (Mount(Path("/no/such/data"), "data"),)}, "does not exist"),
        ({"mounts": (Mount(Path("/usr"), "data"), Mount(Path("/etc"), "data/etc"))}, "disjoint"),
        ({"mounts": (Mount(Path("/usr"), "data"),), "files": {"data/x": ""}}, "disjoint"),
        ({"mounts": (Mount(Path("/usr"), "../data"),)}, "must be relative"),
    ],
)
def test_a_job_that_cannot_run_is_refused_before_it_starts(tmp_path, change, message):
    job = {"argv": ("true",), "workdir": tmp_path / "w", "limits": Limits(wall_s=1)} | change
    with pytest.raises(ValueError, match=message):
        make().start(Job(**job))


def test_a_used_work_directory_is_refused(tmp_path):
    (tmp_path / "submission.csv").write_text("stale")
    with pytest.raises(ValueError, match="not empty"):
        make().start(Job(argv=("true",), workdir=tmp_path, limits=Limits(wall_s=1)))


def test_links_pipes_and_closed_folders_are_gone_before_anyone_reads_the_results(lab, tmp_path):
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "y").write_text("1")
    source = f"""
        import os
        os.makedirs("out/closed")
        for name in ("predictions", "out/predictions", "out/closed/predictions", ".tmp/x"):
            os.symlink({str(tmp_path / "labels")!r}, name)
        os.mkfifo("out/pipe")
        open("out/result", "w").write("kept")
        os.chmod("out/result", 0o4755)
        open("out/shut", "w").close()
        os.chmod("out/shut", 0)
        os.chmod("out/closed", 0)
        os.chmod("out", 0o500)
    """
    assert lab.run(source).status is Status.OK
    work = tmp_path / "work-1"
    assert sorted(str(p.relative_to(work)) for p in work.rglob("*")) == [
        *("out", "out/closed", "out/result", "out/shut")
    ]
    assert (work / "out" / "result").stat().st_mode & 0o7000 == 0
    assert (work / "out" / "shut").stat().st_mode & 0o400
    assert (tmp_path / "labels" / "y").read_text() == "1"


def test_a_single_file_can_be_mounted(lab, tmp_path):
    (tmp_path / "one.txt").write_text("content")
    mounts = (Mount(tmp_path / "one.txt", "data/other.txt"),)
    assert lab.run("print(open('data/other.txt').read())", mounts=mounts).output == "content\n"


def test_data_in_a_writable_place_are_refused(tmp_path):
    (tmp_path / "cache" / "data").mkdir(parents=True)
    with pytest.raises(ValueError, match="may write"):
        make().start(
            Job(
                argv=("true",),
                workdir=tmp_path / "w",
                limits=Limits(wall_s=1),
                mounts=(Mount(tmp_path / "cache" / "data", "data"),),
                writable=(tmp_path / "cache",),
            )
        )


@pytest.mark.parametrize("backend", ["apptainer", "docker", "podman", ""])
def test_other_backends_are_refused_with_the_way_out(backend, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(ValueError, match=r"sandbox.backend=process|valid: process") as error:
        make(backend)
    if backend in ("apptainer", "docker"):
        assert str(error.value) == f"{backend} not found; install it or set sandbox.backend=process"
