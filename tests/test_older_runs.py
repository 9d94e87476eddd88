"""Run folders that an older version wrote (tests/fixtures/before_the_move) can be read, reported and continued."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
OLDER = Path(__file__).parent / "fixtures" / "before_the_move"
RUN = Path("NeuralArchitectureSearchMAD2PrimitivesAccuracy/greedy-control.evolution/seed_0")


@pytest.fixture
def older(tmp_path):
    shutil.copytree(OLDER, tmp_path, dirs_exist_ok=True)
    return tmp_path


def script(name: str, *flags: str, cache: Path) -> str:
    env = os.environ | {"AIRA_JAX_CACHE": str(cache)}
    done = subprocess.run([sys.executable, ROOT / "scripts" / name, *flags], env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def records(run: Path) -> list[dict]:
    return [json.loads(line) for line in (run / "events.jsonl").read_text().splitlines()]


def test_a_search_of_an_older_version_is_reported(older):
    script("report.py", f"--run={older / 'search' / RUN}", cache=older / "cache")
    report = (older / "search" / RUN / "report.html").read_text()
    assert "0.0839" in report  # the best node of the five that had ended


@pytest.mark.slow
def test_a_search_of_an_older_version_that_was_killed_is_continued_to_its_end(older):
    run = older / "search" / RUN
    before = records(run)
    config = [f"--config={ROOT}/configs/search.py:smoke", "--config.llm.backend=control.evolution"]
    paths = [f"--workdir={older / 'search'}", f"--config.paths.data_root={older / 'data'}"]
    script("search.py", *config, *paths, "--config.budget.steps=7", cache=older / "cache")
    after = records(run)
    assert after[: len(before)] == before
    assert [record["node"] for record in after if record["kind"] == "node"] == list(range(7))


@pytest.mark.slow
def test_a_training_run_of_an_older_version_is_continued_from_its_checkpoint(older):
    data, run = older / "data", older / "lra"
    script("lra_data.py", "--task=listops", "--profile=smoke", f"--out={data}", *ROWS, cache=older)
    script(
        "lra_train.py", f"--config={ROOT}/configs/lra.py:{VARIANT}", f"--data={data}", f"--workdir={run}", cache=older
    )
    rows = [json.loads(line) for line in (OLDER / "lra" / "metrics.jsonl").read_text().splitlines()]
    continued = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [(row["kind"], row["step"]) for row in continued] == [(row["kind"], row["step"]) for row in rows]
    assert continued[:5] == rows[:5]  # up to the checkpoint, as they were
    assert [row["loss"] for row in continued[5:]] == pytest.approx([row["loss"] for row in rows[5:]], rel=1e-4)


ROWS = ("--train=256", "--validation=64", "--test=64")
_SIZES = {"emb_dim": 16, "qkv_dim": 16, "mlp_dim": 16, "num_heads": 2, "num_layers": 1, "batch_size": 8}
_STEPS = {"num_train_steps": 40, "eval_frequency": 20}
VARIANT = ",".join(
    ["listops", "encoder=transformer", "checkpoint_every=10"]
    + [f"settings.{key}={value}" for key, value in (_SIZES | _STEPS).items()]
)
