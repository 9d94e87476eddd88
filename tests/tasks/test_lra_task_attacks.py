"""Candidates that want a score which they did not train for: each is refused, or gets what it is worth."""

import json
import subprocess
import sys

import numpy as np
import pytest

from aira_jax.programs import store
from aira_jax.tasks import loader, mounts, preparation
from aira_jax.tasks.evaluation import Split
from aira_jax.tasks.lra import preparing, scripts, task_data, trainer

NAME = "LongContextReasoningLRAListOpsConfigurableAccuracy"
SETTINGS = """
NUM_TRAIN_STEPS = 4
WARMUP_STEPS = 1
BATCH_SIZE = 100
EVAL_FREQUENCY = 5
"""
HONEST = """
import flax.linen as nn
import jax
import jax.numpy as jnp


class CustomEncoder(nn.Module):
    vocab_size: int
    num_classes: int

    @nn.compact
    def __call__(self, inputs, *, train: bool = False):
        logits = nn.Dense(self.num_classes)(nn.Embed(self.vocab_size, 8)(inputs).mean(1))
        return change(inputs, logits)


def change(inputs, logits):
    return logits
"""
PATCHES = """
import lra.steps, lra.train, lra.metrics

lra.train.predict = lambda *_: 1 / 0
lra.steps.Trained.predict = lambda *_: 1 / 0
lra.metrics.scores = lambda *_: (0.0, 1.0)
"""
ASKS_THE_HOST = """
def change(inputs, logits):
    solved = jax.ShapeDtypeStruct(logits.shape, logits.dtype)
    return logits + jax.pure_callback(lambda tokens: tokens[:, :10] * 1.0, solved, inputs)
"""
REMEMBERS = """
import pathlib, tempfile
import numpy as np
from aira_jax.tasks.lra import task_data
from aira_jax.tasks.evaluation import Split
from lra import renaming

with tempfile.TemporaryDirectory() as folder:
    whole = task_data.make("listops", "smoke", 0, None, pathlib.Path(folder) / "whole")
    split = whole.split("validation")
    HIDDEN = renaming.renamed(None, "listops", whole.meta.sha256["train"])
    KEYS = np.stack([np.pad(split.documents.row(n), (0, 40))[:40] for n in range(len(split))]).astype(np.int32)
    KEYS, ANSWERS = HIDDEN.tokens_V[KEYS], HIDDEN.classes_C[split.targets_N]


def change(inputs, logits):
    known = (inputs[:, None, :40] == KEYS[None]).all(-1) @ jax.nn.one_hot(ANSWERS, 10)
    return logits + 1e3 * known
"""
SOLVES_BY_RULE = """
class CustomEncoder(nn.Module):
    vocab_size: int
    num_classes: int

    @nn.compact
    def __call__(self, inputs, *, train: bool = False):
        gate = self.param("gate", nn.initializers.zeros, ())
        return 1e4 * gate * jax.nn.one_hot(solve(inputs), 10)


def solve(tokens):
    levels, digits = jnp.arange(6), jnp.arange(10)

    def step(state, token):
        operators, counts, depth, answer = state
        count, operator = counts[depth], operators[depth]
        place = lambda k: (jnp.cumsum(count) <= k).sum()
        size = count.sum()
        middle = (place((size - 1) // 2) + place(size // 2)) // 2
        values = jnp.array([place(0), place(size - 1), middle, (count * digits).sum() % 10])
        opens, closes = (token >= 11) & (token <= 14), token == 15
        value = jnp.where(closes, values[operator - 11], token - 1)
        depth = depth + opens - closes
        here = levels == depth
        adds = closes | ((token >= 1) & (token <= 10))
        counts = jnp.where((opens & here)[:, None], 0, counts) + (adds & here)[:, None] * (digits == value)
        answer = jnp.where(closes & (depth == 0), value, answer)
        return (jnp.where(opens & here, token, operators), counts, depth, answer), None

    start = jnp.zeros(6, int), jnp.zeros((6, 10), int), 0, 0
    return jax.vmap(lambda row: jax.lax.scan(step, start, row)[0][3])(tokens)
"""
MIXES_ROWS = """
def change(inputs, logits):
    return logits - jnp.roll(logits, 1, axis=0)
"""

WALKS_FRAMES = """
import gc, sys

frame = sys._getframe()
while frame:
    for name, value in list(frame.f_locals.items()):
        if hasattr(value, "num_train_steps"):
            object.__setattr__(value, "num_train_steps", 4000)
    frame = frame.f_back
for value in gc.get_objects():
    if type(value).__name__ == "Settings":
        object.__setattr__(value, "num_train_steps", 4000)
"""
SOLVES_FOR_ITS_KERNEL = """
class CustomEncoder(nn.Module):
    vocab_size: int
    num_classes: int

    @nn.compact
    def __call__(self, inputs, *, train: bool = False):
        features = jax.nn.one_hot(inputs, self.vocab_size).mean(1)
        return head(self.param("head", nn.initializers.normal(), (self.vocab_size, self.num_classes)), features)


@jax.custom_vjp
def head(kernel, features):
    return features @ kernel


def backward(kept, gradient):
    kernel, features = kept
    gram = features.T @ features + 1e-3 * jnp.eye(features.shape[1])
    return jnp.linalg.inv(gram) @ features.T @ gradient, gradient @ kernel.T


head.defvjp(lambda kernel, features: (features @ kernel, (kernel, features)), backward)
"""
GIVES_NAN = """
def change(inputs, logits):
    return logits / (inputs.sum(1, keepdims=True) * 0)
"""
HOLDS_A_TABLE = """
import numpy as np

TABLE = np.random.default_rng(0).random((1 << 16, 10), np.float32)


def change(inputs, logits):
    return logits + jnp.asarray(TABLE)[inputs.sum(1) % len(TABLE)]
"""
LEAVES = """
import os
os._exit(0)
"""
NEVER_ENDS = """
def change(inputs, logits):
    count = jax.lax.while_loop(lambda n: n < 1, lambda n: jnp.minimum(n + 1, 0), inputs.min())
    return logits + count
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """./data of a trusted execution, made from the public seed."""
    folder = tmp_path_factory.mktemp("attacks")
    whole = task_data.make("listops", "smoke", 0, None, folder / "whole")
    (folder / "data").mkdir()
    task_data.write_agent(folder / "data", whole, profile="smoke")
    task_data.write_labels(folder / "data", whole, profile="smoke", split=Split.VALIDATION)
    return folder / "data"


def flags(folder, stage, data):
    values = {
        "submission-file": folder / "model.py",
        "split": "validation",
        "stage": stage,
        "workdir": folder / "predictions",
        "profile": "smoke",
        "data-dir": data,
        "result-file": folder / "result.json",
    }
    return [f"--{name}={value}" for name, value in values.items()]


def stage(folder, name, data):
    """(exit code, result) of a stage in this process."""
    code = scripts.evaluate(preparing.Task("listops", loader.load(NAME).folder, True), flags(folder, name, data))
    return code, json.loads((folder / "result.json").read_text())


def evaluated(folder, source, data):
    """Both stages; the fit has no data."""
    (folder / "model.py").write_text(SETTINGS + HONEST + source)
    code, result = stage(folder, "fit", folder / "nothing")
    return (code, result) if code else stage(folder, "score", data)


def test_an_honest_model_is_trained_without_being_imported(tmp_path, data, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, result = evaluated(tmp_path, "", data)
    assert code == 0, result
    assert (result["extra"]["isolation"], result["steps"]) == ("programs", 4)
    assert result["extra"]["fit"]["gradient_error"] < 0.02
    assert not any("own_gradient" in warning for warning in result["extra"]["fit"]["warnings"])
    (tmp_path / "model.py").write_text(SETTINGS + HONEST + "\nraise RuntimeError('imported')\n")
    assert stage(tmp_path, "score", data)[1]["value"] == result["value"]


def test_answers_that_a_fit_wrote_by_itself_are_not_read(tmp_path, data, monkeypatch):
    """It knows every answer, writes them where the trainer once did, and ends the process."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model.py").write_text(SETTINGS + HONEST)
    (tmp_path / "predictions").mkdir()
    targets_N = task_data.read_labels(data, profile="smoke", split=Split.VALIDATION).targets_N
    np.save(tmp_path / "predictions" / "predictions.npy", np.eye(10, dtype=np.float32)[targets_N])
    code, result = stage(tmp_path, "score", data)
    assert (code, result["value"], result["failure_class"]) == (3, None, "exit")


def test_a_learning_rule_of_its_own_is_linear_and_told(tmp_path, data, monkeypatch):
    """It solves the least squares of a batch: more than a gradient, and still a linear map of the cotangent."""
    monkeypatch.chdir(tmp_path)
    code, result = evaluated(tmp_path, SOLVES_FOR_ITS_KERNEL, data)
    assert code == 0, result
    assert result["extra"]["fit"]["gradient_error"] > 0.5
    assert any("own_gradient" in warning for warning in result["extra"]["fit"]["warnings"])


def test_numbers_that_are_none_end_the_training(tmp_path, data, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, result = evaluated(tmp_path, GIVES_NAN, data)
    assert (code, result["value"], result["failure_class"]) == (3, None, "nan")


def test_constants_are_bounded(tmp_path, data, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(store, "LARGEST_BYTES", 2**20)
    code, result = evaluated(tmp_path, HOLDS_A_TABLE, data)
    assert (code, result["value"], result["failure_class"]) == (3, None, "interface")
    assert "constants included" in result["message"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "source, failure", [(LEAVES, "interface"), (NEVER_ENDS, "timeout")], ids=["leaves", "never_ends"]
)
def test_by_hand_an_end_without_programs_and_programs_without_end_have_a_name(tmp_path, source, failure):
    (tmp_path / "model.py").write_text(SETTINGS + HONEST + source)
    script = str(loader.load(NAME).folder / "evaluate.py")
    command = [sys.executable, script, "--profile=smoke", "--time-limit-s=15"]
    done = subprocess.run(command, cwd=tmp_path, env=mounts.script_environment(), capture_output=True, text=True)
    report = json.loads((tmp_path / "evaluation_report.json").read_text())
    assert (done.returncode, report["value"], report["failure_class"]) == (3, None, failure)
    left = [*preparation.private_root().glob("lra-*"), *tmp_path.glob("run-*")]
    assert not left


@pytest.mark.slow
def test_programs_without_end_pass_the_limit_of_the_score(tmp_path, data):
    (tmp_path / "model.py").write_text(SETTINGS + HONEST + NEVER_ENDS)
    script = str(loader.load(NAME).folder / "evaluate.py")
    for stage_name, folder, code in (("fit", tmp_path / "nothing", 0), ("score", data, 3)):
        command = [sys.executable, script, *flags(tmp_path, stage_name, folder), "--time-limit-s=20"]
        done = subprocess.run(command, cwd=tmp_path, env=mounts.script_environment(), capture_output=True, text=True)
        assert done.returncode == code, done.stderr
    assert json.loads((tmp_path / "result.json").read_text())["failure_class"] == "timeout"


@pytest.mark.slow
@pytest.mark.parametrize("source", [PATCHES, WALKS_FRAMES], ids=["patches", "walks_frames"])
def test_a_trainer_that_is_patched_where_the_candidate_runs_trains_nothing(tmp_path, data, monkeypatch, source):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model.py").write_text(SETTINGS + HONEST + source)
    script = str(loader.load(NAME).folder / "evaluate.py")
    command = [sys.executable, script, *flags(tmp_path, "fit", tmp_path / "nothing")]
    done = subprocess.run(command, env=mounts.script_environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    code, result = stage(tmp_path, "score", data)
    assert code == 0, result
    assert (result["steps"], result["extra"]["settings"]["num_train_steps"]) == (4, 4)
    assert result["value"] < 0.5


@pytest.mark.parametrize("names", ["secret", "plain"])
def test_a_rule_behind_a_trained_gate_is_worth_nothing_where_symbols_have_secret_names(
    tmp_path, data, monkeypatch, names
):
    """With plain names it solves every row after four updates: it is the names that stop it."""
    monkeypatch.chdir(tmp_path)
    if names == "plain":
        monkeypatch.setattr(trainer, "_in_secret_names", lambda task, data, programs: programs)
    code, result = evaluated(tmp_path, SOLVES_BY_RULE, data)
    assert code == 0, result
    assert result["value"] == 1 if names == "plain" else result["value"] < 0.3


@pytest.mark.parametrize(
    "source, word",
    [
        pytest.param(ASKS_THE_HOST, "callback", id="asks_the_host"),
        pytest.param(REMEMBERS, "parameter_free", id="rebuilds_the_rows", marks=pytest.mark.slow),
        pytest.param(MIXES_ROWS, "another", id="mixes_rows"),
    ],
)
def test_a_model_that_does_not_compute_from_a_row_and_trained_parameters_is_refused(
    tmp_path, data, monkeypatch, source, word
):
    monkeypatch.chdir(tmp_path)
    code, result = evaluated(tmp_path, source, data)
    assert (code, result["value"], result["failure_class"]) == (3, None, "interface")
    assert word in result["message"]
