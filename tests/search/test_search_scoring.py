"""Fitness and test scores: who measures, with which seeds, on which account."""

import dataclasses
import json
import shutil
import signal

import pytest
from search_lab import TASK, TASKS, answer, records, replay_file, search, tree

from aira_jax.search import run
from aira_jax.search.engine import evaluation, scoring
from aira_jax.search.engine.step import printed_metric
from aira_jax.search.log.heldout import TestScores
from aira_jax.search.log.tree import NodeStatus
from aira_jax.search.run import Exit
from aira_jax.tasks import loader


def phases(folder):
    return [(r["node"], r["phase"], r["seed"]) for r in records(folder) if r["kind"] == "exec_end"]


def drafts(tmp_path, *xs):
    lines = [{"operator": "draft", "completion": answer(x)} for x in xs]
    return {
        "llm__backend": "replay",
        "llm__path": replay_file(tmp_path / "r.jsonl", lines),
        "budget__steps": len(xs),
    }


def test_several_evaluator_seeds_are_averaged(lab, tmp_path):
    done = search(tmp_path, eval__seeds=3, **drafts(tmp_path, 0.75))
    assert tree(done.folder).nodes[0].fitness == pytest.approx(1.0001)
    assert phases(done.folder)[1:] == [(0, "score_validation", seed) for seed in range(3)]


def test_only_trusted_programs_see_labels(lab, tmp_path):
    search(tmp_path, **drafts(tmp_path, 0.5))
    check, score = lab.jobs
    assert check.mounts == ()
    assert [mount.target for mount in score.mounts][-1] == "data/validation_with_labels"
    assert not any("test_with_labels" in mount.target for mount in score.mounts)


def test_after_a_search_the_submitted_node_and_all_running_bests_are_scored_on_test(lab, tmp_path):
    done = search(tmp_path, test__when="after", test__repeat_winner=2, **drafts(tmp_path, 0.5, 0.3, 0.6, 0.55, 0.7))
    scores = TestScores.fold(records(done.folder))
    assert sorted(scores.scores) == [0, 2, 4]
    assert scores.value(4) == pytest.approx(0.94)
    assert scores.scores[4].repeats == {1: pytest.approx(0.9401), 2: pytest.approx(0.9402)}
    found = tree(done.folder)
    assert found.stop["reason"] == "steps"
    assert found.spent.device_s == sum(node.device_s for node in found.nodes)
    assert [r["purpose"] for r in records(done.folder) if r["kind"] == "session_start"] == ["search", "tests"]
    assert len(found.sessions) == 1


def test_the_submitted_node_alone_may_be_scored_on_test(lab, tmp_path):
    done = search(tmp_path, test__when="submitted", test__repeat_winner=1, **drafts(tmp_path, 0.5, 0.3, 0.6))
    tested = [(r["node"], r["seed"]) for r in records(done.folder) if r["kind"] == "test_result"]
    assert tested == [(2, 0), (2, 1)]


def test_scores_of_all_nodes_can_be_added_later(lab, tmp_path):
    done = search(tmp_path, **drafts(tmp_path, 0.5, 0.3, 0.6))
    assert TestScores.fold(records(done.folder)).scores == {}
    scoring.score_run(done.folder, when="after_all", repeats=0)
    assert sorted(TestScores.fold(records(done.folder)).scores) == [0, 1, 2]
    executions = len(lab.jobs)
    scoring.score_run(done.folder, when="after_all", repeats=1)
    assert len(lab.jobs) == executions + 1


def test_a_run_whose_task_moved_is_scored_where_the_task_lies_now(lab, tmp_path):
    for place in ("here", "there"):
        shutil.copytree(TASKS / TASK, tmp_path / place / TASK)
    done = search(tmp_path, task=str(tmp_path / "here" / TASK), **drafts(tmp_path, 0.5))
    shutil.rmtree(tmp_path / "here")
    with pytest.raises(ValueError, match="name the place where it is: --task"):
        scoring.score_run(done.folder, when="submitted", repeats=0)
    scoring.score_run(done.folder, when="submitted", repeats=0, task=str(tmp_path / "there" / TASK))
    assert TestScores.fold(records(done.folder)).value(0) == pytest.approx(0.74)
    scoring.score_run(done.folder, when="submitted", repeats=1)
    assert TestScores.fold(records(done.folder)).scores[0].repeats == {1: pytest.approx(0.7401)}


def test_scoring_needs_a_finished_run(lab, tmp_path):
    with pytest.raises(ValueError, match="does not exist"):
        scoring.score_run(tmp_path)


def test_an_interrupt_while_scoring_on_test_is_taken_up_again(lab, tmp_path):
    def interrupt(job, flags):
        if flags["--split"] == "test":
            signal.raise_signal(signal.SIGINT)
            return 30.0

    options = drafts(tmp_path, 0.5, 0.7) | {"test__when": "after_all", "test__repeat_winner": 0}
    lab.before = interrupt
    stopped = search(tmp_path, **options)
    assert (stopped.exit, stopped.stopped.reason) == (Exit.INTERRUPTED, "interrupt")
    assert not scoring.score_run(stopped.folder)
    assert not TestScores.fold(records(stopped.folder)).scores
    lab.before = lambda job, flags: None
    assert search(tmp_path, **options).exit is Exit.DONE
    assert sorted(TestScores.fold(records(stopped.folder)).scores) == [0, 1]


def test_inline_scores_every_good_node_before_its_commit(lab, tmp_path):
    done = search(tmp_path, test__when="inline", test__repeat_winner=0, **drafts(tmp_path, 0.5, 0.3))
    order = [(r["kind"], r["node"]) for r in records(done.folder) if r["kind"] in ("test_result", "node")]
    assert order == [("test_result", 0), ("node", 0), ("test_result", 1), ("node", 1)]


def test_without_a_good_node_nothing_is_submitted_or_scored(lab, tmp_path):
    lines = [{"operator": "draft", "completion": answer(0.5, "boom\n")}]
    options = {"llm__backend": "replay", "llm__path": replay_file(tmp_path / "r.jsonl", lines)}
    done = search(tmp_path, budget__steps=1, test__when="after", **options)
    assert done.exit is Exit.DONE
    assert tree(done.folder).submitted is None
    assert TestScores.fold(records(done.folder)).scores == {}


def test_confirmation_submits_the_best_mean_over_fresh_seeds(lab, tmp_path, monkeypatch):
    """Node 1 wins by luck under seed 0; under fresh seeds node 2 is better."""
    real = evaluation.Evaluator._score
    luck = {(1, 0): 0.3}

    def lucky(self, slot, node, files, split, seed, recorded):
        end = real(self, slot, node, files, split, seed, recorded)
        if (node, seed) in luck:
            end = {**end, "result": {**end["result"], "value": end["result"]["value"] + luck[node, seed]}}
        return end

    monkeypatch.setattr(evaluation.Evaluator, "_score", lucky)
    options = drafts(tmp_path, 0.1, 0.5, 0.6)
    confirm = {"confirm__top_k": 2, "confirm__seeds": 3, "confirm__baseline": "first_draft"}
    done = search(tmp_path, **options, **confirm)
    found = tree(done.folder)
    assert found.best.id == 1
    assert found.submitted == 2
    submit = next(r for r in records(done.folder) if r["kind"] == "submit")
    assert (submit["rule"], submit["fitness"]) == ("confirmed", pytest.approx(0.85 + 0.0002))
    fresh = [item for item in phases(done.folder) if item[2] > 0]
    assert sorted(fresh) == [(node, "score_validation", seed) for node in (0, 1, 2) for seed in (1, 2, 3)]
    executions = len(lab.jobs)
    search(tmp_path, **options, **confirm)
    assert len(lab.jobs) == executions


def signalled(monkeypatch, curves):
    """The lab's evaluator, which reports a curve besides: `curves` by node, a little more with every seed."""
    real = evaluation.Evaluator._score

    def score(self, slot, node, files, split, seed, recorded):
        end = real(self, slot, node, files, split, seed, recorded)
        extra = {"signals": {"curve": curves[node] and curves[node] + 0.01 * seed}}
        end = {**end, "result": {**end["result"], "extra": extra}}
        return end

    monkeypatch.setattr(evaluation.Evaluator, "_score", score)
    monkeypatch.setattr(run, "_check_signal", lambda settings, task: None)


def test_a_search_is_steered_by_its_signal_and_keeps_the_metric_beside_it(lab, tmp_path, monkeypatch):
    signalled(monkeypatch, [2.2, 2.0, 2.1])
    done = search(tmp_path, eval__signal="curve", eval__seeds=2, **drafts(tmp_path, 0.6, 0.1, 0.3))
    found = tree(done.folder)
    assert [node.signal for node in found.nodes] == pytest.approx([2.205, 2.005, 2.105])
    assert max(found.nodes, key=lambda node: node.fitness).id == 0
    assert found.best.id == found.submitted == 1
    assert [node.id for node in found.running_bests] == [0, 1]
    submit = next(r for r in records(done.folder) if r["kind"] == "submit")
    assert submit["fitness"] == found.nodes[1].fitness
    assert found.nodes[1].summary == "signal (curve) 2.005"


def test_an_evaluator_that_reports_no_signal_makes_no_good_node(lab, tmp_path, monkeypatch):
    signalled(monkeypatch, [None])
    node = tree(search(tmp_path, eval__signal="curve", **drafts(tmp_path, 0.6)).folder).nodes[0]
    assert (node.status, node.fitness, node.failure_class) == (NodeStatus.BUGGY, None, "nan")


def test_a_task_with_its_metric_alone_cannot_be_steered_by_a_signal(lab, tmp_path):
    with pytest.raises(ValueError, match=r"reports its metric alone, use config\.eval\.signal=metric"):
        search(tmp_path, eval__signal="loss", **drafts(tmp_path, 0.6))


def test_a_defect_of_the_evaluator_is_tried_twice_and_never_blamed_on_the_candidate(lab, tmp_path, monkeypatch):
    calls = []

    def defect(job, flags):
        if flags["--stage"] == "all":
            calls.append(1)
            (job.workdir / "answer.txt").unlink()

    lab.before = defect
    import search_lab

    real = search_lab.EVALUATE
    monkeypatch.setattr(
        search_lab,
        "EVALUATE",
        lambda path, *rest: (
            real(path, *rest) if path.exists() else (1, {"value": None, "message": "no data", "failure_class": "infra"})
        ),
    )
    done = search(tmp_path, **drafts(tmp_path, 0.5))
    node = tree(done.folder).nodes[0]
    assert (node.status, node.failure_class, len(calls)) == (NodeStatus.FAILED, "infra", 2)


@pytest.fixture
def fitted(lab, monkeypatch):
    """The toy task as one whose candidates are code: fit without labels, then score with them."""
    load = loader.load
    monkeypatch.setattr(loader, "load", lambda name: dataclasses.replace(load(name), executes_candidate=True))
    return lab


def test_code_is_fitted_without_labels_and_scored_without_running(fitted, tmp_path):
    read = []
    fitted.before = lambda job, flags: read.extend(
        mount.source.joinpath("p.txt").read_text() for mount in job.mounts if mount.target == "predictions"
    )
    done = search(tmp_path, sandbox__fit_s=50.0, sandbox__score_s=40.0, **drafts(tmp_path, 0.5))
    _, fit, score = fitted.jobs
    assert [phase for _, phase, _ in phases(done.folder)] == ["check", "fit_validation", "score_validation"]
    assert not any("labels" in mount.target for mount in fit.mounts)
    assert any(path.name == "labels" for path in fit.hidden)
    assert score.hidden == ()
    for job, limit_s in ((fit, 50.0), (score, 40.0)):
        assert float(job.argv[job.argv.index("--time-limit-s") + 1]) == limit_s
        assert job.limits.wall_s == limit_s
    assert {mount.target for mount in score.mounts} >= {"data/validation_with_labels", "predictions"}
    assert read == ["1"]
    assert tree(done.folder).nodes[0].fitness == pytest.approx(0.75)
    assert not (tmp_path / "runs" / ".work").exists() or not list((tmp_path / "runs" / ".work").iterdir())


@pytest.mark.parametrize("lost", [False, True])
def test_a_crash_between_fit_and_score_fits_again_only_when_the_predictions_are_gone(fitted, tmp_path, lost):
    options = drafts(tmp_path, 0.5)
    whole = search(tmp_path, "whole", **options)
    lines = (whole.folder / "events.jsonl").read_bytes().splitlines(keepends=True)
    cut = next(i for i, line in enumerate(lines) if b'"exec_end"' in line and b"fit_validation" in line) + 1
    folder = tmp_path / "cut" / whole.folder.relative_to(tmp_path / "whole")
    folder.mkdir(parents=True)
    (folder / "events.jsonl").write_bytes(b"".join(lines[:cut]))
    (folder / "blobs").symlink_to(whole.folder / "blobs")
    if not lost:
        kept = tmp_path / "cut" / ".work" / "-".join(folder.parts[-3:]) / "0000-validation-0"
        kept.mkdir(parents=True)
        (kept / "p.txt").write_text("1")
    fitted.jobs.clear()
    search(tmp_path, "cut", **options)
    stages = [job.argv[job.argv.index("--stage") + 1] for job in fitted.jobs]
    assert stages == (["fit", "score"] if lost else ["score"])
    assert tree(folder).fingerprint() == tree(whole.folder).fingerprint()


def test_predictions_that_nobody_scored_give_way_to_new_ones(fitted, tmp_path):
    stale = tmp_path / "runs" / ".work" / "ToyNumbersAccuracy-greedy-replay-seed_0" / "0000-validation-0"
    stale.mkdir(parents=True)
    (stale / "old.txt").touch()
    read = []
    fitted.before = lambda job, flags: read.extend(
        path.name for mount in job.mounts if mount.target == "predictions" for path in mount.source.iterdir()
    )
    assert tree(search(tmp_path, **drafts(tmp_path, 0.5)).folder).nodes[0].is_good
    assert read == ["p.txt"]


SOLUTION = """
open("answer.txt", "w").write("x=0.600000\\n")
print("Accuracy: 0.2")
print("Accuracy: {claim}")
"""


def solution(claim):
    return f"Measure.\n\n``` path=solution.py{SOLUTION.format(claim=claim)}```\n"


def test_a_candidate_without_the_artifact_runs_its_script_first(lab, tmp_path, monkeypatch):
    load = loader.load
    monkeypatch.setattr(loader, "load", lambda name: dataclasses.replace(load(name), starter={}))
    lines = [{"operator": "draft", "completion": solution(0.99)}]
    options = {"llm__backend": "replay", "llm__path": replay_file(tmp_path / "r.jsonl", lines)}
    done = search(tmp_path, budget__steps=1, test__when="after", test__repeat_winner=0, **options)
    node = tree(done.folder).nodes[0]
    assert node.exported == {"answer.txt": "x=0.600000\n"}
    assert (node.fitness, node.fitness_source) == (pytest.approx(0.85), "evaluator")
    assert TestScores.fold(records(done.folder)).value(0) == pytest.approx(0.84)


def test_a_duplicate_of_a_candidate_that_was_run_has_what_it_wrote(lab, tmp_path, monkeypatch):
    load = loader.load
    monkeypatch.setattr(loader, "load", lambda name: dataclasses.replace(load(name), starter={}))
    lines = [{"operator": "draft", "completion": solution(0.99)}] * 2
    options = {"llm__backend": "replay", "llm__path": replay_file(tmp_path / "r.jsonl", lines)}
    done = search(tmp_path, budget__steps=2, test__when="after_all", test__repeat_winner=0, **options)
    assert tree(done.folder).nodes[1].duplicate_of == 0
    assert TestScores.fold(records(done.folder)).value(1) == pytest.approx(0.84)


def test_a_task_in_the_original_format_is_scored_by_what_its_evaluator_prints(lab, tmp_path, monkeypatch):
    load = loader.load
    monkeypatch.setattr(loader, "load", lambda name: dataclasses.replace(load(name), cli=1))
    verdict = {"is_bug": False, "summary": "fine", "metric": 0.7}
    lines = [
        {"operator": "draft", "completion": solution(0.7)},
        {"operator": "analyze", "completion": json.dumps(verdict)},
    ]
    options = {"llm__backend": "replay", "llm__path": replay_file(tmp_path / "r.jsonl", lines)}
    done = search(tmp_path, budget__steps=1, fitness="self_reported", test__when="submitted", **options)
    assert tree(done.folder).nodes[0].fitness == 0.7
    assert [phase for _, phase, _ in phases(done.folder)] == ["candidate", "score_test", "score_test"]
    assert [job.argv[2:] for job in lab.jobs[1:]] == 2 * [("--submission-file", "answer.txt")]
    assert TestScores.fold(records(done.folder)).value(0) == pytest.approx(0.84)


def test_code_does_not_run_where_hiding_the_runs_would_hide_the_program(fitted, tmp_path):
    with pytest.raises(ValueError, match=r"--workdir=/ holds .*; choose a folder of its own, such as /runs"):
        search(tmp_path, workdir="/", **drafts(tmp_path, 0.5))


def test_a_task_in_the_original_format_has_no_other_fitness(lab, tmp_path, monkeypatch):
    load = loader.load
    monkeypatch.setattr(loader, "load", lambda name: dataclasses.replace(load(name), cli=1))
    with pytest.raises(ValueError, match=r"no validation scoring; use --config\.fitness=self_reported"):
        search(tmp_path)


@pytest.mark.parametrize(
    ("verdict", "fitness"),
    [
        ({"is_bug": False, "summary": "fine", "metric": 0.99}, 0.99),
        ({"is_bug": True, "summary": "cheats", "metric": None}, None),
    ],
)
def test_self_reported_fitness_is_what_the_analyst_reads(lab, tmp_path, verdict, fitness):
    lines = [
        {"operator": "draft", "completion": solution(0.99)},
        {"operator": "analyze", "completion": json.dumps(verdict)},
    ]
    options = {"llm__backend": "replay", "llm__path": replay_file(tmp_path / "r.jsonl", lines)}
    done = search(tmp_path, budget__steps=1, fitness="self_reported", test__when="after", **options)
    node = tree(done.folder).nodes[0]
    assert node.fitness == fitness
    assert node.summary == verdict["summary"]
    assert node.is_good == (fitness is not None)
    if node.is_good:
        assert node.fitness_source == "self_reported"
        assert TestScores.fold(records(done.folder)).value(0) == pytest.approx(0.84)


def test_an_analyst_that_never_answers_means_a_bug(lab, tmp_path):
    lines = [{"operator": "draft", "completion": solution(0.99)}] + [{"operator": "analyze", "completion": "well"}] * 4
    options = {"llm__backend": "replay", "llm__path": replay_file(tmp_path / "r.jsonl", lines)}
    done = search(tmp_path, budget__steps=1, fitness="self_reported", **options)
    node = tree(done.folder).nodes[0]
    assert (node.status, node.summary) == (NodeStatus.BUGGY, "analysis unavailable")


def test_an_analyst_may_explain_what_the_evaluator_measured(lab, tmp_path):
    lines = [
        {"operator": "draft", "completion": answer(0.5)},
        {"operator": "analyze", "completion": '{"is_bug": true, "summary": "I doubt it", "metric": 0.1}'},
    ]
    options = {"llm__backend": "replay", "llm__path": replay_file(tmp_path / "r.jsonl", lines)}
    done = search(tmp_path, budget__steps=1, analyze__llm=True, **options)
    node = tree(done.folder).nodes[0]
    assert (node.fitness, node.summary) == (pytest.approx(0.75), "I doubt it")


@pytest.mark.parametrize(
    ("output", "value"),
    [
        ("Accuracy: 0.5\nAccuracy = 0.75\n", 0.75),
        ("validation Accuracy: 1e-3", 0.001),
        ("accuracy 3", None),
        ("Accuracy: .85", 0.85),
        ("  Accuracy: -0.5, loss: 2\n", -0.5),
        ("Accuracy: 0.9\nAccuracy: nan", None),
        ("Accuracy: 1e400", None),
        ("Accuracy: 85%\n", None),
        ("Accuracy: 85 %\n", None),
        ("Accuracy: 0.5.1", None),
        ("Accuracy: 0.7\nTrain Accuracy: 0.99\n", 0.7),
        ("MeanAccuracy: 0.99", None),
        ("Accuracy:\n0.99", None),
        ("", None),
    ],
)
def test_the_last_printed_metric_counts(output, value):
    assert printed_metric(output, "Accuracy") == value


def test_a_run_of_generated_rows_draws_them_from_a_secret_that_its_log_keeps():
    from aira_jax.search.engine.session import data_seed
    from aira_jax.search.settings import Eval, Settings
    from aira_jax.tasks import loader

    task = loader.load("LongContextReasoningLRAListOpsAccuracy")
    first, second = (data_seed(Settings(), task, []) for _ in range(2))
    assert 0 <= first < 2**63
    assert first != second
    assert data_seed(Settings(), task, [{"kind": "run_start", "data_seed": first}]) == first
    assert data_seed(Settings(), task, [{"kind": "run_start"}]) is None  # begun by an older version
    assert data_seed(Settings(eval=Eval(hidden_seed=0)), task, []) == 0
    for fixed in ("LongContextReasoningLRATextAccuracy", "NeuralArchitectureSearchMAD2PrimitivesAccuracy"):
        assert data_seed(Settings(), loader.load(fixed), []) is None


def test_rows_of_one_run_go_when_it_is_done_and_shared_rows_stay(monkeypatch):
    from aira_jax.search.engine import session
    from aira_jax.search.settings import Eval, Settings
    from aira_jax.tasks import loader

    gone = []
    monkeypatch.setattr(session.mounts, "discard", lambda task, *_, hidden_seed, **__: gone.append(hidden_seed))
    task = loader.load("LongContextReasoningLRAListOpsAccuracy")
    session.discard_secret_rows(Settings(), task, 17)
    session.discard_secret_rows(Settings(), task, None)  # begun by an older version
    session.discard_secret_rows(Settings(eval=Eval(hidden_seed=5)), task, 5)
    session.discard_secret_rows(Settings(), loader.load("LongContextReasoningLRATextAccuracy"), None)
    assert gone == [17]
