"""Policies against the published trace, and as pure functions."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aira_jax.core.operators import Operator
from aira_jax.core.rng import Stream, generator
from aira_jax.search.log.tree import Action, NodeStatus, Tree
from aira_jax.search.policies import GreedyConfig, PolicyConfig, select

BUGGY = None
SCRIPT = (0.40, BUGGY, 0.55, BUGGY, 0.50, BUGGY, 0.30, BUGGY, BUGGY, 0.45, 0.60, BUGGY, 0.58, 0.60, 0.61)


def test_random_draws_are_the_published_ones():
    draws = [generator(0, Stream.POLICY, k).random() for k in range(3)]
    assert draws == [0.5651317655614634, 0.36480310130787075, 0.12537320607303704]
    assert generator(0, Stream.PROMPT, 0).random() == pytest.approx(0.945316529014, abs=1e-12)
    assert generator(1, Stream.POLICY, 0).random() == pytest.approx(0.881549137337, abs=1e-12)


def begin(lower_is_better: bool = False) -> Tree:
    return Tree().apply(
        {"kind": "run_start", "mono": 0.0, "lower_is_better": lower_is_better, "config": {"budget": {}}}
    )


def act(tree: Tree, action: Action) -> Tree:
    members = {"node": len(tree.nodes), "operator": str(action.operator), "parents": list(action.parents)}
    return tree.apply({"kind": "action", "mono": 0.0, "meta": {}, **members})


def commit(tree: Tree, node: int, fitness: float | None, status: NodeStatus | None = None) -> Tree:
    status = status or (NodeStatus.BUGGY if fitness is None else NodeStatus.GOOD)
    return tree.apply({"kind": "node", "mono": 0.0, "node": node, "status": str(status), "fitness": fitness})


def policy(name: str = "greedy", **greedy) -> PolicyConfig:
    return PolicyConfig(name, GreedyConfig(**greedy))


def trace(script, seed: int, config: PolicyConfig) -> tuple[list[str], Tree]:
    tree, actions = begin(), []
    for k, fitness in enumerate(script):
        action = select(tree, generator(seed, Stream.POLICY, k), config)
        actions.append(" ".join([action.operator, *map(str, action.parents)]))
        tree = commit(act(tree, action), k, fitness)
    return actions, tree


@pytest.mark.parametrize(
    ("seed", "repairs"),
    [(0, ["debug 1", "debug 5", "debug 3", "debug 7"]), (1, ["debug 3", "debug 5", "debug 1", "debug 7"])],
)
def test_greedy_follows_the_published_trace(seed, repairs):
    actions, tree = trace(SCRIPT, seed, policy(max_debug_depth=2))
    improves = ["improve 2", "improve 2", "improve 10", "debug 11", "improve 10", "improve 10"]
    assert actions == ["draft"] * 5 + repairs + improves
    assert tree.best.id == 14
    assert [node.id for node in tree.running_bests] == [0, 2, 10, 14]


def test_a_tie_keeps_the_earlier_node():
    _, tree = trace([0.4, 0.6, 0.6], 0, policy(num_drafts=3))
    assert tree.best.id == 1


def test_lower_is_better_turns_the_choice():
    tree = begin(lower_is_better=True)
    for k, loss in enumerate([2.0, 1.0, 3.0]):
        tree = commit(act(tree, Action(Operator.DRAFT)), k, loss)
    assert select(tree, generator(0, Stream.POLICY, 3), policy(num_drafts=3)).parents == (1,)


def test_one_shot_drafts_once():
    tree = begin()
    config = policy("one_shot")
    action = select(tree, generator(0, Stream.POLICY, 0), config)
    assert action.operator is Operator.DRAFT
    assert select(act(tree, action), generator(0, Stream.POLICY, 1), config).operator is Operator.STOP


def test_every_buggy_draft_is_repaired_twenty_times_before_a_sixth_draft():
    actions, tree = trace([BUGGY] * 106, 0, policy())
    assert [action.split()[0] for action in actions] == ["draft"] * 5 + ["debug"] * 100 + ["draft"]
    assert max(node.debug_depth for node in tree.nodes) == 20


def test_failed_nodes_count_as_drafts_and_are_never_repaired():
    tree = begin()
    for k in range(5):
        tree = commit(act(tree, Action(Operator.DRAFT)), k, None, NodeStatus.FAILED)
    assert select(tree, generator(0, Stream.POLICY, 5), policy()).operator is Operator.DRAFT


def test_pending_nodes_are_drafts_and_hide_their_parents():
    tree = begin()
    for _ in range(5):
        tree = act(tree, Action(Operator.DRAFT))
    for k in range(4):
        tree = commit(tree, k, None if k < 2 else 0.5)
    tree = act(tree, Action(Operator.DEBUG, (0,)))
    action = select(tree, generator(0, Stream.POLICY, 6), policy())
    assert (action.operator, action.parents) == (Operator.DEBUG, (1,))


outcomes = st.lists(st.none() | st.sampled_from([0.1, 0.2, 0.2, 0.9]), min_size=1, max_size=25)


@given(outcomes, st.integers(0, 5), st.permutations(range(6)))
def test_policies_are_pure_and_blind_to_test_scores(script, seed, order):
    config = policy(num_drafts=3, max_debug_depth=2, debug_prob=0.5)
    _, tree = trace(script, seed, config)
    k, before = len(script), tree.fingerprint()
    first = select(tree, generator(seed, Stream.POLICY, k), config)
    for i in order:
        tree = tree.apply({"kind": "test_result", "mono": 0.0, "node": i, "seed": 0, "value": float(i)})
    assert select(tree, generator(seed, Stream.POLICY, k), config) == first
    assert tree.fingerprint() == before
