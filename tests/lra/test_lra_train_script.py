"""scripts/lra_train.py as users and outside checks call it."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from lra_models import GOOD, MINIMAL, listops

from aira_jax.core import config_flag
from aira_jax.train.metrics import read, without_timing

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "scripts" / "lra_train.py"
SHORT = [f"--config.settings.{key}={n}" for key, n in (("num_train_steps", 6), ("eval_frequency", 3), ("warmup", 2))]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return listops(tmp_path_factory.mktemp("lra") / "data")


def model(folder: Path, source: str) -> Path:
    path = folder / "model.py"
    path.write_text(source)
    return path


def command(data: Path, workdir: Path, *flags: str) -> list[str]:
    fixed = ["--task=listops", f"--data={data}", f"--workdir={workdir}", "--profile=smoke"]
    return [sys.executable, str(SCRIPT), *fixed, *flags]


def call(*args, **options) -> subprocess.CompletedProcess:
    return subprocess.run(command(*args), capture_output=True, text=True, **options)


def test_the_last_line_is_the_contracts_object(data, tmp_path):
    """The model prints and warns; the last line stays what it is."""
    source = "print('hello from the candidate')\n" + MINIMAL
    done = call(data, tmp_path / "run", f"--model={model(tmp_path, source)}", *SHORT)
    assert done.returncode == 0, done.stderr
    last = json.loads(done.stdout.splitlines()[-1])
    assert list(last) == [
        *("task", "validation_accuracy", "test_accuracy", "steps", "params", "steps_per_s", "tokens_per_s"),
        "peak_memory_bytes",
    ]
    assert (last["task"], last["steps"], last["params"]) == ("listops", 6, 17 * 8 + 8 * 10 + 10)
    assert "root operator" in done.stdout
    assert "hello from the candidate" in done.stderr
    names = {path.name for path in (tmp_path / "run").iterdir()}
    assert names == {"config.json", "model.py", "env.json", "metrics.jsonl", "report.json", "checkpoints", "plots"}


@pytest.mark.parametrize(
    "flags, words",
    [
        (["--data=nowhere"], ["scripts/lra_data.py --task=listops --profile=smoke --out=nowhere"]),
        (["--profile=smok"], ['did you mean "smoke"']),
        (["--task=listop"], ['did you mean "listops"']),
        (["--model=transfromer"], ['did you mean "transformer"']),
        (["--model=there/is/no/model.py"], ["does not exist"]),
        (["--config=configs/lra.py:listop"], ['did you mean "listops"']),
        (["--config=configs/lra.py:listops,encoder=tranformer"], ['did you mean "transformer"']),
        (["--config.recipe.grad_clp=1"], ["grad_clip"]),
        (["--config.settings.batch_size=0"], ["batch_size = 0 must be at least 1"]),
        (["--config.score_params=best"], ['did you mean "best_val"']),
        (["--config.train_on=full"], ["train_on=full is for text"]),
        pytest.param(["--workdir=README.md/run"], ["README.md/run cannot be written"], marks=pytest.mark.slow),
    ],
)
def test_bad_input_ends_with_2_and_one_message(data, tmp_path, flags, words):
    done = call(data, tmp_path / "run", *flags, cwd=ROOT)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    for word in words:
        assert word in done.stderr
    assert not (tmp_path / "run").exists()


def test_a_file_that_breaks_the_contract_ends_with_3_before_anything_is_imported(data, tmp_path):
    done = call(data, tmp_path / "run", f"--model={model(tmp_path, 'x = (')}")
    assert done.returncode == 3
    assert "model failed (syntax): line 1" in done.stderr


def test_configs_of_people_name_their_recipes():
    config = config_flag.load(
        str(ROOT / "configs" / "lra.py"), "s5_text,seed=3".replace("seed", "settings.random_seed")
    )
    assert (config.task, config.profile, config.model, config.settings.random_seed) == ("text", "paper", "s5", 3)
    assert (config.settings.emb_dim, config.settings.num_layers, config.recipe.epochs) == (256, 6, 35.0)
    ((pattern, rate, decay),) = config.recipe.rules
    assert (rate, decay) == (pytest.approx(0.25), 0.0)
    assert "Lambda" in pattern
    mega = config_flag.load(str(ROOT / "configs" / "lra.py"), "mega_listops")
    assert (mega.recipe.grad_clip, mega.recipe.decay, mega.settings.num_train_steps) == (1.0, "linear", 90_000)


@pytest.mark.slow
def test_failures_of_the_process_are_classed(data, tmp_path):
    cases = {
        "crash": ("import os\nos.abort()\n", "SIGABRT", []),
        "import": ("import torch\n", "torch", []),
        "timeout": ("import time\ntime.sleep(60)\n", "killed after", ["--config.time_limit_s=1"]),
    }
    for kind, (head, word, flags) in cases.items():
        workdir = tmp_path / kind
        done = call(data, workdir, f"--model={model(tmp_path, head + MINIMAL)}", *flags)
        assert done.returncode == 3, done.stderr
        assert f"model failed ({kind})" in done.stderr
        assert word in done.stderr
        assert json.loads((workdir / "failure.json").read_text())["failure"] == kind


def started(data: Path, workdir: Path, *flags: str, until: int) -> subprocess.Popen:
    """A run that has written the row of update `until`."""
    process = subprocess.Popen(command(data, workdir, *flags), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        if any(row["step"] >= until for row in read(workdir / "metrics.jsonl")):
            return process
        time.sleep(0.02)
    raise AssertionError("the run ended or hangs before it could be interrupted")


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


LONG = [f"--config.settings.{key}={n}" for key, n in (("num_train_steps", 1500), ("eval_frequency", 500))]


@pytest.mark.slow
def test_kill_9_and_the_same_command_give_the_same_run(data, tmp_path):
    flags = [f"--model={model(tmp_path, GOOD)}", *LONG, "--config.checkpoint_every=200"]
    assert call(data, tmp_path / "whole", *flags).returncode == 0
    process = started(data, tmp_path / "killed", *flags, until=450)
    for pid in [*children(process.pid), process.pid]:
        os.kill(pid, signal.SIGKILL)
    process.wait()
    with (tmp_path / "killed" / "metrics.jsonl").open("a") as file:
        file.write('{"kind": "tra')
    assert call(data, tmp_path / "killed", *flags).returncode == 0
    whole, killed = (
        [without_timing(row) for row in read(tmp_path / name / "metrics.jsonl")] for name in ("whole", "killed")
    )
    assert whole == killed
    assert (tmp_path / "killed" / "metrics.orphan.jsonl").is_file()


@pytest.mark.slow
def test_sigterm_saves_and_says_how_to_go_on(data, tmp_path):
    flags = [f"--model={model(tmp_path, GOOD)}", *LONG]
    process = started(data, tmp_path / "run", *flags, until=100)
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 130
    saved = [int(path.name) for path in (tmp_path / "run" / "checkpoints").iterdir()]
    assert 100 <= max(saved) < 1500
    assert call(data, tmp_path / "run", *flags).returncode == 0


@pytest.mark.slow
def test_a_parent_that_dies_takes_the_training_process_with_it(data, tmp_path):
    process = started(data, tmp_path / "run", f"--model={model(tmp_path, GOOD)}", *LONG, until=100)
    (child,) = children(process.pid)
    process.kill()
    process.wait()
    deadline = time.monotonic() + 60
    while Path(f"/proc/{child}").exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not Path(f"/proc/{child}").exists()
    assert list((tmp_path / "run" / "checkpoints").iterdir())


@pytest.mark.slow
def test_check_stops_before_the_first_update(data, tmp_path):
    done = call(data, tmp_path / "run", f"--model={model(tmp_path, MINIMAL)}", "--check")
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["preflight"]["need_bytes"] > 0
    assert not (tmp_path / "run").exists()


def test_options_of_a_model_are_numbers_where_they_look_like_it():
    variant = "text,design=text_bi_ssm,options.dropout_rate=0.25,options.classifier_pool=SUM,resume=false"
    config = config_flag.load(str(ROOT / "configs" / "lra.py"), variant)
    assert (config.model, config.resume) == ("text_bi_ssm", False)
    assert config.options.to_dict() == {"dropout_rate": 0.25, "classifier_pool": "SUM"}


@pytest.mark.slow
def test_a_signal_before_the_first_update_is_no_fault_of_the_model(data, tmp_path):
    process = subprocess.Popen(command(data, tmp_path / "run", "--config=configs/lra.py:listops"), cwd=ROOT)
    time.sleep(3)
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 130
    assert not (tmp_path / "run" / "failure.json").exists()
