"""Limits of the process sandbox: each is passed on purpose, and the tree must be gone afterwards."""

import contextlib
import dataclasses
import os
import shutil
import signal
import sys
import time
from pathlib import Path

import pytest

from aira_jax.sandbox.base import Limits, Status

MIB = 2**20


def test_a_good_program_is_ok_and_its_output_complete(lab):
    execution = lab.run("import sys; print('one'); print('two', file=sys.stderr)")
    assert (execution.status, execution.exit_code, execution.signal) == (Status.OK, 0, None)
    assert execution.output == "one\ntwo\n"
    assert execution.killed_for is None
    assert execution.cut_bytes == 0


def test_exit_codes_and_signals_are_told_apart(lab):
    assert lab.run("raise SystemExit(7)").exit_code == 7
    execution = lab.run("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)")
    assert (execution.status, execution.exit_code, execution.signal) == (Status.FAIL, None, signal.SIGSEGV)


def test_a_program_that_does_not_exist_fails_with_its_name(lab):
    execution = lab.run("", python=("/no/such/program",))
    assert execution.exit_code == 127
    assert "/no/such/program" in execution.output


def asleep(marker: str) -> list[bytes]:
    """Command lines of the living processes that have become `sleep 100 <marker>`."""
    lines = []
    for name in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            lines.append(name.read_bytes())
    return [line for line in lines if line.decode().split("\0") == ["sleep", "100", marker, ""]]


def test_kill_tree_leaves_no_process_and_keeps_the_output(lab, marked, eventually):
    marker = f"{time.time_ns()}"
    source = f"""
        import os, signal, time
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # their children inherit that, also through exec
        print("before the kill")
        def become_sleeper():
            os.setsid()
            os.execv("{shutil.which("sleep")}", ["sleep", "100", "{marker}"])
        for _ in range(3):
            if os.fork() == 0:
                become_sleeper()
            if os.fork() == 0:
                os.setsid()
                if os.fork() == 0:
                    become_sleeper()
                os._exit(0)
        time.sleep(100)
    """
    running = lab.start(source, limits=Limits(wall_s=1.5))
    running.go()
    assert eventually(lambda: len(asleep(marker)) == 6)
    execution = running.wait()
    assert execution.wall_s < 1.5 + 6
    assert execution.killed_for == "wall"
    assert execution.status is Status.KILLED
    assert "before the kill" in execution.output
    assert marked(marker) == []


def test_sigterm_gives_five_seconds_to_end_well(lab):
    source = """
        import signal, sys, time
        signal.signal(signal.SIGTERM, lambda *_: (print("saved"), sys.exit(0)))
        time.sleep(100)
    """
    execution = lab.run(source, limits=Limits(wall_s=1))
    assert execution.killed_for == "wall"
    assert execution.status is Status.KILLED
    assert execution.wall_s < 1 + 4
    assert "saved" in execution.output


def test_a_child_left_behind_dies_with_the_program(lab, marked):
    marker = f"marker-{time.time_ns()}"
    source = f"""
        import subprocess, sys
        subprocess.Popen([sys.executable, "-I", "-S", "-c", "import time; time.sleep(100)", "{marker}"],
                         start_new_session=True)
    """
    execution = lab.run(source)
    assert execution.status is Status.OK
    assert marked(marker) == []


@pytest.fixture(params=["as it is", "no groups", "no groups, no namespaces"])
def machine(request, refuse):
    """This machine, and the same with less permitted."""
    refuse(*(["groups"] if "groups" in request.param else []), *(["namespaces"] if "names" in request.param else []))


def test_memory_bomb_is_killed_for_memory(lab, machine):
    limits = Limits(wall_s=20, memory_bytes=150 * MIB)
    execution = lab.run("x = []\nwhile True: x.append(bytearray(2**20))", limits=limits)
    assert execution.status is not Status.OK
    assert execution.killed_for == "memory" or "MemoryError" in execution.output
    assert execution.peak_bytes < 200 * MIB


def test_a_control_group_that_cannot_be_joined_is_replaced_and_reported(lab, refuse):
    refuse("joining groups")
    running = lab.start("x = bytearray(2**28)", limits=Limits(wall_s=20, memory_bytes=100 * MIB))
    running.go()
    assert "MemoryError" in running.wait().output
    assert running.isolation.memory == "rlimit+watchdog"
    assert any("RLIMIT_DATA" in note for note in running.isolation.notes)


def test_memory_counts_the_whole_tree(lab, machine):
    source = """
        import os, time
        for _ in range(4):
            if os.fork() == 0:
                x = b"x" * (60 * 2**20)
                time.sleep(50)
        time.sleep(50)
    """
    execution = lab.run(source, limits=Limits(wall_s=60, memory_bytes=150 * MIB))
    assert execution.killed_for == "memory"


def test_peak_memory_is_that_of_the_program(lab):
    execution = lab.run("x = b'x' * (80 * 2**20); import time; time.sleep(0.4)")
    assert 80 * MIB < execution.peak_bytes < 160 * MIB


def test_fork_bomb_is_bounded(lab, marked, machine):
    marker = f"marker-{time.time_ns()}"
    source = """
        import os, time
        for _ in range(400):
            try:
                os.fork()
            except OSError:
                time.sleep(0.01)
    """
    execution = lab.run(
        source, limits=Limits(wall_s=60, processes=20), python=(sys.executable, "-S", "-X", marker, "-c")
    )
    assert execution.killed_for == "processes"
    assert marked(marker) == []


def test_threads_are_not_processes(lab):
    source = """
        import threading, time
        threads = [threading.Thread(target=time.sleep, args=(0.5,)) for _ in range(30)]
        [t.start() for t in threads]; [t.join() for t in threads]
    """
    assert lab.run(source, limits=Limits(wall_s=60, processes=8)).status is Status.OK


def test_file_size_limit_is_an_error_of_the_program(lab):
    execution = lab.run("open('big', 'wb').write(b'x' * 2**21)", limits=Limits(wall_s=10, file_bytes=2**20))
    assert execution.status is Status.FAIL
    assert "File too large" in execution.output
    assert (lab.folder / "work-1" / "big").stat().st_size <= 2**20


def test_disk_limit_kills(lab):
    source = """
        import time
        for i in range(8):
            open(f"part{i}", "wb").write(b"x" * 2**20)
        time.sleep(50)
    """
    execution = lab.run(source, limits=Limits(wall_s=60, disk_bytes=4 * MIB))
    assert execution.killed_for == "disk"
    assert execution.wall_s < 40


def test_output_flood_keeps_whole_lines_of_both_ends(lab):
    source = "import sys\nfor i in range(200_000): sys.stdout.write(f'line {i:06d}\\n')"
    execution = lab.run(source, env={"PYTHONUNBUFFERED": ""})
    kept = len(execution.head) + len(execution.tail)
    assert kept <= MIB
    assert kept + execution.cut_bytes == 200_000 * len("line 000000\n")
    assert len(execution.head) > 255 * 1024
    assert execution.head.startswith("line 000000\n")
    assert execution.head.endswith("\n")
    assert execution.tail.startswith("line ")
    assert execution.tail.endswith("line 199999\n")
    assert f"[... {execution.cut_bytes} bytes cut ...]" in execution.output


def test_cpu_limit_of_one_process(lab):
    execution = lab.run("while True: pass", limits=Limits(wall_s=60, cpu_s=1))
    assert execution.killed_for == "cpu"
    assert 0.5 < execution.cpu_s < 8  # the kernel counts in ticks, and charges a whole one to whom it interrupts


def test_cpu_limit_counts_the_whole_tree(lab, machine):
    source = """
        import os
        for _ in range(3):
            os.fork()
        while True: pass
    """
    execution = lab.run(source, limits=Limits(wall_s=60, cpu_s=1))
    assert execution.killed_for == "cpu"
    assert execution.cpu_s < 8


def test_cpus_pins_the_program(lab):
    core = max(os.sched_getaffinity(0))
    execution = lab.run("import os; print(os.sched_getaffinity(0))", cpus=(core,))
    assert execution.output == f"{{{core}}}\n"


@pytest.mark.parametrize("name", ["wall_s", "cpu_s", "memory_bytes", "processes", "disk_bytes", "file_bytes"])
@pytest.mark.parametrize("value", [0, -1, float("nan")])
def test_a_limit_that_is_no_limit_is_refused(lab, name, value):
    with pytest.raises(ValueError, match=name):
        lab.start("pass", limits=dataclasses.replace(Limits(wall_s=1), **{name: value}))
