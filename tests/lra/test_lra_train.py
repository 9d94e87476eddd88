"""The training loop on a small model: what it reports, how it stops, and that a continued run is the same run."""

import dataclasses
import json
import math
import os
import shutil
import signal
import time

import jax
import numpy as np
import pytest
from lra_models import GOOD, MINIMAL, SMALL, job, listops

from aira_jax.train.metrics import FULL, read, without_timing
from lra import train, workdir
from lra.data import store
from lra.failures import CandidateFault, Kind
from lra.job import Job, Recipe, Rule, ScoreParams


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return listops(tmp_path_factory.mktemp("lra") / "data")


@pytest.fixture(scope="module")
def whole(data, tmp_path_factory):
    """An uninterrupted run: its job and its report."""
    chosen = job(data, tmp_path_factory.mktemp("whole") / "run", GOOD)
    return chosen, train.run(chosen)


def rows_of(chosen: Job) -> list[dict]:
    return [without_timing(row) for row in read(chosen.workdir / "metrics.jsonl")]


def same(a, b) -> bool:
    return jax.tree.all(jax.tree.map(np.array_equal, a, b))


def test_the_report_holds_what_was_promised(whole):
    chosen, report = whole
    summary = report.summary()
    assert list(summary) == [
        *("task", "validation_accuracy", "test_accuracy", "steps", "params", "steps_per_s", "tokens_per_s"),
        "peak_memory_bytes",
    ]
    assert (summary["task"], summary["steps"], report.train_rows) == ("listops", 60, 400)
    assert summary["tokens_per_s"] == pytest.approx(summary["steps_per_s"] * 16 * 40)
    assert summary["peak_memory_bytes"] > report.preflight.need_bytes > 0
    stored = json.loads((chosen.workdir / "report.json").read_text())
    assert stored["final"]["test_accuracy"] == summary["test_accuracy"]
    assert stored["compile_s"] > 0
    assert stored["val_test_gap"] == pytest.approx(report.validation_accuracy - report.test_accuracy)


def test_it_learns_and_says_what_it_beats(whole):
    _, report = whole
    assert report.validation_accuracy > report.diagnostics["validation"]["baselines"][0]["accuracy"]
    names = [row["name"] for row in report.diagnostics["test"]["baselines"]]
    assert names == ["majority", "root operator"]
    assert all("beat" in verdict for verdict in report.diagnostics["test"]["verdicts"])


def test_every_evaluation_is_logged_and_the_best_one_is_kept(whole):
    chosen, report = whole
    evaluations = [row for row in rows_of(chosen) if row["kind"] == "eval"]
    assert [row["step"] for row in evaluations] == [20, 40, 60]
    assert all(row["rows"] == 120 and "seen" not in row for row in evaluations)
    best = max(evaluations, key=lambda row: (row["accuracy"], -row["loss"]))
    assert report.best.step == best["step"]
    assert report.best.validation_accuracy == pytest.approx(best["accuracy"])


def test_rows_of_updates_hold_rate_epoch_and_speed(whole):
    chosen, _ = whole
    rows = [row for row in read(chosen.workdir / "metrics.jsonl") if row["kind"] == "train"]
    assert [row["step"] for row in rows] == [1, 10, 20, 30, 40, 50, 60]
    assert rows[0]["lr"] == 0.0
    assert rows[1]["lr"] == pytest.approx(1e-2)
    assert rows[-1]["epoch"] == pytest.approx(60 * 16 / 400)
    assert 0 < rows[-1]["real_tokens_per_s"] < rows[-1]["tokens_per_s"]


def test_plots_show_the_baselines(whole):
    chosen, _ = whole
    plots = chosen.workdir / "plots"
    assert {path.name for path in plots.glob("*.svg")} == {"loss.svg", "accuracy.svg", "lr.svg"}
    assert "root operator" in (plots / "accuracy.svg").read_text()


def test_predictions_are_what_was_scored(whole, data):
    _, report = whole
    test = store.open(data).split("test")
    logits = train.predict(report.trained, dataclasses.replace(test, targets_N=None))
    assert (logits.shape, logits.dtype) == ((100, 10), np.float32)
    assert np.mean(logits.argmax(1) == test.targets_N) == pytest.approx(report.test_accuracy)


class Crash(Exception):
    pass


def crash_at(step: int):
    def on_row(row):
        if row["step"] == step:
            raise Crash

    return on_row


def test_a_run_that_died_continues_as_if_it_had_not(whole, data, tmp_path):
    chosen, report = whole
    died = job(data, tmp_path / "run", GOOD)
    with pytest.raises(Crash):
        train.run(died, on_row=crash_at(50))
    with (died.workdir / "metrics.jsonl").open("a") as file:
        file.write('{"kind": "train", "st')
    continued = train.run(died)
    assert rows_of(died) == rows_of(chosen)
    assert same(continued.trained.params, report.trained.params)
    assert same(continued.trained.batch_stats, report.trained.batch_stats)
    orphans = [row["step"] for row in read(died.workdir / "metrics.orphan.jsonl")]
    assert orphans == [40, 40, 50]


def test_a_finished_run_is_reported_again_without_training(whole):
    chosen, report = whole
    again = train.run(chosen)
    assert again.test_accuracy == report.test_accuracy
    assert same(again.trained.params, report.trained.params)
    assert again.steps_per_s > 0
    assert len([row for row in read(chosen.workdir / "metrics.jsonl") if row["kind"] == FULL]) == 4


def test_a_signal_saves_and_the_same_job_continues(whole, data, tmp_path):
    chosen, _ = whole
    stopped = job(data, tmp_path / "run", GOOD, checkpoint_every=1000)

    def on_row(row):
        if row["step"] == 10:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(train.Interrupted, match=r"SIGTERM after update 1[0-2]"):
        train.run(stopped, on_row=on_row)
    train.run(stopped)
    assert rows_of(stopped) == rows_of(chosen)


def test_a_workdir_of_another_run_is_refused_with_the_keys_that_differ(whole, data):
    chosen, _ = whole
    other = dataclasses.replace(chosen, settings=SMALL.replace(learning_rate=0.005))
    with pytest.raises(ValueError, match=r"settings.learning_rate: 0.01 there, 0.005 asked") as found:
        train.run(other)
    assert "batch_size" not in str(found.value)


def test_a_changed_model_is_another_run(whole, tmp_path, data):
    chosen, _ = whole
    path = tmp_path / "model.py"
    path.write_text(GOOD + "# changed\n")
    with pytest.raises(ValueError, match="model_sha256"):
        train.run(dataclasses.replace(chosen, model=str(path)))


def test_a_run_continues_wherever_its_model_and_folder_lie_now(whole, tmp_path, monkeypatch):
    chosen, report = whole
    shutil.copytree(chosen.workdir, tmp_path / "run")
    monkeypatch.chdir(tmp_path)
    again = train.run(dataclasses.replace(chosen, workdir=tmp_path / "run", model="run/model.py"))
    assert again.test_accuracy == report.test_accuracy
    assert again.model == "run"


@pytest.mark.parametrize("recipe", [Recipe(factors="constant * foo"), Recipe(rules=(Rule("("),))])
def test_a_bad_recipe_is_no_fault_of_the_model(data, tmp_path, recipe):
    with pytest.raises(ValueError, match=r"unknown schedule factor 'foo'|is no regular expression"):
        train.run(job(data, tmp_path / "run", recipe=recipe))
    assert not (tmp_path / "run").exists()


def test_a_model_that_failed_before_its_first_update_may_be_mended_in_the_same_folder(data, tmp_path):
    with pytest.raises(CandidateFault, match="No module named 'there_is_none'"):
        train.run(job(data, tmp_path / "run", "import there_is_none\n" + MINIMAL))
    mended = job(data, tmp_path / "run", MINIMAL)
    with workdir.held(mended.workdir):
        workdir.prepare(mended, mended.identity({}))
        (mended.workdir / "metrics.jsonl").write_text("{}\n")
        with pytest.raises(ValueError, match="holds another run"):
            workdir.prepare(mended, mended.identity({"train": "other"}))


def test_two_processes_never_train_in_one_folder(tmp_path):
    folder = tmp_path / "run"
    refused = pytest.raises(ValueError, match="another process trains in")
    with workdir.held(folder), refused, workdir.held(folder, 0.0):
        pass
    with workdir.held(folder, 0.0):
        assert folder.is_dir()


def test_resume_off_refuses_a_run_and_strangers_are_never_mixed_with_one(whole, data, tmp_path):
    chosen, _ = whole
    with pytest.raises(ValueError, match="holds a run"):
        train.run(dataclasses.replace(chosen, resume=False))
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.tex").touch()
    with pytest.raises(ValueError, match=r"thesis.tex and no run"):
        train.run(job(data, tmp_path / "run"))


def test_a_truncated_checkpoint_is_named_with_the_mend(whole):
    chosen, _ = whole
    folder = chosen.workdir.parent / "copy"
    shutil.copytree(chosen.workdir, folder)
    for path in (folder / "checkpoints" / "60" / "default").rglob("*"):
        if path.is_file():
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(ValueError, match=r"checkpoints/60 cannot be read .*continues from update 30"):
        train.run(dataclasses.replace(chosen, workdir=folder))
    shutil.rmtree(folder / "checkpoints" / "60")
    again = train.run(dataclasses.replace(chosen, workdir=folder))
    assert rows_of(dataclasses.replace(chosen, workdir=folder)) == rows_of(chosen)
    assert again.steps == 60


def test_a_loss_that_is_not_finite_stops_the_run_at_once(data, tmp_path):
    term = "jax.numpy.log(1 + 1e9 * self.param('p', nn.initializers.zeros, (10,)))"
    source = "import jax\n" + MINIMAL.replace(".mean(1))", f".mean(1)) + {term}")
    with pytest.raises(CandidateFault, match=r"update 3: loss nan.*last finite loss .*learning rate 0.004") as found:
        train.run(job(data, tmp_path / "run", source=source))
    assert found.value.kind is Kind.NAN
    assert found.value.details["update"] == 3


def test_logits_that_are_not_finite_are_no_score(data, tmp_path):
    source = MINIMAL.replace(".mean(1))", ".mean(1)) / (0.0 if deterministic else 1.0)")
    with pytest.raises(CandidateFault, match="validation after update 20: 120 of 120 rows") as found:
        train.run(job(data, tmp_path / "run", source=source))
    assert found.value.kind is Kind.NAN


def test_a_forecast_beyond_the_limit_ends_the_run_after_50_updates(data, tmp_path):
    settings = SMALL.replace(num_train_steps=30_000, eval_frequency=4000)
    probe = job(data, tmp_path / "run", settings=settings, time_limit_s=None)
    with pytest.raises(CandidateFault, match=r"forecast.*would fit") as found:
        train.run(dataclasses.replace(probe, time_limit_s=10.0), on_row=slow)
    assert found.value.kind is Kind.TIMEOUT
    assert found.value.details["updates"] == 50
    assert 0 < found.value.details["updates_that_fit"] < 30_000


def slow(row):
    """Makes a run of 30,000 updates take more than 15 seconds on any machine."""
    time.sleep(0.05)


def test_the_limit_itself_ends_a_run(data, tmp_path):
    with pytest.raises(CandidateFault, match=r"the limit is 0.001 s \(phase limit\)"):
        train.run(job(data, tmp_path / "run", time_limit_s=0.001))


def test_memory_is_refused_before_any_update(whole, data, tmp_path):
    limit = whole[1].preflight.need_bytes
    chosen = job(data, tmp_path / "run", GOOD, memory_limit=limit)
    with pytest.raises(CandidateFault, match=r"batch_size [1-8] would fit") as found:
        train.run(chosen)
    assert found.value.kind is Kind.OOM_PREFLIGHT
    assert found.value.details["need_bytes"] == limit > found.value.details["limit_bytes"] == int(0.92 * limit)
    assert "16*2*40*40*4 = 204800" in found.value.message
    assert not list(read(chosen.workdir / "metrics.jsonl"))


def test_labels_that_were_withheld_leave_accuracies_open(data, tmp_path):
    folder = tmp_path / "data"
    shutil.copytree(data, folder)
    meta = json.loads((folder / "meta.json").read_text())
    for name in ("validation", "test"):
        (folder / name / "targets.npy").unlink()
        meta["sha256"][name] = store.content_sha256(folder / name)
    (folder / "meta.json").write_text(json.dumps(meta))
    short = SMALL.replace(num_train_steps=4)
    report = train.run(job(folder, tmp_path / "run", settings=short))
    assert (report.validation_accuracy, report.test_accuracy, report.best) == (None, None, None)
    assert report.diagnostics == {}
    with pytest.raises(ValueError, match="score_params=best_val needs"):
        train.run(job(folder, tmp_path / "other", settings=short, score_params=ScoreParams.BEST))


def test_best_parameters_are_scored_when_that_was_asked_and_epochs_give_the_number_of_updates(data, tmp_path):
    chosen = SMALL.replace(learning_rate=0.1, num_train_steps=7)
    recipe = Recipe(epochs=1.21, warmup_epochs=0.05)
    report = train.run(job(data, tmp_path / "run", settings=chosen, score_params=ScoreParams.BEST, recipe=recipe))
    assert (report.steps, report.settings["warmup"]) == (math.ceil(1.21 * 400 / 16), 2)
    assert report.validation_accuracy == report.best.validation_accuracy >= report.final.validation_accuracy


def test_damaged_data_are_refused(data, tmp_path):
    folder = tmp_path / "data"
    shutil.copytree(data, folder)
    targets = np.load(folder / "train" / "targets.npy")
    np.save(folder / "train" / "targets.npy", (targets + 1) % 10)
    with pytest.raises(ValueError, match=r"sha256 .* expected, .* found.*\n.*--rebuild"):
        train.run(job(folder, tmp_path / "run"))


def test_absent_data_come_with_the_command_that_makes_them(tmp_path):
    command = r"python scripts/lra_data.py --task=listops --profile=smoke --out="
    with pytest.raises(ValueError, match=command):
        train.run(job(tmp_path / "nothing", tmp_path / "run"))


def test_a_batch_larger_than_the_data_is_a_problem_of_the_settings(data, tmp_path):
    with pytest.raises(CandidateFault, match="exceeds the 400 rows"):
        train.run(job(data, tmp_path / "run", settings=SMALL.replace(batch_size=401)))


def test_a_folder_that_cannot_be_written_is_refused_before_training(data, tmp_path):
    (tmp_path / "file").touch()
    chosen = dataclasses.replace(job(data, tmp_path / "run"), workdir=tmp_path / "file" / "run")
    with pytest.raises(ValueError, match="cannot be written"):
        train.run(chosen)
