"""A folder of runs: what is counted, what is left out and named, what is refused with its mend."""

import pytest
import study_runs
from study_runs import Node

from aira_jax.runs import studies
from aira_jax.statistics import summary
from aira_jax.statistics.study import Incomplete, StudyOptions
from aira_jax.tasks import loader

GOOD = [Node(0.4, 0.4)]


def test_runs_are_ordered_by_task_agent_and_seed(tmp_path):
    for seed in (2, 0, 1):
        study_runs.write(tmp_path, GOOD, seed=seed)
    study_runs.write(tmp_path, GOOD, agent="greedy-control.random", backend="control.random")
    study_runs.write(tmp_path, GOOD, task=study_runs.MAD)
    found = studies.study([tmp_path])
    assert [(row.agent, row.seed) for row in found.rows][:4] == [
        ("greedy-control.random", 0), ("greedy-opus", 0), ("greedy-opus", 1), ("greedy-opus", 2),
    ]  # fmt: skip
    assert found.agents == ("greedy-opus", "greedy-control.random")
    assert found.controls == ("greedy-control.random",)
    assert [task.label for task in found.tasks] == ["LRA ListOps", "MADToyAccuracy"]
    assert (found.skipped, found.notes) == ((), ())


def test_a_run_that_cannot_be_read_is_named_and_the_others_count(tmp_path):
    bad = study_runs.write(tmp_path, GOOD, seed=1)
    (bad / "events.jsonl").write_bytes(b"not json\n" + (bad / "events.jsonl").read_bytes())
    study_runs.write(tmp_path, GOOD)
    found = studies.study([tmp_path])
    assert len(found.rows) == 1
    (skipped,) = found.skipped
    assert skipped.path == str(bad)
    assert "line 1" in skipped.reason


@pytest.mark.parametrize("start", [{"config": "x"}, {"profile": None}])
def test_a_run_with_a_malformed_record_is_named_and_the_others_count(tmp_path, start):
    study_runs.write(tmp_path, GOOD)
    study_runs.write(tmp_path, GOOD, seed=1, **start)
    (skipped,) = studies.study([tmp_path]).skipped
    assert "a record is malformed" in skipped.reason


def test_a_task_is_read_once_however_many_runs_it_has(tmp_path, monkeypatch):
    for seed in range(3):
        study_runs.write(tmp_path, GOOD, seed=seed)
    loaded, load = [], loader.load
    monkeypatch.setattr(loader, "load", lambda name: loaded.append(name) or load(name))
    studies.study([tmp_path])
    assert loaded == [study_runs.LISTOPS]


def test_when_no_run_can_be_read_every_reason_is_told(tmp_path):
    for seed in range(2):
        folder = study_runs.write(tmp_path, GOOD, seed=seed)
        (folder / "events.jsonl").write_bytes(b"x\ny\n")
    with pytest.raises(ValueError, match=r"no run could be read(.|\n)*seed_0(.|\n)*seed_1"):
        studies.study([tmp_path])


@pytest.mark.parametrize("missing", [False, True])
def test_a_folder_without_runs_is_refused(tmp_path, missing):
    with pytest.raises(ValueError, match=r"is no folder|holds no run"):
        studies.study([tmp_path / "x" if missing else tmp_path])


def incomplete(tmp_path):
    study_runs.write(tmp_path, GOOD)
    study_runs.write(tmp_path, [Node(0.4, tested=False)], seed=1)
    study_runs.write(tmp_path, [Node(0.4, tested=False)], seed=2, submit=False, stop="")


def test_incomplete_runs_count_as_they_stand_and_the_reader_is_told(tmp_path):
    incomplete(tmp_path)
    found = studies.study([tmp_path])
    assert [row.valid for row in found.rows] == [True, False, False]
    ended, scored = found.notes
    assert "not ended: 1 of 3 runs" in ended
    assert "scripts/search.py" in ended
    assert "never scored on test" in scored
    assert "scripts/score_tests.py" in scored


def test_incomplete_runs_can_be_left_out(tmp_path):
    incomplete(tmp_path)
    found = studies.study([tmp_path], StudyOptions(incomplete=Incomplete.LEAVE_OUT))
    assert [row.seed for row in found.rows] == [0]
    assert [skipped.reason.split(":")[0] for skipped in found.skipped] == ["unscored", "unfinished"]


def test_leaving_out_every_run_is_refused(tmp_path):
    study_runs.write(tmp_path, [Node(0.4, tested=False)])
    with pytest.raises(ValueError, match=r"all 1 runs.*score_tests"):
        studies.study([tmp_path], StudyOptions(incomplete=Incomplete.LEAVE_OUT))


@pytest.mark.parametrize("tasks", [(study_runs.MAD,) * 2, (study_runs.LISTOPS, study_runs.TEXT)])
def test_two_profiles_in_one_mean_are_refused_with_the_flag_that_mends_it(tmp_path, tasks):
    for seed, (task, profile) in enumerate(zip(tasks, ("smoke", "paper"), strict=True)):
        study_runs.write(tmp_path, GOOD, task=task, seed=seed, profile=profile)
    with pytest.raises(ValueError, match=r"mixed profiles(.|\n)*--profile=paper or smoke"):
        studies.study([tmp_path])
    assert studies.study([tmp_path], StudyOptions(profile="paper")).profiles == ("paper",)


def test_tasks_that_share_no_mean_may_have_profiles_of_their_own(tmp_path):
    study_runs.write(tmp_path, GOOD, task=study_runs.MAD, profile="demo")
    study_runs.write(tmp_path, GOOD, task=study_runs.LOSS, profile="smoke")
    study_runs.write(tmp_path, GOOD)
    assert len(studies.study([tmp_path]).rows) == 3


def test_a_run_that_is_named_twice_counts_once(tmp_path, monkeypatch):
    folder = study_runs.write(tmp_path, GOOD)
    monkeypatch.chdir(tmp_path)
    assert len(studies.study([".", tmp_path, folder]).rows) == 1


def test_two_runs_with_one_seed_are_refused_by_path(tmp_path):
    study_runs.write(tmp_path, GOOD)
    study_runs.write(tmp_path, GOOD, folder=tmp_path / "copy")
    with pytest.raises(ValueError, match=r"2 runs of greedy-opus.*seed 0(.|\n)*copy(.|\n)*move all but one"):
        studies.study([tmp_path])


@pytest.mark.parametrize("choice", [StudyOptions(task="LRAListOpsAccuracy"), StudyOptions(profile="papr")])
def test_a_choice_that_matches_nothing_is_refused_with_what_there_is(tmp_path, choice):
    study_runs.write(tmp_path, GOOD)
    with pytest.raises(ValueError, match="did you mean"):
        studies.study([tmp_path], choice)


def test_what_makes_runs_less_comparable_is_told(tmp_path):
    study_runs.write(tmp_path, GOOD, options={"budget": {"steps": 8}, "paths": {"cache_dir": "a"}})
    study_runs.write(tmp_path, GOOD, seed=1, options={"budget": {"steps": 9}}, task_sha="other")
    changed, differs = studies.study([tmp_path]).notes
    assert "its folder changed" in changed
    assert "greedy-opus differ in budget.steps:" in differs


def test_surrogates_and_different_data_are_named(tmp_path):
    study_runs.write(tmp_path, [Node(0.4, 0.4, extra={"data": "genuine", "surrogate": False})])
    study_runs.write(tmp_path, [Node(None), Node(0.4, 0.4, extra={"data": "made up", "surrogate": True})], seed=1)
    surrogate, different = studies.study([tmp_path]).notes
    assert "seed_1: LRA ListOps: a surrogate for its data (made up)" in surrogate
    assert "different data (genuine, made up)" in different


def test_a_warning_that_several_runs_share_is_told_once(tmp_path):
    for seed in range(3):
        study_runs.write(tmp_path, GOOD, task="SomethingElseLoss", seed=seed, validation_is_test=True)
    shared, same_data = studies.study([tmp_path]).notes
    assert shared.startswith("3 runs: task SomethingElseLoss has no folder here")
    assert "validation and test are the same data" in same_data


def test_at_a_small_profile_normalised_scores_come_with_a_warning(tmp_path):
    study_runs.write(tmp_path, GOOD, profile="smoke")
    (note,) = studies.study([tmp_path]).notes
    assert "profile smoke" in note


def test_runs_on_a_surrogate_have_no_normalised_score_and_carry_its_name(tmp_path):
    """One run tells that its task was posed on a surrogate; one whose nodes all failed cannot."""
    made_up = {"data": "AAN surrogate (1,665 papers)", "surrogate": True}
    failed = Node(None, extra={"kind": "oom"})
    study_runs.write(tmp_path, [failed, Node(0.4, 0.4, extra=made_up)], corpus="aan_docs.jsonl.gz (0123)")
    study_runs.write(tmp_path, [failed], seed=1)
    study_runs.write(tmp_path, GOOD, task=study_runs.TEXT)
    found = summary.summarise(studies.study([tmp_path]))
    surrogate, genuine = found.cells
    assert surrogate.task.label == "LRA ListOps, AAN surrogate (1,665 papers)"
    assert (surrogate.ns, surrogate.ns_observed, surrogate.ns_literature) == (None, None, None)
    assert surrogate.test.value == 0.4
    assert genuine.ns is not None
    assert found.agents[0].normalised_tasks == 1
