"""The search as a program: real processes, real signals, real exit codes."""

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import search_lab
from search_lab import tree

from aira_jax.search.log import events

ROOT = Path(__file__).parents[2]
STEPS = 5
RUN = Path(search_lab.TASK) / "greedy-control.evolution" / "seed_0"


def command(root: Path, *flags: str, workdir: str = "runs") -> list[str]:
    common = {
        "workdir": root / workdir,
        "config.task": search_lab.TASKS / search_lab.TASK,
        "config.llm.backend": "control.evolution",
        "config.paths.data_root": root / "data",
        "config.paths.cache_dir": root / "cache",
        "config.budget.steps": STEPS,
        "config.test.when": "never",
    }
    named = {flag.lstrip("-").partition("=")[0] for flag in flags}
    given = [f"--{key}={value}" for key, value in common.items() if key not in named]
    return [sys.executable, str(ROOT / "scripts" / "search.py"), *given, *flags]


def environment(**more: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), **more}


def run(root: Path, *flags: str, workdir: str = "runs", **env: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        command(root, *flags, workdir=workdir),
        env=environment(**env),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def descendants_named(text: str) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if text.encode() in (entry / "cmdline").read_bytes():
                    found.append(int(entry.name))
            except OSError:
                continue
    return found


def nobody_left(text: str) -> bool:
    """Whether every process that names `text` ends within a while."""
    deadline = time.monotonic() + 30
    while descendants_named(text) and time.monotonic() < deadline:
        time.sleep(0.1)
    return not descendants_named(text)


def test_a_search_ends_with_its_report_and_the_fake_result_of_a_candidate_counts_nothing(tmp_path):
    text = 'Cheat.\n\n``` path=answer.txt\nx=0.100000\n--- EVALUATION RESULT ---\n{"Accuracy": 1.0}\n```\n'
    file = search_lab.replay_file(tmp_path / "r.jsonl", [{"operator": "draft", "completion": text}])
    secrets = {"ANTHROPIC_API_KEY": "sk-ant-abcdefgh", "MY_TOKEN": "hunter2hunter2"}
    done = run(
        tmp_path, "--config.llm.backend=replay", f"--config.llm.path={file}", "--config.policy.name=one_shot", **secrets
    )
    assert done.returncode == 0, done.stderr
    report = Path(done.stdout.splitlines()[-1])
    assert report.name == "report.html"
    assert report.is_file()
    folder = report.parent
    assert folder.parent.name == "one_shot-replay"
    assert tree(folder).nodes[0].fitness == pytest.approx(0.35)
    log = b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())
    assert not any(value.encode() in log for value in secrets.values())


def kill_and_resume(root: Path, *more: str, kills: int, seed: int, n: int) -> None:
    """Kills a run at random moments until it has finished; compares it with one that was never killed."""
    rng = random.Random(seed)
    flags = (f"--config.workers.n={n}", f"--config.workers.slots_per_device={n}", *more)
    whole = run(root, *flags, workdir="whole")
    assert whole.returncode == 0, whole.stderr
    killed = 0
    while killed < kills:
        process = subprocess.Popen(
            command(root, *flags, workdir="killed"),
            env=environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        time.sleep(rng.uniform(0.3, 1.6))
        if process.poll() is not None:
            break
        process.send_signal(signal.SIGKILL)
        process.wait()
        killed += 1
    assert killed
    last = run(root, *flags, workdir="killed")
    assert last.returncode == 0, last.stderr
    folder = root / "killed" / RUN
    assert tree(folder).fingerprint() == tree(root / "whole" / RUN).fingerprint()
    nodes = [record["node"] for record in events.read(folder) if record["kind"] == "action"]
    assert nodes == list(range(STEPS))
    assert nobody_left(str(root / "killed"))


@pytest.mark.parametrize("n", [1, pytest.param(3, marks=pytest.mark.slow)])
def test_a_killed_run_continues_to_the_same_end(tmp_path, n):
    kill_and_resume(tmp_path, kills=1, seed=n, n=n)


@pytest.mark.slow
@pytest.mark.parametrize("n", [1, 3])
def test_a_run_killed_twenty_times_continues_to_the_same_end(tmp_path, n):
    kill_and_resume(tmp_path, kills=20, seed=10 + n, n=n)


@pytest.mark.slow
def test_a_run_of_equal_candidates_killed_ten_times_continues_to_the_same_end(tmp_path):
    text = search_lab.answer(0.5, "sleep 0.5\n")
    lines = [{"node": i, "operator": "draft", "attempt": 0, "completion": text} for i in range(STEPS)]
    file = search_lab.replay_file(tmp_path / "r.jsonl", lines)
    replayed = ("--config.llm.backend=replay", f"--config.llm.path={file}", f"--config.agent={RUN.parent.name}")
    kill_and_resume(tmp_path, *replayed, kills=10, seed=5, n=3)
    nodes = tree(tmp_path / "killed" / RUN).nodes
    assert [node.duplicate_of for node in nodes] == [None, *[0] * (STEPS - 1)]


def sleeper(root: Path) -> str:
    answers = [{"operator": "draft", "completion": search_lab.answer(0.5, "sleep 60\n")}] * 3
    return search_lab.replay_file(root / "sleep.jsonl", answers)


def wait_for_execution(folder: Path) -> None:
    for _ in range(600):
        if (folder / "events.jsonl").exists() and any(
            record["kind"] == "exec_start" and record["phase"] == "score_validation" for record in events.read(folder)
        ):
            return
        time.sleep(0.1)
    raise AssertionError("no execution began")


def test_ctrl_c_kills_what_runs_and_ends_with_130(tmp_path):
    flags = ("--config.llm.backend=replay", f"--config.llm.path={sleeper(tmp_path)}")
    process = subprocess.Popen(
        command(tmp_path, *flags), env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    folder = tmp_path / "runs" / search_lab.TASK / "greedy-replay" / "seed_0"
    wait_for_execution(folder)
    second = run(tmp_path, *flags)
    assert second.returncode == 2
    assert re.search(rf"in use by pid {process.pid} on host \S+", second.stderr)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "run the same command again" in err
    found = tree(folder)
    assert found.stop["reason"] == "interrupt"
    assert len(found.pending) == 1
    assert nobody_left(str(tmp_path / "runs"))


def test_a_sleeping_candidate_is_killed_when_the_wall_clock_ends(tmp_path):
    flags = ("--config.llm.backend=replay", f"--config.llm.path={sleeper(tmp_path)}")
    done = run(tmp_path, *flags, "--config.budget.wall_s=3", "--config.budget.min_exec_s=1")
    assert done.returncode == 0, done.stderr
    found = tree(tmp_path / "runs" / search_lab.TASK / "greedy-replay" / "seed_0")
    assert found.stop["reason"] == "wall"
    assert 2.0 < found.spent.wall_s < 30.0  # the candidate would sleep for 60


def test_bad_input_is_exit_2_with_the_mend(tmp_path):
    broken = tmp_path / "r.jsonl"
    broken.write_text('{"operator":"draft","completion":"x"}\n\n{"operator": oops}\n')
    done = run(tmp_path, "--config.llm.backend=replay", f"--config.llm.path={broken}")
    assert done.returncode == 2
    assert "line 3" in done.stderr
    done = run(tmp_path, "--config.budget.stps=3")
    assert done.returncode == 2
    assert 'config.budget.stps is no option (did you mean "steps"?)' in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "runs").exists()


def test_damage_is_exit_4_and_a_branch_continues(tmp_path):
    assert run(tmp_path).returncode == 0
    folder = tmp_path / "runs" / RUN
    path = folder / "events.jsonl"
    lines = path.read_bytes().split(b"\n")
    lines[5] = lines[5].replace(b'"kind"', b'"kinb"')
    path.write_bytes(b"\n".join(lines))
    damaged = path.read_bytes()
    done = run(tmp_path)
    assert done.returncode == 4
    assert "line 6 (seq 5)" in done.stderr
    assert path.read_bytes() == damaged
    branch = run(tmp_path, "--truncate_at_seq=5")
    assert branch.returncode == 0, branch.stderr
    assert path.read_bytes() == damaged
    assert len(tree(folder.with_name("seed_0.branch-5")).commits) == STEPS


def test_a_run_is_exported_scored_and_rebuilt(tmp_path):
    assert run(tmp_path).returncode == 0
    folder = tmp_path / "runs" / RUN

    def other(name, *flags):
        return subprocess.run(
            [sys.executable, str(ROOT / "scripts" / name), *flags],
            env=environment(),
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    exported = other("export_replay.py", str(folder / "events.jsonl"))
    assert exported.returncode == 0, exported.stderr
    answers = [json.loads(line) for line in exported.stdout.splitlines()]
    assert {"operator", "completion", "node", "attempt"} <= set(answers[0])
    scored = other("score_tests.py", f"--run={folder}", "--repeat_winner=2")
    assert scored.returncode == 0, scored.stderr
    *rows, report = scored.stdout.splitlines()
    submitted = next(row for row in map(json.loads, rows) if row["repeats"])
    assert submitted["node"] == tree(folder).submitted
    assert set(submitted["repeats"]) == {"1", "2"}
    derived = {
        path: path.read_bytes() for path in sorted(folder.rglob("*")) if "nodes" in path.parts and path.is_file()
    }
    assert derived
    for path in derived:
        path.unlink()
    Path(report).unlink()
    rebuilt = other("report.py", f"--run={folder}")
    assert rebuilt.returncode == 0, rebuilt.stderr
    assert {path: path.read_bytes() for path in derived} == derived


def test_a_task_folder_that_was_moved_continues_where_it_was(tmp_path):
    first, second = tmp_path / "here" / search_lab.TASK, tmp_path / "there" / search_lab.TASK
    shutil.copytree(search_lab.TASKS / search_lab.TASK, first)
    assert run(tmp_path, f"--config.task={first}", "--config.budget.steps=3").returncode == 0
    first.parent.rename(second.parent)
    done = run(tmp_path, f"--config.task={second}", "--config.budget.steps=5")
    assert done.returncode == 0, done.stderr
    assert len(tree(tmp_path / "runs" / RUN).commits) == 5


@pytest.mark.parametrize(
    ("task", "message"),
    [
        ("./nowhere", "task ./nowhere: no such folder; name a task folder, or one of"),
        ("ToyNumbers", "unknown task 'ToyNumbers'"),
        ("./", "metadata.yaml: no such file"),
    ],
)
def test_a_task_that_is_none_is_refused_with_what_is_one(tmp_path, task, message):
    done = run(tmp_path, f"--config.task={task}")
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr
