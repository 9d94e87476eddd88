"""The loop: equal outcomes for equal seeds whatever the timing, and what happens when things go wrong."""

import dataclasses
import errno
import json
import resource
import socket
import time
from collections import Counter
from types import SimpleNamespace

import pytest
import search_lab as lab_of
from search_lab import answer, random_sleeps, records, replay_file, search, tree

from aira_jax.core.rng import Stream, generator
from aira_jax.llm.base import ErrorKind, LLMError, Usage
from aira_jax.llm.control import Control
from aira_jax.search import policies, run
from aira_jax.search.engine import calls, executions, session
from aira_jax.search.log import events
from aira_jax.search.log.events import EventLog
from aira_jax.search.log.tree import Action, NodeStatus, Tree
from aira_jax.search.run import Exit
from aira_jax.tasks import loader


def kinds(folder, kind):
    return [record for record in records(folder) if record["kind"] == kind]


def trace(folder):
    return [(node.operator, node.parents, node.fitness) for node in tree(folder).nodes]


def test_one_shot_is_one_node_and_then_the_end(lab, tmp_path):
    done = search(tmp_path, policy__name="one_shot", workers__n=3)
    assert done.exit is Exit.DONE
    assert done.stopped.reason == "policy"
    assert len(tree(done.folder).nodes) == 1


def test_a_search_stops_at_its_steps_and_submits_the_best(lab, tmp_path):
    done = search(tmp_path, budget__steps=7)
    found = tree(done.folder)
    assert (done.exit, done.stopped.reason) == (Exit.DONE, "steps")
    assert len(found.commits) == 7
    assert found.submitted == found.best.id


def test_the_outcome_does_not_depend_on_timing(lab, tmp_path):
    lab.before = random_sleeps(0.03, 1)
    first = tree(search(tmp_path, "a", budget__steps=14, workers__n=4, workers__slots_per_device=4).folder)
    for repeat in range(2):
        lab.before = random_sleeps(0.03, 2 + repeat)
        again = search(tmp_path, f"b{repeat}", budget__steps=14, workers__n=4, workers__slots_per_device=3)
        assert tree(again.folder).fingerprint() == first.fingerprint()
        ids = [record["node"] for record in kinds(again.folder, "node")]
        assert ids == sorted(ids)


@pytest.mark.parametrize("policy", ["mcts", "evolution"])
def test_a_tree_that_is_grown_in_pieces_and_out_of_order_is_the_same(lab, tmp_path, policy):
    three = {"policy__name": policy, "policy__evolution__num_islands": 3, "workers__n": 3, "workers__eval": 3}
    three |= {"workers__slots_per_device": 3, "policy__evolution__migration_every": 2}
    whole = tree(search(tmp_path, "a", budget__steps=24, **three).folder)
    lab.before = random_sleeps(0.02, 3)
    for steps in (4, 9, 24):
        pieces = search(tmp_path, "b", budget__steps=steps, **three)
    assert tree(pieces.folder).fingerprint() == whole.fingerprint()
    assert {node.operator for node in whole.nodes} >= {"draft", "improve"}
    assert policy != "evolution" or any(node.operator == "crossover" for node in whole.nodes)


def test_workers_see_the_nodes_that_fifo_allows(lab, tmp_path):
    lab.before = random_sleeps(0.02, 5)
    done = search(tmp_path, budget__steps=12, workers__n=3, workers__slots_per_device=3)
    for record in kinds(done.folder, "action"):
        assert record["committed_upto"] == max(record["node"] - 3, -1)


def test_one_worker_is_the_sequential_search(lab, tmp_path):
    """The loop with n = 1 does what calling policy, proposer and evaluator one after the other does."""
    done = search(tmp_path, budget__steps=10)
    grown = Tree()
    config = policies.PolicyConfig()
    for record in records(done.folder):
        if record["kind"] == "action":
            rng = generator(0, Stream.POLICY, record["node"])
            action = policies.select(grown, rng, config)
            assert (str(action.operator), list(action.parents)) == (record["operator"], record["parents"])
        grown = grown.apply(record)


def test_asap_uses_every_slot_and_finishes(lab, tmp_path):
    lab.before = random_sleeps(0.02, 9)
    done = search(tmp_path, budget__steps=12, workers__n=3, workers__slots_per_device=3, workers__order="asap")
    assert sorted(tree(done.folder).commits) == list(range(12))


def truncated(source, target, size):
    """A copy of a run whose log ends after `size` bytes."""
    target.mkdir(parents=True)
    (target / "events.jsonl").write_bytes((source / "events.jsonl").read_bytes()[:size])
    (target / "blobs").symlink_to(source / "blobs")
    return target


def resume_everywhere(tmp_path, offsets, **options):
    """Cuts a finished run at each of `offsets(lines)` and resumes it."""
    done = search(tmp_path, "whole", budget__steps=12, **options)
    whole, data = tree(done.folder), (done.folder / "events.jsonl").read_bytes()
    relative = done.folder.relative_to(tmp_path / "whole")
    ends = [i + 1 for i, byte in enumerate(data) if byte == ord("\n")]
    for cut in offsets(ends):
        folder = truncated(done.folder, tmp_path / f"cut{cut}" / relative, cut)
        again = search(tmp_path, f"cut{cut}", budget__steps=12, **options)
        resumed = tree(folder)
        assert again.exit is Exit.DONE
        assert resumed.fingerprint() == whole.fingerprint(), cut
        assert (resumed.spent.steps, resumed.spent.tokens, resumed.spent.usd) == (12, 0, 0.0)
        assert resumed.submitted == whole.submitted
        assert bool(kinds(folder, "recovered")) == (cut not in (0, *ends)), cut


def sampled(ends):
    """Some ends of records, some insides, and every 29th byte of the last three."""
    inside = [end - 1 - 37 * i % 90 for i, end in enumerate(ends)][::9]
    return sorted({0, *ends[::4], *inside, *range(ends[-4], ends[-1], 29)})


def test_a_run_cut_anywhere_continues_to_the_same_end(lab, tmp_path):
    resume_everywhere(tmp_path, sampled)


def test_a_parallel_run_cut_anywhere_continues_to_the_same_end(lab, tmp_path):
    resume_everywhere(tmp_path, lambda ends: ends[::7], workers__n=3, workers__slots_per_device=3)


@pytest.mark.slow
def test_a_run_cut_at_every_byte_of_its_end_continues(lab, tmp_path):
    def every(ends):
        inside = [e - 1 - (i * 7919 * j) % 80 for i, e in enumerate(ends) for j in (1, 2, 3)]
        return sorted({*ends, *inside, *range(ends[-4], ends[-1] + 1)})

    resume_everywhere(tmp_path, every)


def test_a_finished_run_is_not_run_again(lab, tmp_path):
    done = search(tmp_path, budget__steps=5)
    executions = len(lab.jobs)
    again = search(tmp_path, budget__steps=5)
    assert again.exit is Exit.DONE
    assert len(lab.jobs) == executions
    assert tree(again.folder).fingerprint() == tree(done.folder).fingerprint()
    assert len(kinds(done.folder, "stop")) == len(kinds(done.folder, "submit")) == 1


def test_more_steps_continue_a_stopped_run_as_if_it_had_not_stopped(lab, tmp_path):
    search(tmp_path, "a", budget__steps=5)
    longer = search(tmp_path, "a", budget__steps=9)
    straight = search(tmp_path, "b", budget__steps=9)
    assert tree(longer.folder).fingerprint() == tree(straight.folder).fingerprint()
    assert kinds(longer.folder, "budget")[0]["limits"]["steps"] == 9
    assert kinds(longer.folder, "session_start")[-1]["config_changes"] == {"budget.steps": [5, 9]}


def test_fewer_steps_stop_at_once(lab, tmp_path):
    search(tmp_path, budget__steps=5)
    done = search(tmp_path, budget__steps=3)
    assert len(tree(done.folder).nodes) == 5


@pytest.mark.parametrize(
    ("option", "value", "shown"),
    [
        ("policy__greedy__num_drafts", 3, "config.policy.greedy.num_drafts: 5 in the log, 3 now"),
        ("profile", "paper", "config.profile: 'smoke' in the log, 'paper' now"),
        ("dedupe", "rerun", "config.dedupe: 'reuse' in the log, 'rerun' now"),
    ],
)
def test_a_run_is_not_continued_with_another_config(lab, tmp_path, option, value, shown):
    done = search(tmp_path, agent="a", budget__steps=2)
    before = (done.folder / "events.jsonl").read_bytes()
    with pytest.raises(ValueError, match="another config") as caught:
        search(tmp_path, agent="a", budget__steps=2, **{option: value})
    assert shown in str(caught.value)
    assert (done.folder / "events.jsonl").read_bytes() == before


def test_a_run_is_not_continued_with_another_version_of_its_task(lab, tmp_path, monkeypatch):
    search(tmp_path, budget__steps=2)
    load = loader.load
    monkeypatch.setattr(loader, "load", lambda name: dataclasses.replace(load(name), sha="0" * 64))
    with pytest.raises(ValueError, match="has changed since this run began"):
        search(tmp_path, budget__steps=3)


def test_the_clock_kills_what_runs_and_a_longer_one_runs_it_again(lab, tmp_path):
    lab.before = lambda job, flags: 30.0 if flags["--stage"] == "all" else 0.0
    done = search(tmp_path, budget__wall_s=1.5, budget__steps=3)
    found = tree(done.folder)
    assert (done.exit, done.stopped.reason) == (Exit.DONE, "wall")
    assert len(found.commits) == 0
    assert len(found.pending) == 1
    assert 1.3 < found.spent.wall_s < 20.0  # the evaluation would sleep for 30
    killed = kinds(done.folder, "exec_end")[-1]
    assert (killed["status"], killed["failure_class"]) == ("killed", None)
    lab.before = lambda job, flags: None
    again = search(tmp_path, budget__wall_s=60.0, budget__steps=3)
    assert (again.stopped.reason, len(tree(again.folder).commits)) == ("steps", 3)


def test_a_candidate_that_takes_too_long_is_a_timeout_not_an_end(lab, tmp_path):
    lab.before = lambda job, flags: 30.0 if flags["--stage"] == "all" else 0.0
    done = search(tmp_path, budget__steps=2, sandbox__score_s=0.2)
    assert [node.failure_class for node in tree(done.folder).nodes] == ["timeout", "timeout"]
    assert done.stopped.reason == "steps"


def test_nothing_starts_with_less_than_the_smallest_time(lab, tmp_path):
    done = search(tmp_path, budget__wall_s=5.0, budget__min_exec_s=30.0)
    assert done.stopped.reason == "wall"
    assert "min_exec_s=30" in done.stopped.detail
    assert lab.jobs == []


def test_equal_candidates_reuse_the_result(lab, tmp_path):
    file = replay_file(tmp_path / "r.jsonl", [{"operator": "draft", "completion": answer(0.5001)}] * 3)
    done = search(tmp_path, budget__steps=3, llm__backend="replay", llm__path=file)
    nodes = tree(done.folder).nodes
    assert [node.duplicate_of for node in nodes] == [None, 0, 0]
    assert {node.fitness for node in nodes} == {nodes[0].fitness}
    assert nodes[1].device_s == 0
    assert len([job for job in lab.jobs if "all" in job.argv]) == 1


def _drafts(*texts):
    return [{"node": i, "operator": "draft", "attempt": 0, "completion": text} for i, text in enumerate(texts)]


def _overlaps(lab):
    """Counts evaluations; the most that ran at once of equal candidates is `most`."""
    running, seen = Counter(), Counter()

    def before(job, flags):
        key = job.files.get("answer.txt")
        if flags["--stage"] != "all":
            return 0.0
        running[key] += 1
        seen[key] = max(seen[key], running[key])
        time.sleep(0.2)
        running[key] -= 1
        return 0.0

    lab.before = before
    return seen


@pytest.mark.parametrize("order", ["fifo", "asap"])
@pytest.mark.parametrize(("dedupe", "evaluated"), [("reuse", 2), ("reject", 2), ("rerun", 4)])
def test_equal_candidates_in_flight_are_evaluated_one_after_the_other(lab, tmp_path, order, dedupe, evaluated):
    most = _overlaps(lab)
    file = replay_file(tmp_path / "r.jsonl", _drafts(*map(answer, (0.5001, 0.5001, 0.6001, 0.5001))))
    options = {"workers__n": 4, "workers__eval": 4, "workers__slots_per_device": 4, "workers__order": order}
    done = search(
        tmp_path, budget__steps=4, llm__backend="replay", llm__path=file, dedupe=dedupe, workers__llm=1, **options
    )
    nodes = tree(done.folder).nodes
    assert most == dict.fromkeys({node.files["answer.txt"] for node in nodes}, 1)
    assert len([job for job in lab.jobs if "all" in job.argv]) == evaluated
    for node in nodes:
        first = next(other for other in nodes if other.files == node.files)
        assert node.duplicate_of == (None if node is first else first.id)
        assert node.fitness == first.fitness


def test_a_twin_of_a_pending_node_that_fails_is_evaluated_itself(lab, tmp_path):
    most = _overlaps(lab)
    file = replay_file(tmp_path / "r.jsonl", _drafts(*[answer(0.5, "boom\n")] * 2))
    options = {"workers__n": 2, "workers__eval": 2, "workers__slots_per_device": 2}
    done = search(tmp_path, budget__steps=2, llm__backend="replay", llm__path=file, **options)
    nodes = tree(done.folder).nodes
    assert [(node.status, node.duplicate_of) for node in nodes] == [("buggy", None), ("buggy", 0)]
    assert len([job for job in lab.jobs if "all" in job.argv]) == 2
    assert set(most.values()) == {1}


def test_equal_candidates_can_be_measured_again_or_refused(lab, tmp_path):
    lines = [{"operator": "draft", "completion": answer(x)} for x in (0.5001, 0.5001, 0.6001)]
    file = replay_file(tmp_path / "r.jsonl", lines)
    rerun = search(tmp_path, "a", budget__steps=2, llm__backend="replay", llm__path=file, dedupe="rerun")
    assert len([job for job in lab.jobs if "all" in job.argv]) == 2
    assert tree(rerun.folder).nodes[1].duplicate_of == 0
    reject = search(tmp_path, "b", budget__steps=2, llm__backend="replay", llm__path=file, dedupe="reject")
    assert tree(reject.folder).nodes[1].files["answer.txt"] == "x=0.600100\n"


def test_four_bad_answers_are_a_failed_node_and_the_search_goes_on(lab, tmp_path):
    lines = [{"operator": "draft", "completion": "no block here"}] * 4 + [
        {"operator": "draft", "completion": answer(0.6)}
    ]
    file = replay_file(tmp_path / "r.jsonl", lines)
    done = search(tmp_path, budget__steps=2, llm__backend="replay", llm__path=file)
    first, second = tree(done.folder).nodes
    assert (first.status, first.failure_class) == (NodeStatus.FAILED, "parse")
    assert len([r for r in kinds(done.folder, "llm_result") if r["node"] == 0]) == 4
    assert second.is_good


@pytest.mark.parametrize("code", ["def f(:", "x" + ".y" * 5000], ids=["wrong", "too deep"])
def test_a_syntax_error_is_found_without_running_anything(lab, tmp_path, code):
    text = f"Broken.\n\n``` path=helper.py\n{code}\n```\n"
    file = replay_file(tmp_path / "r.jsonl", [{"operator": "draft", "completion": text}])
    done = search(tmp_path, budget__steps=1, llm__backend="replay", llm__path=file)
    node = tree(done.folder).nodes[0]
    assert (node.status, node.failure_class, node.device_s) == (NodeStatus.BUGGY, "syntax", 0.0)
    assert "helper.py" in node.message
    assert lab.jobs == []


def test_an_exhausted_replay_file_stops_with_what_it_needs(lab, tmp_path):
    file = replay_file(
        tmp_path / "r.jsonl", [{"operator": "draft", "completion": answer(0.1 * i)} for i in range(1, 3)]
    )
    done = search(tmp_path, budget__steps=5, llm__backend="replay", llm__path=file)
    assert (done.exit, done.stopped.reason) == (Exit.LLM_STOP, "error")
    assert f"replay file {file} has 2 'draft' records; node 2 attempt 0 needs a 3rd" in done.stopped.detail
    assert "budget.steps=2" in done.stopped.detail
    replay_file(tmp_path / "r.jsonl", [{"operator": "draft", "completion": answer(0.1 * i)} for i in range(1, 6)])
    again = search(tmp_path, budget__steps=5, llm__backend="replay", llm__path=file)
    assert (again.exit, len(tree(again.folder).commits)) == (Exit.DONE, 5)


def test_unused_answers_are_a_warning(lab, tmp_path):
    file = replay_file(
        tmp_path / "r.jsonl", [{"operator": "draft", "completion": answer(0.1 * i)} for i in range(1, 5)]
    )
    done = search(tmp_path, budget__steps=3, llm__backend="replay", llm__path=file)
    assert any(r["code"] == "replay_unused" and "1 'draft'" in r["text"] for r in kinds(done.folder, "warning"))


def errors(monkeypatch, *outcomes):
    """Makes the control proposer raise these errors first (None: answer)."""
    complete, queue = Control.complete, list(outcomes)

    def faulty(self, request):
        error = queue.pop(0) if queue else None
        if error is not None:
            raise error
        return complete(self, request)

    monkeypatch.setattr(Control, "complete", faulty)


def test_a_refused_call_is_a_failed_node(lab, tmp_path, monkeypatch):
    errors(monkeypatch, LLMError(ErrorKind.REFUSED, "I would rather not", usage=Usage(input=5)))
    done = search(tmp_path, budget__steps=2)
    first, second = tree(done.folder).nodes
    assert (first.status, first.failure_class, first.usage.input) == (NodeStatus.FAILED, "llm", 5)
    assert second.status is not NodeStatus.FAILED


def test_five_refusals_in_a_row_stop_with_the_providers_message(lab, tmp_path, monkeypatch):
    errors(monkeypatch, *[LLMError(ErrorKind.REFUSED, f"no number {i}") for i in range(5)])
    done = search(tmp_path, budget__steps=20)
    assert (done.exit, done.stopped.reason) == (Exit.LLM_STOP, "error")
    assert "no number 4" in done.stopped.detail
    again = search(tmp_path, budget__steps=8)
    assert (again.exit, len(tree(again.folder).commits)) == (Exit.DONE, 8)


def test_a_missing_key_stops_and_a_later_session_asks_again(lab, tmp_path, monkeypatch):
    errors(monkeypatch, None, LLMError(ErrorKind.AUTH, "401", fix="set ANTHROPIC_API_KEY and run again"))
    done = search(tmp_path, budget__steps=4)
    assert (done.exit, done.stopped.reason) == (Exit.LLM_STOP, "auth")
    assert "ANTHROPIC_API_KEY" in done.stopped.detail
    again = search(tmp_path, budget__steps=4)
    straight = search(tmp_path, "straight", budget__steps=4)
    assert tree(again.folder).fingerprint() == tree(straight.folder).fingerprint()


def test_a_prompt_that_is_too_long_is_asked_once_more_with_half_the_memory(lab, tmp_path, monkeypatch):
    errors(monkeypatch, LLMError(ErrorKind.CONTEXT_LENGTH, "too long"))
    done = search(tmp_path, budget__steps=1)
    assert tree(done.folder).nodes[0].status is not NodeStatus.FAILED
    assert [r["attempt"] for r in kinds(done.folder, "llm_request")] == [0, 1]
    errors(monkeypatch, *[LLMError(ErrorKind.CONTEXT_LENGTH, "too long")] * 2)
    failed = search(tmp_path, "b", budget__steps=1)
    assert tree(failed.folder).nodes[0].failure_class == "llm"


def test_an_exception_of_a_backend_is_a_failure_of_the_call_and_not_of_the_harness(lab, tmp_path, monkeypatch):
    errors(monkeypatch, ZeroDivisionError("oops"))
    first, second = tree(search(tmp_path, budget__steps=2).folder).nodes
    assert (first.failure_class, first.message.split(";")[0]) == (
        "llm",
        "control.evolution failed: ZeroDivisionError",
    )
    assert second.status is not NodeStatus.FAILED


def test_five_nodes_that_fail_in_the_harness_stop_the_search(lab, tmp_path):
    def broken(job, flags):
        raise ZeroDivisionError("oops")

    lab.before = broken
    done = search(tmp_path, budget__steps=20)
    assert (done.exit, len(tree(done.folder).nodes)) == (Exit.LLM_STOP, 5)
    assert "5 nodes in a row failed in the harness" in done.stopped.detail


def test_a_defect_in_one_node_is_recorded_and_the_search_goes_on(lab, tmp_path):
    outcomes = iter([ZeroDivisionError("oops")])

    def once(job, flags):
        for error in outcomes:
            raise error

    lab.before = once
    done = search(tmp_path, budget__steps=2)
    first, second = tree(done.folder).nodes
    assert (first.status, first.failure_class) == (NodeStatus.FAILED, "infra")
    assert "ZeroDivisionError" in first.message
    assert any("Traceback" in r["text"] for r in kinds(done.folder, "warning"))
    assert second.sha is not None


def test_a_defect_of_the_loop_leaves_a_resumable_run(lab, tmp_path, monkeypatch, capsys):
    real, calls = policies.select, []

    def broken(*args):
        calls.append(1)
        if len(calls) == 3:
            raise ZeroDivisionError("oops")
        return real(*args)

    monkeypatch.setattr(policies, "select", broken)
    done = search(tmp_path, budget__steps=4)
    assert (done.exit, done.stopped.reason) == (Exit.DEFECT, "error")
    assert "ZeroDivisionError" in kinds(done.folder, "stop")[0]["traceback"]
    again = search(tmp_path, budget__steps=4)
    assert tree(again.folder).fingerprint() == tree(search(tmp_path, "b", budget__steps=4).folder).fingerprint()


def test_a_policy_may_wait_for_a_commit(lab, tmp_path, monkeypatch):
    """Not greedy's way, but the loop's promise to policies that need it."""

    def patient(view, rng, config):
        return Action.wait() if view.pending else Action.draft(island=len(view.nodes) % 2)

    monkeypatch.setattr(policies, "select", patient)
    done = search(tmp_path, budget__steps=4, workers__n=3, workers__slots_per_device=3)
    assert [record["committed_upto"] for record in kinds(done.folder, "action")] == [-1, 0, 1, 2]
    assert [dict(node.meta) for node in tree(done.folder).nodes] == [{"island": i % 2} for i in range(4)]


def test_a_policy_that_waits_for_nothing_is_a_defect(lab, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(policies, "select", lambda *args: Action.wait())
    assert search(tmp_path, budget__steps=4).exit is Exit.DEFECT


def test_dollars_are_refused_before_they_are_spent(lab, tmp_path):
    usage = {"input": 1_200, "output": 3_400, "cache_write_5m": 8_000, "cache_read": 21_000}
    lines = [{"operator": "draft", "completion": answer(0.1 * i), "usage": usage} for i in range(1, 5)]
    file = replay_file(tmp_path / "r.jsonl", lines)
    options = {"llm__backend": "replay", "llm__path": file, "llm__model": "claude-opus-4-5", "llm__max_tokens": 5_800}
    done = search(tmp_path, budget__steps=4, budget__usd=0.30, **options)
    found = tree(done.folder)
    assert (done.exit, done.stopped.reason) == (Exit.DONE, "usd")
    assert [node.usd for node in found.nodes] == [pytest.approx(0.1515)]
    assert len(kinds(done.folder, "action")) == 1
    more = search(tmp_path, budget__steps=4, budget__usd=2.0, **options)
    assert tree(more.folder).spent.usd == pytest.approx(4 * 0.1515)


def test_a_node_without_dollars_for_its_next_try_stays_open(lab, tmp_path):
    usage = {"input": 1_200, "output": 3_400, "cache_write_5m": 8_000, "cache_read": 21_000}
    texts = ["no block", answer(0.5)]
    lines = [{"operator": "draft", "completion": text, "usage": usage} for text in texts]
    file = replay_file(tmp_path / "r.jsonl", lines)
    options = {"llm__backend": "replay", "llm__path": file, "llm__model": "claude-opus-4-5", "llm__max_tokens": 5_800}
    done = search(tmp_path, budget__steps=1, budget__usd=0.30, **options)
    assert (done.stopped.reason, len(tree(done.folder).pending)) == ("usd", 1)
    more = search(tmp_path, budget__steps=1, budget__usd=1.0, **options)
    assert (more.stopped.reason, tree(more.folder).nodes[0].usd) == ("steps", pytest.approx(0.303))


def test_tokens_are_bounded_too(lab, tmp_path):
    lines = [{"operator": "draft", "completion": answer(0.1 * i), "usage": {"input": 1_500}} for i in range(1, 5)]
    file = replay_file(tmp_path / "r.jsonl", lines)
    options = {"llm__backend": "replay", "llm__path": file, "llm__max_tokens": 2_000}
    done = search(tmp_path, budget__steps=4, budget__tokens=6_000, **options)
    assert done.stopped.reason == "tokens"
    assert 0 < tree(done.folder).spent.tokens <= 6_000


def test_a_model_without_a_price_needs_one_under_a_dollar_limit(lab, tmp_path):
    with pytest.raises(ValueError, match=r"add config.llm.prices\['mystery'\]"):
        search(tmp_path, budget__usd=1.0, llm__backend="anthropic", llm__model="mystery")


def test_a_recorded_search_replays_to_the_same_end(lab, tmp_path):
    done = search(tmp_path, "a", budget__steps=12)
    lines = list(calls.replay_lines(records(done.folder), events.Blobs(done.folder / "blobs")))
    file = replay_file(tmp_path / "r.jsonl", [json.loads(line) for line in lines])
    options = {"llm__backend": "replay", "llm__path": file, "llm__check_prompt": True}
    again = search(tmp_path, "b", budget__steps=12, **options)
    assert again.exit is Exit.DONE
    assert tree(again.folder).fingerprint() == tree(done.folder).fingerprint()
    replay_file(tmp_path / "r.jsonl", [json.loads(line) for line in lines[:-1]])
    short = search(tmp_path, "c", budget__steps=12, **options)
    assert (short.exit, len(tree(short.folder).commits)) == (Exit.LLM_STOP, 11)
    assert "record more or set budget.steps=11" in short.stopped.detail


def test_a_recorded_parallel_search_replays_to_the_same_end(lab, tmp_path):
    options = {"workers__n": 3, "workers__slots_per_device": 3}
    done = search(tmp_path, "a", budget__steps=12, **options)
    lines = calls.replay_lines(records(done.folder), events.Blobs(done.folder / "blobs"))
    file = replay_file(tmp_path / "r.jsonl", [json.loads(line) for line in lines])
    again = search(tmp_path, "b", budget__steps=12, llm__backend="replay", llm__path=file, **options)
    assert tree(again.folder).fingerprint() == tree(done.folder).fingerprint()


def test_a_replay_file_without_keys_needs_one_worker(lab, tmp_path):
    file = replay_file(tmp_path / "r.jsonl", [{"operator": "draft", "completion": answer(0.5)}])
    with pytest.raises(ValueError, match=r"workers\.n=1"):
        search(tmp_path, workers__n=2, llm__backend="replay", llm__path=file)
    assert not (tmp_path / "runs").exists()


def test_the_replay_cursor_survives_a_restart(lab, tmp_path):
    lines = [{"operator": "draft", "completion": answer(0.1 * i)} for i in range(1, 6)]
    file = replay_file(tmp_path / "r.jsonl", lines)
    search(tmp_path, budget__steps=2, llm__backend="replay", llm__path=file)
    done = search(tmp_path, budget__steps=5, llm__backend="replay", llm__path=file)
    drafted = [node.files["answer.txt"] for node in tree(done.folder).nodes]
    assert drafted == [f"x={0.1 * i:.6f}\n" for i in range(1, 6)]


def test_prompts_never_depend_on_test_scores(lab, tmp_path):
    def prompts(folder):
        return [record["prompt_sha"] for record in kinds(folder, "llm_request")]

    plain = search(tmp_path, "a", budget__steps=8, test__when="inline")
    lab.test_value = iter(range(100))
    scrambled = search(tmp_path, "b", budget__steps=8, test__when="inline")
    values = [[r["value"] for r in kinds(f.folder, "test_result")] for f in (plain, scrambled)]
    assert values[0]
    assert values[0] != values[1]
    assert prompts(plain.folder) == prompts(scrambled.folder)
    assert tree(plain.folder).fingerprint() == tree(scrambled.folder).fingerprint()


def test_a_full_disk_stops_the_run_which_continues_when_there_is_room(lab, tmp_path):
    search(tmp_path, "a", budget__steps=2)
    size = max(path.stat().st_size for path in (tmp_path / "a").rglob("events.jsonl"))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 3000, hard))
    try:
        with pytest.raises(ValueError, match=r"cannot write .*events.jsonl: errno"):
            search(tmp_path, "a", budget__steps=9)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    done = search(tmp_path, "a", budget__steps=9)
    straight = search(tmp_path, "b", budget__steps=9)
    assert tree(done.folder).fingerprint() == tree(straight.folder).fingerprint()


def test_a_disk_without_room_for_a_candidate_stops_the_run_and_blames_nobody(lab, tmp_path, monkeypatch):
    def refuse(**_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(executions, "tempfile", SimpleNamespace(mkdtemp=refuse))
        with pytest.raises(ValueError, match=r"cannot write .*\.work.*: errno 28"):
            search(tmp_path, budget__steps=3)
    done = search(tmp_path, budget__steps=3)
    assert all(node.is_good for node in tree(done.folder).nodes)


def test_a_cache_that_cannot_be_made_is_named(lab, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match=r"cannot write .*file/cache: errno"):
        search(tmp_path, budget__steps=1, paths__cache_dir=str(tmp_path / "file" / "cache"))


def test_data_that_cannot_be_written_are_named_with_the_mend(lab, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match=r"(?s)cannot prepare the data of Toy.*Not a dir.*config.paths.data_root"):
        search(tmp_path, budget__steps=1, paths__data_root=str(tmp_path / "file"))


@pytest.mark.parametrize("before, killed", [(socket.gethostname(), 1), ("another-host", 0)])
def test_leftovers_are_killed_on_the_machine_where_they_run(lab, tmp_path, monkeypatch, before, killed):
    pids = []
    monkeypatch.setattr(session, "kill_leftover", lambda pid, starttime: pids.append(pid))
    whole = search(tmp_path, "whole", budget__steps=1)
    lines = (whole.folder / "events.jsonl").read_bytes().splitlines(keepends=True)
    start = next(i for i, line in enumerate(lines) if b'"exec_start"' in line)
    folder = tmp_path / "cut" / whole.folder.relative_to(tmp_path / "whole")
    folder.mkdir(parents=True)
    found = [events.decode(line[:-1]) for line in lines[: start + 1]]
    found = [record | {"host": before} if record["kind"] == "session_start" else record for record in found]
    (folder / "events.jsonl").write_bytes(b"".join(map(events.encode, found)))
    (folder / "blobs").symlink_to(whole.folder / "blobs")
    search(tmp_path, "cut", budget__steps=2)
    assert len(pids) == killed


def test_records_of_the_future_are_ignored_with_one_warning(lab, tmp_path):
    done = search(tmp_path, budget__steps=2)
    log = EventLog(done.folder, fsync=False)
    log.append("from_the_future", answer=42)
    log.append("from_the_future", answer=43)
    log.close()
    again = search(tmp_path, budget__steps=3)
    assert again.exit is Exit.DONE
    assert [r["text"] for r in kinds(done.folder, "warning")] == [
        "records of unknown kinds are ignored: from_the_future"
    ]


def test_an_observer_hears_of_a_repair(lab, tmp_path):
    done = search(tmp_path, budget__steps=2)
    with (done.folder / "events.jsonl").open("ab") as file:
        file.write(b'{"torn')
    seen = []
    watcher = SimpleNamespace(on_record=lambda record, tree: seen.append(record["kind"]), close=lambda: None)
    run.search(lab_of.config(tmp_path, budget__steps=2), tmp_path / "runs", observe=lambda folder: [watcher])
    assert seen[0] == "recovered"


def test_an_observer_sees_every_record_with_its_tree(lab, tmp_path):
    seen = []

    class Watcher:
        def on_record(self, record, tree):
            seen.append((record["seq"], len(tree.nodes)))

        def close(self):
            seen.append("closed")

    done = run.search(lab_of.config(tmp_path, budget__steps=3), tmp_path, observe=lambda folder: [Watcher()])
    assert seen[-1] == "closed"
    assert [seq for seq, _ in seen[:-1]] == list(range(len(records(done.folder))))
