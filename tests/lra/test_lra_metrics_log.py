"""metrics.jsonl, the plots drawn from it, and the clock of a run."""

import json
import time
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from aira_jax.train.metrics import MetricsLog, read, without_timing
from lra import metrics, plots, progress
from lra.failures import CandidateFault, Kind
from lra.limits import Clock


def row(step: int, kind: str = "train", **values) -> dict:
    return {"kind": kind, "step": step, **values}


def logged(path, step: int, *rows: dict) -> list[dict]:
    log = MetricsLog(path, step, on_row=lambda row: None)
    for value in rows:
        log.append(value)
    log.close()
    return list(read(path))


def test_rows_beyond_the_checkpoint_move_to_the_orphans_and_stay_readable(tmp_path):
    path = tmp_path / "metrics.jsonl"
    logged(path, 0, *(row(step) for step in (10, 20, 30)), row(30, "full"))
    assert [r["step"] for r in logged(path, 20)] == [10, 20]
    assert [r["step"] for r in read(tmp_path / "metrics.orphan.jsonl")] == [30]


def test_a_torn_last_line_is_left_out_and_any_other_is_an_error(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text(json.dumps(row(1)) + '\n{"kind": "tr')
    assert [r["step"] for r in read(path)] == [1]
    path.write_text("{\n" + json.dumps(row(1)) + "\n")
    with pytest.raises(ValueError, match="line 1 is no JSON"):
        list(read(path))


def test_values_that_are_not_finite_are_written_as_null(tmp_path):
    assert logged(tmp_path / "m.jsonl", 0, row(1, loss=float("nan")))[0]["loss"] is None


def test_timing_is_what_two_equal_runs_may_differ_in():
    assert without_timing(row(1, loss=2.0, wall_s=3.0, steps_per_s=4.0)) == row(1, loss=2.0)


def test_plots_are_well_formed_and_draw_baselines(tmp_path):
    rows = [row(n, loss=2.0 / n, accuracy=n / 10, lr=1e-4 * n) for n in (1, 5, 9)] + [
        row(9, "eval", loss=1, accuracy=0.7)
    ]
    drawn = plots.plots(rows, "Data <A & B>", {"root operator": 0.363})
    paths = plots.write(tmp_path / "plots", drawn)
    assert {path.suffix for path in paths} == {".svg", ".png"}
    text = plots.svg(drawn["accuracy"])
    words = [element.text for element in ElementTree.fromstring(text).iter() if element.text]
    assert "root operator 0.363" in words
    assert "Data <A & B>: accuracy" in words


def test_a_run_without_rows_draws_nothing(tmp_path):
    assert plots.write(tmp_path, plots.plots([], "x", {})) == []


def test_the_clock_counts_updates_of_this_process_and_leaves_pauses_out():
    clock = Clock(total=100, first=40, limit_s=None, started=time.perf_counter())
    clock.go()
    time.sleep(0.02)
    clock.done = 50
    clock.pause()
    before = clock.steps_per_s
    time.sleep(0.05)
    assert clock.steps_per_s == before
    assert 0 < before <= 10 / 0.02
    assert clock.eta_s > 0.3


def test_a_forecast_within_the_tolerance_goes_on():
    clock = Clock(total=51, first=0, limit_s=1000.0, started=time.perf_counter())
    clock.done = 50
    clock.check()


def test_a_limit_that_has_passed_names_the_updates_that_fit():
    clock = Clock(total=100, first=0, limit_s=1.0, started=time.perf_counter() - 5)
    clock.go()
    clock.done = 10
    with pytest.raises(CandidateFault, match=r"10 of 100 updates done") as found:
        clock.check()
    assert found.value.kind is Kind.TIMEOUT
    assert found.value.details["phase"] == "limit"


def test_scores_are_mean_cross_entropy_and_share_of_hits():
    logits = np.log(np.array([[0.7, 0.3], [0.2, 0.8], [0.6, 0.4]], np.float32))
    loss, accuracy = metrics.scores(logits, np.array([0, 1, 1]), "test")
    assert loss == pytest.approx(-np.mean(np.log([0.7, 0.8, 0.4])), rel=1e-6)
    assert accuracy == pytest.approx(2 / 3)


def test_huge_logits_do_not_overflow():
    assert metrics.scores(np.array([[1e30, -1e30]], np.float32), np.array([0]), "x") == (0.0, 1.0)


def test_rows_become_lines_for_people():
    train = row(100, loss=1.5, steps_per_s=12.3, tokens_per_s=31_000.0, eta_s=3725)
    assert progress.line(train, 1500) == " 100/1500  loss 1.5000  12.3 updates/s  31,000 tokens/s  1:02:05 to go"
    assert progress.line(row(110, loss=1.0), 1500) is None
    assert progress.line({"kind": "warning", "step": 50, "text": "slow"}, 1500) == "warning: slow"
