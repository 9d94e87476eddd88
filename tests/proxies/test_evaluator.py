"""The evaluator: one training per key, both splits, several seeds, bad input, and its script."""

import dataclasses
import json
import math
import os
import pathlib
import signal
import subprocess
import sys
import time

import jax
import numpy as np
import pytest

from aira_jax.models.language_model import LanguageModel
from aira_jax.primitives.block import Small
from aira_jax.proxies import evaluator, lanes, mad, single, sources
from aira_jax.proxies.fidelity import Signal
from aira_jax.proxies.result import ProxyResult, Split, TaskScore, TaskStatus

ROOT = pathlib.Path(__file__).parents[2]
TASKS = ["in-context-recall", "noisy-in-context-recall"]


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def evaluate(directory, tiny):
    def call(pattern, **options):
        options = {"preset": tiny, "tasks": TASKS, "cache_dir": directory, "engine": "shared"} | options
        return evaluator.evaluate(pattern, **options)

    return call


@pytest.fixture(scope="module")
def first(evaluate):
    return evaluate("AM")


@pytest.fixture
def no_training(monkeypatch):
    def train(*args, **options):
        raise AssertionError("trained again")

    monkeypatch.setattr(lanes, "train", train)


def test_a_result_holds_scores_and_costs(first, tiny):
    assert list(first.tasks) == TASKS
    assert first.score == pytest.approx(np.mean([t.micro for t in first.tasks.values()]))
    assert (first.steps, first.trained_steps, first.cached) == (2 * tiny.steps(), 2 * tiny.steps(), False)
    assert first.status is TaskStatus.OK
    assert (first.pattern, first.profile, first.seed, first.eval_seed) == ("A-M", "tiny", 12345, 0)
    assert first.engine == "shared:16"
    assert {len(curve) for curve in first.curve.values()} == {tiny.epochs}
    assert (first.sources, first.by_other_sources) == (sources.digest(), False)


def test_a_result_counts_the_parameters_of_every_tasks_model(first, tiny):
    model = LanguageModel(Small(tiny.d), ("A", "M"), mad.make(TASKS[0], 1, 0).vocab)
    shapes = jax.eval_shape(model.init, jax.random.key(0), np.zeros((1, 2), np.int32))
    assert first.parameters[TASKS[0]] == sum(leaf.size for leaf in jax.tree.leaves(shapes))
    wider = mad.make(TASKS[1], 1, 0).vocab - model.vocab  # an embedding row, a column of the head and its bias each
    assert first.parameters[TASKS[1]] - first.parameters[TASKS[0]] == wider * (2 * tiny.d + 1)


@pytest.mark.slow
def test_a_result_names_the_kernels_of_mamba_layers(first, evaluate):
    assert first.kernels == {}
    kernels = evaluate("Mb-M", tasks=TASKS[:1]).kernels
    assert kernels["ssd"] == "xla_scan"
    assert set(kernels) >= {"causal_conv1d", "gated_rmsnorm"}


def test_rows_of_the_public_seed_alone_are_kept_on_disk(first, evaluate, directory):
    kept = sorted(path.name for path in (directory / "mad").iterdir())
    assert [name.rpartition("-")[0] for name in kept] == sorted(TASKS)
    evaluate("AM", data_seed=77)
    assert sorted(path.name for path in (directory / "mad").iterdir()) == kept


def test_the_same_pattern_written_otherwise_is_a_hit_without_a_step(first, evaluate, no_training):
    again = evaluate("(A+M)")
    assert (again.cached, again.steps, again.train_s, again.compile_s) == (True, 0, 0.0, 0.0)
    assert (again.tasks, again.key, again.trained_steps) == (first.tasks, first.key, first.trained_steps)


@pytest.mark.parametrize(
    "change",
    [{"eval_seed": 1}, {"data_seed": 1}, {"split": "validation"}, {"tasks": TASKS[:1]}, {"preset": "smoke"}],
)
def test_whatever_can_change_a_score_makes_another_key(change, evaluate, no_training):
    with pytest.raises(AssertionError, match="trained again"):
        evaluate("AM", **change)


def test_given_rows_score_as_drawn_rows_and_have_a_key_of_their_own(first, evaluate, tiny):
    datasets = {task: mad.make(task, tiny.train, tiny.test, **tiny.fields(task)) for task in TASKS}
    given = evaluate("AM", datasets=datasets)
    assert given.tasks == first.tasks
    assert given.key != first.key


def test_validation_scores_the_held_out_rows_with_test_targets(evaluate, tiny):
    result = evaluate("AM", split="validation")
    assert result.split is Split.VALIDATION
    assert result.steps == 2 * tiny.epochs * 2  # two tasks; 28 rows in batches of 16


def test_seeds_together_give_the_results_of_single_calls(first, evaluate, directory, tiny):
    options = {"preset": tiny, "tasks": TASKS, "cache_dir": directory, "engine": "shared"}
    both = evaluator.evaluate_seeds("AM", eval_seeds=[2, 0], **options)
    assert [result.eval_seed for result in both] == [2, 0]
    assert both[1].cached
    assert both[1].tasks == first.tasks
    assert both[0].tasks != first.tasks
    assert evaluate("AM", eval_seed=2).cached


def test_results_survive_json():
    scores = {"compression": TaskScore.worst(TaskStatus.DIVERGED), "memorization": TaskScore(0.5, 0.25, 1.0)}
    curve = {"compression": [float("inf")], "memorization": [1.0]}
    result = ProxyResult(
        pattern="A", profile="tiny", seed=1, eval_seed=2, split=Split.TEST, tasks=scores, train_s=1.0, compile_s=2.0,
        steps=3, trained_steps=3, cached=False, curve=curve, epoch={"compression": 1, "memorization": 2}, key="k",
        dtype="fp32", engine="shared:16", device="cpu:cpu",
    )  # fmt: skip
    data = json.loads(json.dumps(result.to_json(), allow_nan=False))
    assert ProxyResult.from_json(data) == result
    assert (data["score"], data["loss"], data["status"]) == (0.25, None, "diverged")


def rows(**change):
    x = np.zeros((4, 8), np.int16)
    return dataclasses.replace(mad.Rows(x, x, x), **change)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"preset": "cpu-x"}, "unknown preset 'cpu-x'"),
        ({"tasks": ["recall"]}, "unknown MAD task 'recall'"),
        ({"engine": "fast"}, "unknown engine 'fast'"),
        ({"split": "train"}, "'train' is not a valid Split"),
        ({"data_seed": -1}, "seeds must be non-negative"),
        ({"datasets": {}}, "datasets holds no in-context-recall"),
        ({"datasets": {TASKS[0]: mad.Dataset(rows(), rows(), 0)}}, r"tokens must lie in 0\.\.-1"),
        ({"datasets": {TASKS[0]: mad.Dataset(rows(y=np.zeros((4, 7))), rows(), 5)}}, "must have one shape"),
        ({"datasets": {TASKS[0]: mad.Dataset(rows(), rows(y=np.full((4, 8), -100)), 5)}}, "there must be some"),
    ],
)
def test_bad_input_is_named(options, message, evaluate):
    with pytest.raises(ValueError, match=message):
        evaluate("AMA", **options)


SCRIPT = [sys.executable, "scripts/evaluate_pattern.py"]


def run_script(directory, *flags):
    argv = [*SCRIPT, f"--cache_dir={directory}", *flags]
    return subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)


def test_the_script_prints_the_contract_on_its_last_line_and_a_hit_needs_no_jax(directory, tmp_path):
    command = ["--pattern=2M", "--profile=smoke", "--tasks=compression", "--seed=7", "--engine=shared", "--json"]
    cold = run_script(directory, *command)
    printed = json.loads(cold.stdout.splitlines()[-1])
    members = {"pattern", "profile", "seed", "tasks", "score", "train_s", "compile_s", "steps", "cached", "eval_seed"}
    assert members <= printed.keys()
    assert {"micro", "macro", "loss"} <= printed["tasks"]["compression"].keys()
    assert (printed["signal"], printed["signal_kind"]) == (printed["score"], "metric")
    assert (printed["pattern"], printed["profile"], printed["seed"], printed["cached"]) == ("2M", "smoke", 7, False)
    (tmp_path / "jax.py").write_text("raise ImportError('jax was imported')")
    env = {**os.environ, "PYTHONPATH": str(tmp_path)}
    argv = [*SCRIPT, f"--cache_dir={directory}", *command]
    hit = subprocess.run(argv, cwd=ROOT, env=env, capture_output=True, text=True, check=True)
    again = json.loads(hit.stdout.splitlines()[-1])
    assert (again["cached"], again["steps"], again["score"]) == (True, 0, printed["score"])
    curve = json.loads(run_script(directory, *command, "--signal=curve").stdout.splitlines()[-1])
    losses = printed["curve"]["compression"]
    assert (curve["cached"], curve["signal"]) == (True, pytest.approx(sum(losses) / len(losses)))


@pytest.mark.parametrize(
    "flags, message",
    [
        (["--pattern=A--M"], "A--M"),
        (["--pattern=AM", "--profile=cpu"], "unknown preset 'cpu'"),
        (["--pattern=AM", "--tasks=recal"], "unknown MAD task 'recal'"),
    ],
)
def test_the_script_ends_with_2_and_one_message(flags, message, tmp_path):
    done = run_script(tmp_path, *flags)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not done.stdout


@pytest.mark.parametrize(
    "options, message",
    [
        ({"proxy": "mad", "reading": {"corpus": "x", "field": "t"}}, "--corpus, --field: for text only"),
        ({"proxy": "dclm", "tasks": ["compression"]}, "--tasks=compression chooses among the tasks of mad"),
        ({"proxy": "dcl"}, 'did you mean "dclm"'),
    ],
)
def test_an_option_of_another_proxy_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        single.evaluate("A", preset="smoke", **options)


@pytest.mark.slow
def test_two_processes_train_once_and_a_killed_one_leaves_nothing_behind(tmp_path):
    flags = ["--pattern=8(A-M)", "--profile=smoke", "--tasks=in-context-recall", "--engine=shared", "--cache_dir"]
    argv = [*SCRIPT, *flags, str(tmp_path)]
    victim = subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE)
    deadline = time.monotonic() + 120
    while not list(tmp_path.rglob("*.claim")) and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(2)
    victim.send_signal(signal.SIGKILL)
    victim.wait()
    pair = [subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    results = [json.loads(process.communicate(timeout=600)[0].splitlines()[-1]) for process in pair]
    assert sorted(result["cached"] for result in results) == [False, True]
    assert results[0]["score"] == results[1]["score"]
    assert len(list(tmp_path.rglob("*.json"))) == 1
    assert not list(tmp_path.rglob("*.claim"))


def test_the_curve_signal_is_the_mean_training_loss_and_no_score_depends_on_the_signal(evaluate, tiny):
    result = evaluate("A-M")
    curves = [sum(losses) / len(losses) for losses in result.curve.values()]
    assert result.signal(Signal.CURVE) == pytest.approx(sum(curves) / len(curves))
    assert result.signal(Signal.METRIC) == result.score
    assert result.signal(Signal.LOSS) == result.loss
    other = dataclasses.replace(tiny, signal=Signal.CURVE)
    assert other.resolved() == tiny.resolved()


def test_a_training_that_diverged_has_the_worst_curve(evaluate):
    good = evaluate("A-M")
    task, *_ = good.tasks
    bad = dataclasses.replace(good, tasks={**good.tasks, task: TaskScore.worst(TaskStatus.DIVERGED)})
    assert bad.signal(Signal.CURVE) == math.inf
