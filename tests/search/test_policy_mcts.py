"""Monte-Carlo tree search: the published arithmetic, a trace, and places where nothing grows."""

import pytest
from growing import BUGGY, act, begin, choose, commit, trace, words

from aira_jax.core.operators import Operator
from aira_jax.search.log.tree import Action, NodeStatus
from aira_jax.search.policies import MCTSConfig, PolicyConfig
from aira_jax.search.policies.mcts import ROOT, descend, subtrees, uct


def policy(**mcts) -> PolicyConfig:
    return PolicyConfig("mcts", mcts=MCTSConfig(**mcts))


def scores(tree, config: MCTSConfig, place: int = ROOT) -> dict[int, float]:
    return uct(tree, subtrees(tree, config), place, config.uct_c)


def three_drafts(sign: float = 1.0):
    tree = begin(lower_is_better=sign < 0)
    for k, fitness in enumerate((0.5, 0.7, 0.6)):
        tree = commit(act(tree, Action.draft(slot=2 + k)), k, sign * fitness)
    return tree


def children_of_the_best(tree, sign: float = 1.0):
    for slot, fitness in enumerate((0.72, 0.68, 0.70, BUGGY, 0.74)):
        tree = act(tree, Action.improve(tree.nodes[1], slot=slot))
        tree = commit(tree, 3 + slot, fitness if fitness is None else sign * fitness)
    return tree


def test_three_visited_drafts_have_the_published_scores():
    found = scores(three_drafts(), MCTSConfig())
    assert found == pytest.approx({0: 0.262037, 1: 1.262037, 2: 0.762037}, abs=1e-6)


@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize(
    ("count_failures", "expected"),
    [(False, (0.348740, 1.022628, 0.765406)), (True, (0.360507, 0.869398, 0.777173))],
)
def test_a_group_of_five_moves_the_scores_as_published(sign, count_failures, expected):
    tree, config = children_of_the_best(three_drafts(sign), sign), MCTSConfig(count_failures=count_failures)
    assert scores(tree, config) == pytest.approx(dict(enumerate(expected)), abs=1e-6)
    assert descend(tree, config) == 7  # the child of .74


SCRIPT = (
    .4, BUGGY, .5, BUGGY, .3, .6, BUGGY, BUGGY, BUGGY, .55, .2, .7, .65, .66, BUGGY, .71, .1, .2, .3, .4,
)  # fmt: skip


def test_the_trace_of_a_search_with_groups_of_three_and_two_repairs():
    actions, _ = trace(SCRIPT, policy(num_children=3, max_debug_depth=2))
    assert actions == [
        "draft", "draft", "debug 1", "draft", "debug 3",
        "improve 2", "improve 2", "debug 6", "debug 7", "improve 2",
        "improve 5", "improve 5", "improve 5",
        "improve 0", "improve 0", "debug 14", "improve 0",
        "improve 15", "improve 15", "improve 15",
    ]  # fmt: skip


def test_a_repaired_draft_is_reached_through_what_it_repaired():
    tree = trace((BUGGY, 0.5), policy(num_children=1))[1]
    assert scores(tree, MCTSConfig()) == {0: 0.5}  # one visit, ln 1 = 0
    assert descend(tree, MCTSConfig()) == 1


def test_dead_drafts_are_followed_by_more_drafts():
    actions, _ = trace([BUGGY] * 12, policy(num_children=3, max_debug_depth=1))
    assert actions[0::2] == ["draft"] * 6
    assert actions[1::2] == [f"debug {k}" for k in range(0, 12, 2)]


@pytest.mark.parametrize("count_failures", [True, False])
def test_a_barren_place_is_left_only_when_failures_count(count_failures):
    """Node 1 is the better draft, and whatever is made of it fails."""
    config = policy(num_children=2, max_debug_depth=0, uct_c=0.05, count_failures=count_failures)
    tree = trace((0.4, 0.6), config)[1]
    expanded = set()
    for _ in range(40):
        action = choose(tree, config)
        expanded.add(action.parents[0])
        tree = commit(act(tree, action), len(tree.nodes), BUGGY if 1 in action.parents else 0.4)
    assert 1 in expanded
    assert (0 in expanded) == count_failures


def test_pending_children_turn_the_next_worker_away():
    config = policy(num_children=3, max_debug_depth=0)
    tree = trace((0.1, 0.59, 0.6), config)[1]
    places = []
    for _ in range(6):
        action = choose(tree, config)
        places.append(words(action))
        tree = act(tree, action)
    assert places == ["improve 2"] * 3 + ["improve 1"] * 3


def test_a_node_without_a_candidate_is_never_repaired():
    tree = commit(act(begin(), Action.draft(slot=0)), 0, None, NodeStatus.FAILED)
    assert choose(tree, policy()).operator is Operator.DRAFT
