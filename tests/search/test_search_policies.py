"""Policies against the published trace, and as pure functions."""

import pytest
from growing import BUGGY, act, begin, commit, trace
from hypothesis import given
from hypothesis import strategies as st

from aira_jax.core.operators import Operator
from aira_jax.core.rng import Stream, generator
from aira_jax.search.log.tree import Action, NodeStatus
from aira_jax.search.policies import EvolutionConfig, GreedyConfig, MCTSConfig, PolicyConfig, select

SCRIPT = (0.40, BUGGY, 0.55, BUGGY, 0.50, BUGGY, 0.30, BUGGY, BUGGY, 0.45, 0.60, BUGGY, 0.58, 0.60, 0.61)


def test_random_draws_are_the_published_ones():
    draws = [generator(0, Stream.POLICY, k).random() for k in range(3)]
    assert draws == [0.5651317655614634, 0.36480310130787075, 0.12537320607303704]
    assert generator(0, Stream.PROMPT, 0).random() == pytest.approx(0.945316529014, abs=1e-12)
    assert generator(1, Stream.POLICY, 0).random() == pytest.approx(0.881549137337, abs=1e-12)


def policy(name: str = "greedy", **greedy) -> PolicyConfig:
    return PolicyConfig(name, GreedyConfig(**greedy))


@pytest.mark.parametrize(
    ("seed", "repairs"),
    [(0, ["debug 1", "debug 5", "debug 3", "debug 7"]), (1, ["debug 3", "debug 5", "debug 1", "debug 7"])],
)
def test_greedy_follows_the_published_trace(seed, repairs):
    actions, tree = trace(SCRIPT, policy(max_debug_depth=2), seed=seed)
    improves = ["improve 2", "improve 2", "improve 10", "debug 11", "improve 10", "improve 10"]
    assert actions == ["draft"] * 5 + repairs + improves
    assert tree.best.id == 14
    assert [node.id for node in tree.running_bests] == [0, 2, 10, 14]


def test_a_tie_keeps_the_earlier_node():
    _, tree = trace([0.4, 0.6, 0.6], policy(num_drafts=3))
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
    actions, tree = trace([BUGGY] * 106, policy())
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


CONFIGS = st.sampled_from(
    [
        policy(num_drafts=3, max_debug_depth=2, debug_prob=0.5),
        PolicyConfig("mcts", mcts=MCTSConfig(num_children=3, max_debug_depth=2)),
        PolicyConfig(
            "evolution", evolution=EvolutionConfig(2, 4, 3, crossover_from=1, migration_every=2, max_debug_depth=2)
        ),
    ]
)


@given(CONFIGS, outcomes, st.integers(0, 5), st.permutations(range(6)))
def test_policies_are_pure_and_blind_to_test_scores(config, script, seed, order):
    _, tree = trace(script, config, seed=seed)
    k, before = len(script), tree.fingerprint()
    first = select(tree, generator(seed, Stream.POLICY, k), config)
    for i in order:
        tree = tree.apply({"kind": "test_result", "mono": 0.0, "node": i, "seed": 0, "value": float(i)})
    assert select(tree, generator(seed, Stream.POLICY, k), config) == first
    assert tree.fingerprint() == before


@given(CONFIGS, outcomes, st.integers(0, 5))
def test_a_policy_takes_the_same_way_when_less_is_better(config, script, seed):
    turned = [None if value is None else -value for value in script]
    assert trace(script, config, seed=seed)[0] == trace(turned, config, seed=seed, lower_is_better=True)[0]
