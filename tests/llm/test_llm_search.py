"""A whole search with a language model behind a real HTTP server: draft, failure, repair, improvement."""

import json
import os
import subprocess
import sys
from pathlib import Path

import fake_server as fake
import pytest

ROOT = Path(__file__).parents[2]
TOY_TASK = ROOT / "tests" / "search" / "toy_tasks" / "ToyNumbersAccuracy"
KEY = "sk-ant-never-on-disk-4711"
DRAFT = "Try a small number. It fails.\n\n```path=answer.txt\nx=0.200000\nboom\n```\n"
UNREADABLE = "I would rather talk about it."
REPAIR = (
    "Remove the line that fails.\n\n<<<<<<< SEARCH answer.txt\nx=0.200000\nboom\n=======\nx=0.200000\n>>>>>>> REPLACE\n"
)
IMPROVEMENT = "Go nearer to three quarters.\n\n```path=answer.txt\nx=0.700000\n```\n"


def search(workdir, url, key, *flags, task=TOY_TASK, timeout=240):
    env = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
    env |= {"ANTHROPIC_BASE_URL": url, "PYTHONPATH": str(ROOT)}
    env.pop("ANTHROPIC_API_KEY", None)
    if key:
        env["ANTHROPIC_API_KEY"] = key
    argv = [
        str(ROOT / "scripts" / "search.py"),
        f"--config={ROOT}/configs/search.py",
        f"--workdir={workdir}",
        f"--config.task={task}",
        "--config.llm.backend=anthropic",
        "--config.llm.model=claude-opus-4-6",
        "--config.policy.greedy.num_drafts=1",
        "--config.budget.steps=3",
        "--config.budget.min_exec_s=1",
        f"--config.paths.data_root={workdir}/data",
        f"--config.paths.cache_dir={workdir}/cache",
        *flags,
    ]
    return subprocess.run(
        [sys.executable, *argv], env=env, cwd=workdir, capture_output=True, text=True, timeout=timeout, check=False
    )


def records(workdir):
    (path,) = Path(workdir).glob("*/*/seed_0/events.jsonl")
    return [json.loads(line) for line in path.read_text().splitlines()]


def of_kind(log, kind):
    return [record for record in log if record["kind"] == kind]


def blob(workdir, sha):
    (path,) = Path(workdir).glob(f"*/*/seed_0/blobs/{sha}")
    return path.read_text()


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run that first has no key, and is then continued against a server that stumbles once."""
    workdir = tmp_path_factory.mktemp("llm_search")
    script = [
        fake.anthropic_error(429, "rate_limit_error", "slow down", retry_after="0"),
        fake.anthropic(DRAFT),
        fake.anthropic(UNREADABLE),
        fake.anthropic(REPAIR),
        fake.anthropic(IMPROVEMENT),
    ]
    with fake.serve(script) as server:
        without_key = search(workdir, server.url, "")
        calls_without_key = len(server.calls)
        done = search(workdir, server.url, KEY)
        calls = list(server.calls)
    return workdir, without_key, calls_without_key, done, calls


def test_a_missing_key_stops_resumably_and_names_the_variable(finished):
    _, without_key, calls, _, _ = finished
    assert without_key.returncode == 3
    assert "ANTHROPIC_API_KEY is not set" in without_key.stderr
    assert calls == 0


def test_the_same_command_with_the_key_goes_on_to_the_end(finished):
    workdir, _, _, done, calls = finished
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().splitlines()[-1].endswith("report.html")
    log = records(workdir)
    assert [(r["node"], r["operator"], r["parents"]) for r in of_kind(log, "action")] == [
        (0, "draft", []),
        (1, "debug", [0]),
        (2, "improve", [1]),
    ]
    outcomes = [(r["status"], r["failure_class"]) for r in of_kind(log, "node")]
    assert outcomes == [("buggy", "exit"), ("good", None), ("good", None)]
    assert [round(r["fitness"], 6) for r in of_kind(log, "node") if r["fitness"] is not None] == [0.45, 0.95]
    assert of_kind(log, "submit")[-1]["node"] == 2
    assert len(calls) == 5


def test_each_prompt_on_record_is_what_the_server_got(finished):
    workdir, _, _, _, calls = finished
    requests = of_kind(records(workdir), "llm_request")[1:]  # the first had no key and never left
    sent = [f"{call.body['system'][0]['text']}\n\n{call.body['messages'][0]['content']}" for call in calls]
    assert [blob(workdir, request["prompt_sha"]) for request in requests] == sent[1:]
    assert sent[0] == sent[1]


def test_the_prompts_carry_what_the_step_needs(finished):
    *_, calls = finished
    debug, debug_again, improve = (call.body["messages"][0]["content"] for call in calls[2:])
    assert "Class: exit" in debug
    assert "boom" in debug
    assert "the answer holds no file: give answer.txt" in debug_again
    assert debug_again.startswith(debug.partition("<budget>")[0])
    assert "Accuracy on validation: 0.45" in improve
    assert len({call.body["system"][0]["text"] for call in calls}) == 1


def test_tokens_and_dollars_are_those_of_the_calls(finished):
    workdir, *_ = finished
    results = [r for r in of_kind(records(workdir), "llm_result") if r["error"] is None]
    assert [(r["node"], r["attempt"]) for r in results] == [(0, 0), (1, 0), (1, 1), (2, 0)]
    dollars = (1200 * 5 + 8000 * 6.25 + 500 * 10 + 21000 * 0.5 + 3400 * 25) / 1e6
    assert [r["usd"] for r in results] == pytest.approx([dollars] * 4)


def test_the_key_is_on_no_byte_of_the_run(finished):
    workdir, without_key, _, done, _ = finished
    assert KEY not in done.stdout + done.stderr + without_key.stdout + without_key.stderr
    files = [path for path in Path(workdir).rglob("*") if path.is_file()]
    assert len(files) > 20
    assert not [path for path in files if KEY.encode() in path.read_bytes()]


@pytest.mark.slow
def test_a_model_repairs_and_improves_a_pattern_that_is_really_trained(tmp_path):
    script = [
        fake.anthropic("Alternate. One layer is missing.\n\n```path=submission.csv\narchitecture\n7(A-M)-A\n```\n"),
        fake.anthropic("Add it.\n\n<<<<<<< SEARCH submission.csv\n7(A-M)-A\n=======\n8(A-M)\n>>>>>>> REPLACE\n"),
        fake.anthropic("Begin with M.\n\n```path=submission.csv\narchitecture\n8(M-A)\n```\n"),
    ]
    flags = ("--config.profile=smoke", "--config.test.when=never")
    task = "NeuralArchitectureSearchMAD2PrimitivesAccuracy"
    with fake.serve(script) as server:
        done = search(tmp_path, server.url, KEY, *flags, task=task, timeout=540)
    assert done.returncode == 0, done.stderr
    log = records(tmp_path)
    assert [r["operator"] for r in of_kind(log, "action")] == ["draft", "debug", "improve"]
    outcomes = [(r["status"], r["failure_class"]) for r in of_kind(log, "node")]
    assert outcomes == [("buggy", "interface"), ("good", None), ("good", None)]
    first, second = (r["fitness"] for r in of_kind(log, "node")[1:])
    assert 0 < first < 1
    assert 0 < second < 1
    repair = server.calls[1].body["messages"][0]["content"]
    assert "Class: interface" in repair
    assert "16 layers required, got 15" in repair
