"""The tree as a fold: total, incremental, blind to test scores, masked for parallel workers."""

import random

import pytest
from search_lab import answer, replay_file, search

from aira_jax.core.operators import Operator
from aira_jax.search.log import events
from aira_jax.search.log.events import Blobs
from aira_jax.search.log.tree import NodeStatus, Tree


@pytest.fixture
def log(lab, tmp_path):
    """The records of a small search with test scores."""
    done = search(tmp_path, budget__steps=9, workers__n=2, workers__slots_per_device=2, test__when="after")
    return events.read(done.folder)


def test_every_prefix_folds_and_each_step_is_the_next_fold(log):
    tree = Tree()
    for i, record in enumerate(log):
        tree = tree.apply(record)
        assert tree.fingerprint() == Tree.fold(log[: i + 1]).fingerprint()
    assert tree == Tree.fold(log)


def test_records_of_the_future_or_of_unknown_nodes_change_nothing(log):
    tree = Tree.fold(log)
    for kind in ("llm_request", "llm_result", "candidate", "analysis", "node"):
        strange = {"kind": kind, "node": 999, "role": "propose", "attempt": 0, "mono": 0.0, "status": "good"}
        assert tree.apply(strange).fingerprint() == tree.fingerprint()
    assert tree.apply({"kind": "from_the_future", "mono": 0.0}).nodes == tree.nodes


def test_test_scores_leave_no_trace(log):
    seen = [
        r
        for r in log
        if r["kind"] != "test_result" and not (r["kind"].startswith("exec") and r["phase"].endswith("_test"))
    ]
    with_tests, without = Tree.fold(log), Tree.fold(seen)
    assert len(seen) < len(log)
    assert with_tests.nodes == without.nodes
    assert with_tests.spent == without.spent


def test_a_view_hides_what_was_not_committed(log):
    tree = Tree.fold(log)
    view = tree.view(committed_upto=3, next_id=6)
    assert len(view.nodes) == 6
    assert [node.pending for node in view.nodes] == [False] * 4 + [True] * 2
    assert all(child < 6 for node in view.nodes for child in node.children)
    assert view.nodes[4].files == {}
    assert view.nodes[4].operator == tree.nodes[4].operator
    assert view.spent.steps == 4
    assert tree.view(8).nodes == tree.nodes


def grow(*actions):
    tree = Tree()
    for id, (operator, parents, meta) in enumerate(actions):
        record = {"kind": "action", "mono": 0.0, "node": id, "operator": operator, "parents": parents, "meta": meta}
        tree = tree.apply(record)
        tree = tree.apply({"kind": "node", "mono": 0.0, "node": id, "status": "good", "fitness": id / 10})
    return tree


def test_crossover_and_meta_are_carried():
    tree = grow(("draft", [], {"island": 0}), ("draft", [], {"island": 1}), ("crossover", [0, 1], {"island": 1}))
    assert tree.nodes[2].operator is Operator.CROSSOVER
    assert tree.nodes[2].parents == (0, 1)
    assert [node.children for node in tree.nodes] == [(2,), (2,), ()]
    assert [node.meta["island"] for node in tree.nodes] == [0, 1, 1]


def test_debug_depth_counts_the_chain():
    tree = grow(("draft", [], {}), ("debug", [0], {}), ("debug", [1], {}), ("improve", [2], {}), ("debug", [3], {}))
    assert [node.debug_depth for node in tree.nodes] == [0, 1, 2, 0, 1]


def test_wall_clock_adds_up_over_sessions_and_ignores_test_sessions():
    tree = Tree()
    for purpose, monos in (("search", (0.0, 5.0)), ("tests", (0.0, 100.0)), ("search", (0.0, 2.5))):
        tree = tree.apply({"kind": "session_start", "mono": monos[0], "purpose": purpose})
        tree = tree.apply({"kind": "heartbeat", "mono": monos[1]})
    assert tree.spent.wall_s == 7.5


def test_a_call_without_an_answer_is_lost_when_it_is_made_again():
    tree = Tree().apply({"kind": "action", "mono": 0.0, "node": 0, "operator": "draft", "parents": [], "meta": {}})
    request = {"kind": "llm_request", "mono": 0.0, "node": 0, "role": "propose", "attempt": 0}
    assert tree.apply(request).lost_calls == 0
    assert tree.apply(request).apply(request).lost_calls == 1


def test_long_files_live_in_blobs_and_come_back(lab, tmp_path):
    note = "".join(random.Random(0).choices("abcdef \n", k=90_000)) + "\n"
    file = replay_file(tmp_path / "r.jsonl", [{"operator": "draft", "completion": answer(0.5, note)}])
    done = search(tmp_path, budget__steps=1, llm__backend="replay", llm__path=file)
    records = events.read(done.folder)
    assert set(next(r for r in records if r["kind"] == "candidate")["files"]["answer.txt"]) == {"blob"}
    node = Tree.fold(records, Blobs(done.folder / "blobs")).nodes[0]
    assert node.files["answer.txt"] == f"x=0.500000\n{note}"
    assert node.status is NodeStatus.GOOD
