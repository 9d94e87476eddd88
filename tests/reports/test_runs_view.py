"""What reports read from a log beside the tree."""

import dataclasses

import pytest
import synthetic_run

from aira_jax.runs import view as views
from aira_jax.runs.view import RunView
from aira_jax.search.log import events


def test_the_generator_seals_records_as_the_log_does():
    record = {
        "detail": "500 of 500 steps used",
        "kind": "stop",
        "mono": 12.5,
        "reason": "steps",
        "seq": 7,
        "t": 1700000000.0,
        "v": 1,
    }
    assert b'"crc":"b231181d"' in synthetic_run.sealed(record)
    assert synthetic_run.sealed(record) == events.encode(record)


def test_every_point_is_the_ledger_at_its_commit(small_view):
    last = small_view.points[-1]
    spent = small_view.tree.spent
    assert [point.steps for point in small_view.points] == list(range(1, 16))
    assert last.tokens == spent.tokens
    assert last.usd == pytest.approx(spent.usd)
    assert last.device_s == pytest.approx(spent.device_s)
    assert 0 < spent.wall_s - last.wall_s < 0.1  # submit and stop follow the last commit


def test_best_so_far_never_gets_worse_and_ends_at_the_best_node(small_view):
    bests = [point.best for point in small_view.points if point.best is not None]
    assert bests == sorted(bests)
    assert bests[-1] == small_view.best.node.fitness
    assert [p.node for p in small_view.points if p.is_new_best] == [n.id for n in small_view.tree.running_bests]


def test_lower_can_be_better(tmp_path):
    shape = synthetic_run.Shape(lower_is_better=True)
    view = RunView.read(synthetic_run.write(tmp_path / "run", shape))
    bests = [point.best for point in view.points if point.best is not None]
    assert bests == sorted(bests, reverse=True)
    assert bests[-1] == min(node.fitness for node in view.tree.good)


def test_wall_clock_sums_sessions_and_leaves_test_scoring_out():
    records = [
        {"kind": "session_start", "mono": 0.0, "purpose": "search"},
        {"kind": "heartbeat", "mono": 10.0},
        {"kind": "session_start", "mono": 0.0, "purpose": "test"},
        {"kind": "exec_end", "mono": 500.0, "phase": "score_test", "device_s": 500.0},
        {"kind": "session_start", "mono": 0.5, "purpose": "search"},
        {"kind": "exec_end", "mono": 3.0, "phase": "score_validation", "device_s": 2.0},
        {"kind": "node", "node": 0, "t": 9.0, "mono": 4.0, "status": "good", "fitness": 0.5},
    ]
    (point,) = views.search_points(records, lower_steers=False)
    assert (point.wall_s, point.device_s) == (14.0, 2.0)


def test_one_unpriced_call_leaves_dollars_unknown_from_there_on(tmp_path):
    view = RunView.read(synthetic_run.write(tmp_path / "run", synthetic_run.Shape(priced=False)))
    assert {point.usd for point in view.points} == {None}


def test_outputs_come_whole_from_their_blobs(tmp_path):
    shape = synthetic_run.Shape(nodes=3, output_lines=3000)
    view = RunView.read(synthetic_run.write(tmp_path / "run", shape))
    assert all(f"epoch {i:3d}  loss" in view.nodes[0].output for i in (0, 1500, 2999))


def test_a_config_holds_the_changes_of_later_sessions(own_run):
    records = list(events.read(own_run))
    records[1]["config_changes"] = {"budget.steps": [15, 30], "workers.n": [1, 2]}
    view = views.fold(records, events.Blobs(own_run / "blobs"))
    assert view.config["budget"]["steps"] == 30
    assert view.config["workers"]["n"] == 2
    assert records[0]["config"]["budget"]["steps"] == 15


def test_a_stop_is_taken_back_by_a_later_action(own_run):
    blobs = events.Blobs(own_run / "blobs")
    records = [r for r in events.read(own_run) if r["kind"] != "test_result"]
    assert views.fold(records, blobs).stop["reason"] == "steps"
    more = {"kind": "action", "node": 15, "operator": "draft", "parents": [], "mono": 1.0}
    assert views.fold([*records, more], blobs).stop is None


def test_a_run_that_is_cut_off_can_be_read_at_every_record(small_run):
    records, blobs = events.read(small_run), events.Blobs(small_run / "blobs")
    for end in range(1, len(records) + 1):
        view = views.fold(records[:end], blobs)
        assert len(view.nodes) == len(view.tree.nodes)


def test_a_folder_without_a_run_is_refused_with_its_mend(tmp_path):
    with pytest.raises(ValueError, match=r"does not exist; name a run directory"):
        RunView.read(tmp_path)
    (tmp_path / "events.jsonl").write_bytes(synthetic_run.sealed({"kind": "warning", "seq": 0, "v": 1, "text": "x"}))
    with pytest.raises(ValueError, match=r"no run_start record"):
        RunView.read(tmp_path)


def test_node_results_say_what_ran(small_view):
    view = small_view.submitted
    result = view.result
    assert result["fitness"] == view.node.fitness
    assert [e["phase"] for e in result["executions"]] == [e.phase for e in view.executions]
    assert dataclasses.asdict(view.node.usage) == result["usage"]
