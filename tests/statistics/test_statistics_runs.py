"""Rows of runs out of real event logs: validity, scores, gaps, costs, settings, and logs that are not in order."""

import dataclasses

import pytest
import study_runs
from study_runs import Node

from aira_jax.runs import studies
from aira_jax.search.log.events import DamagedLog
from aira_jax.statistics.rows import State
from aira_jax.statistics.tasks import Setup

THREE = [Node(0.40, 0.38), Node(None, failure="oom"), Node(0.50, 0.45), Node(0.45, 0.47), Node(0.30, tested=False)]


def row(tmp_path, nodes=THREE, **options):
    return studies.read(study_runs.write(tmp_path, nodes, **options))


def test_a_run_in_numbers(tmp_path):
    found = row(tmp_path, repeats=(0.44, 0.46))
    assert (found.submitted, found.validation, found.test, found.repeats) == (2, 0.50, 0.45, (0.44, 0.46))
    assert (found.best_test, found.best_validation) == (0.47, 0.50)
    assert (found.nodes, found.good, found.tested, found.failures) == (5, 4, 3, {"oom": 1})
    assert (found.usd, found.tokens) == (2.5, 550)
    assert (found.agent, found.scaffold, found.proposer, found.seed, found.profile) == (
        "greedy-opus", "greedy", "anthropic", 0, "paper",
    )  # fmt: skip
    assert found.valid
    assert not found.control
    assert found.state is State.FINISHED
    assert found.generalisation_gap == pytest.approx(0.02)
    assert found.val_test_gap == pytest.approx(0.05)


def test_where_lower_is_better_the_gap_is_still_positive(tmp_path):
    found = row(tmp_path, [Node(3.2, 3.3), Node(3.1, 3.4)], task=study_runs.LOSS)
    assert (found.submitted, found.test, found.best_test) == (1, 3.4, 3.3)
    assert found.generalisation_gap == pytest.approx(0.1)


@pytest.mark.parametrize(
    "nodes, options, state",
    [
        ([Node(None)], {}, State.FINISHED),
        ([Node(0.4, 0.4)], {"submit": False}, State.FINISHED),
        ([Node(0.4, None)], {}, State.FINISHED),  # its test score is no number
        ([Node(0.4, tested=False)], {}, State.UNSCORED),
        ([Node(0.4, tested=False)], {"submit": False, "stop": ""}, State.UNFINISHED),
        ([Node(0.4, tested=False)], {"submit": False, "stop": "interrupt"}, State.UNFINISHED),
        ([Node(None)], {"stop": "auth"}, State.UNFINISHED),
    ],
)
def test_runs_that_are_not_valid(tmp_path, nodes, options, state):
    found = row(tmp_path, nodes, **options)
    assert not found.valid
    assert found.state is state
    assert (found.test, found.generalisation_gap, found.val_test_gap) == (None, None, None)


def test_the_gap_is_empty_where_nothing_but_the_submission_was_tested(tmp_path):
    found = row(tmp_path, [Node(0.5, 0.4), Node(0.3, tested=False)])
    assert (found.test, found.generalisation_gap) == (0.4, None)


def test_the_best_so_far_of_every_step(tmp_path):
    steps = row(tmp_path).steps
    assert [s.step for s in steps] == [1, 2, 3, 4, 5]
    assert [s.best for s in steps] == [0.40, 0.40, 0.50, 0.50, 0.50]
    assert [s.is_new_best for s in steps] == [True, False, True, False, False]
    assert [s.test for s in steps] == [0.38, None, 0.45, 0.47, None]
    assert steps[1].failure_class == "oom"


@pytest.mark.parametrize(
    "options, control",
    [
        ({"backend": "control.random", "agent": "anything"}, True),
        ({"backend": "anthropic", "agent": "greedy-control.random"}, False),
        ({"backend": "", "agent": "greedy-control.random"}, True),
    ],
)
def test_controls_are_told_by_who_proposed(tmp_path, options, control):
    assert row(tmp_path, **options).control is control


def test_settings_are_read_from_model_py_even_out_of_a_blob(tmp_path):
    large = study_runs.MODEL.format(lr="2e-3") + "#" * 70_000
    found = row(tmp_path, [Node(0.4, files={"model.py": large})], task=study_runs.CONFIGURABLE)
    (step,) = found.steps
    assert found.task.setup is Setup.CONFIGURABLE
    assert (step.settings["emb_dim"], step.settings["learning_rate"]) == (32, 2e-3)
    assert step.settings["num_layers"] == 4  # the default


def test_a_design_is_called_what_its_docstring_says(tmp_path):
    source = '"""Bi-SSM: two scans.\n\nMore."""\nx = 1\n'
    nodes = [Node(0.4, files={"model.py": text}) for text in (source, "x = 1\n", "def (")]
    assert [step.title for step in row(tmp_path, nodes).steps] == ["Bi-SSM: two scans.", "", ""]


def test_settings_that_the_evaluator_reports_win(tmp_path):
    node = Node(0.4, files={"model.py": study_runs.MODEL.format(lr="2e-3")}, settings={"emb_dim": 99})
    (step,) = row(tmp_path, [node], task=study_runs.CONFIGURABLE).steps
    assert step.settings == {"emb_dim": 99}


def test_settings_of_a_task_that_fixes_them_and_unreadable_ones_are_none(tmp_path):
    good, bad = (Node(0.4, files={"model.py": text}) for text in (study_runs.MODEL.format(lr=1e-3), "LR = f()\n"))
    assert row(tmp_path / "a", [good]).steps[0].settings is None
    assert row(tmp_path / "b", [bad], task=study_runs.CONFIGURABLE).steps[0].settings is None


def test_a_task_without_a_folder_is_raw_only(tmp_path):
    found = row(tmp_path, task="SomethingElseLoss", lower_is_better=True, metric="Loss")
    assert (found.task.metric, found.task.lower_is_better, found.task.yardstick) == ("Loss", True, None)
    assert any("has no folder here" in warning for warning in found.warnings)


def test_a_task_that_nobody_knows_is_refused_with_its_nearest_name(tmp_path):
    folder = study_runs.write(tmp_path, THREE, task="LongContextReasoningLRALiztOpsAccuracy", lower_is_better=None)
    with pytest.raises(ValueError, match=r"whether lower is better.*did you mean"):
        studies.read(folder)


def test_a_torn_last_line_is_left_out_and_told(tmp_path):
    folder = study_runs.write(tmp_path, THREE)
    log = folder / "events.jsonl"
    log.write_bytes(log.read_bytes()[:-9])  # within the test result of node 3
    torn = studies.read(folder)
    assert (torn.test, torn.tested, torn.best_test) == (0.45, 2, 0.45)
    assert any("ends within a record" in warning for warning in torn.warnings)


def test_a_damaged_log_and_a_missing_blob_are_refused(tmp_path):
    folder = study_runs.write(tmp_path / "a", THREE)
    log = folder / "events.jsonl"
    log.write_bytes(log.read_bytes().replace(b'"fitness":0.4,', b'"fitness":0.9,', 1))
    with pytest.raises(DamagedLog, match="checksum"):
        studies.read(folder)
    folder = study_runs.write(tmp_path / "b", [Node(0.4, files={"model.py": "#" * 70_000})])
    next((folder / "blobs").iterdir()).unlink()
    with pytest.raises(DamagedLog, match="missing"):
        studies.read(folder)


def test_a_log_in_which_nothing_began_is_refused(tmp_path):
    (tmp_path / "events.jsonl").write_text("")
    with pytest.raises(ValueError, match="no run_start record"):
        studies.read(tmp_path)


def test_derived_files_change_nothing(tmp_path):
    folder = study_runs.write(tmp_path, THREE)
    before = studies.read(folder)
    (folder / "nodes").mkdir()
    (folder / "config.json").write_text('{"seed": 9}')
    assert dataclasses.asdict(studies.read(folder)) == dataclasses.asdict(before)
