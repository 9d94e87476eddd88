"""Evolution: the published weights, traces, who is admitted where, migration, barrier and the end."""

import pytest
from growing import BUGGY, act, begin, choose, commit, trace, words

from aira_jax.core.operators import Operator
from aira_jax.core.rng import Stream, generator
from aira_jax.search.log.tree import Action
from aira_jax.search.policies import EvolutionConfig, PolicyConfig
from aira_jax.search.policies.evolution import draw, population, softmax


def policy(**evolution) -> PolicyConfig:
    common = {"individuals_per_generation": 4, "max_debug_depth": 1}
    return PolicyConfig("evolution", evolution=EvolutionConfig(**{**common, **evolution}))


def islands(tree, config: PolicyConfig) -> list[list[int]]:
    return [sorted(node.id for node in island) for island in population(tree, config.evolution)]


def grown(*nodes: tuple[Action, float | None]):
    tree = begin()
    for k, (action, fitness) in enumerate(nodes):
        tree = commit(act(tree, action), k, fitness)
    return tree


def test_the_weights_are_the_published_ones():
    assert softmax([0.5, 0.7, 0.6]) == pytest.approx([0.186324, 0.506480, 0.307196], abs=1e-6)
    assert softmax([0.5, 0.7], temperature=1e-3) == pytest.approx([0.0, 1.0], abs=1e-9)
    assert softmax([0.3, 0.3]) == [0.5, 0.5]


def test_a_draw_falls_where_the_cumulative_weights_say():
    u = generator(0, Stream.POLICY, 0).random()  # 0.5651...
    assert 0.5 < u < 0.6
    assert draw(generator(0, Stream.POLICY, 0), [0.5, 0.1, 0.4]) == 1
    assert draw(generator(0, Stream.POLICY, 0), [0.6, 0.4]) == 0


SCRIPT = (.4, BUGGY, .5, .3, .45, .6, BUGGY, BUGGY, .2, .55, .65, .35, .7, .5, .66, .72, .1, .8)  # fmt: skip


def test_the_trace_on_one_island():
    actions, _ = trace(SCRIPT, policy())
    assert actions == [
        "draft", "draft", "debug 1", "draft", "draft",
        "improve 2", "improve 5", "debug 6", "improve 3", "improve 5", "improve 5",
        "crossover 10 3", "crossover 5 2", "crossover 4 9", "improve 12", "crossover 12 10", "improve 15",
        "crossover 12 9",
    ]  # fmt: skip


def test_the_trace_on_two_islands_that_migrate_behind_a_barrier():
    config = policy(num_islands=2, migration_every=2, barrier=True)
    actions, tree = trace(SCRIPT, config)
    assert actions == [
        "draft", "draft", "debug 1", "draft", "draft",
        "improve 2", "improve 2", "debug 6", "improve 2", "improve 4",
        "improve 5", "improve 5", "improve 5", "improve 5",
        "improve 12", "crossover 12 10", "improve 9", "crossover 5 9",
    ]  # fmt: skip
    assert [node.meta["island"] for node in tree.nodes] == [0, 1, 1, 0, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 1, 1]
    assert islands(tree, config)[1] == [15]  # generation 4 has begun: the worse island starts from the best of all


def test_drafts_go_round_the_islands_and_a_repair_keeps_its_own():
    actions, tree = trace((BUGGY, 0.5, BUGGY, BUGGY, 0.4, 0.3), policy(num_islands=3, max_debug_depth=1))
    assert actions == ["draft", "debug 0", "draft", "debug 2", "draft", "draft"]
    assert [node.meta["island"] for node in tree.nodes] == [0, 0, 1, 1, 2, 0]


DRAFTS = [(Action.draft(island=0), fitness) for fitness in (0.2, 0.4, 0.6, 0.8)]


def test_a_child_below_the_mean_of_its_island_is_not_admitted():
    config = policy()
    tree = grown(*DRAFTS, (Action(Operator.IMPROVE, (3,), {"island": 0}), 0.49))
    assert islands(tree, config) == [[0, 1, 2, 3]]
    tree = grown(*DRAFTS, (Action(Operator.IMPROVE, (3,), {"island": 0}), 0.5))
    assert islands(tree, config) == [[0, 1, 2, 3, 4]]


def test_a_full_island_loses_its_worst():
    tree = grown(*DRAFTS, (Action(Operator.IMPROVE, (3,), {"island": 0}), 0.7))
    assert islands(tree, policy(max_island_size=3)) == [[2, 3, 4]]


def test_a_barrier_admits_a_generation_against_the_mean_before_it():
    children = [(Action(Operator.IMPROVE, (3,), {"island": 0}), fitness) for fitness in (0.9, 0.52, 0.51, 0.50)]
    tree = grown(*DRAFTS, *children)
    assert islands(tree, policy()) == [[0, 1, 2, 3, 4]]  # the mean has risen to .58
    assert islands(tree, policy(barrier=True)) == [[0, 1, 2, 3, 4, 5, 6, 7]]
    assert islands(grown(*DRAFTS, *children[:3]), policy(barrier=True)) == [[0, 1, 2, 3]]


def test_migration_resets_the_worse_half():
    fitness = (0.5, 0.9, 0.1, 0.7)
    drafts = [(Action.draft(island=i), value) for i, value in enumerate(fitness)]
    children = [(Action(Operator.IMPROVE, (i,), {"island": i}), value) for i, value in enumerate(fitness)]
    config = policy(num_islands=4, migration_every=2)
    assert islands(grown(*drafts, *children[:3]), config) == [[0, 4], [1, 5], [2, 6], [3]]
    assert islands(grown(*drafts, *children), config) == [[3], [1, 5], [1], [3, 7]]


def test_a_barrier_waits_for_the_generation():
    tree = grown(*DRAFTS[:3])
    tree = act(tree, Action.draft(island=0))
    assert choose(tree, policy(barrier=True)).operator is Operator.WAIT
    assert choose(tree, policy()).operator is Operator.IMPROVE


def test_crossovers_begin_with_their_generation_and_need_two_parents():
    children = [(Action(Operator.IMPROVE, (0,), {"island": 0}), 0.0)] * 4
    always = policy(crossover_prob=1.0)
    assert choose(grown(*DRAFTS), always).operator is Operator.IMPROVE
    assert words(choose(grown(*DRAFTS, *children), always)).startswith("crossover")
    alone = grown(DRAFTS[0], *[(Action.draft(island=0), BUGGY)] * 3, *children)
    assert choose(alone, policy(crossover_prob=1.0, max_debug_depth=0)).operator is Operator.IMPROVE


def test_a_chain_of_repairs_ends_with_its_time():
    tree = act(begin(), Action.draft(island=0))
    tree = tree.apply(
        {"kind": "exec_end", "mono": 0.0, "node": 0, "phase": "check", "seed": 0, "status": "fail", "wall_s": 9.0}
    )
    tree = commit(tree, 0, BUGGY)
    assert choose(tree, policy(max_debug_s=9.1)).operator is Operator.DEBUG
    assert choose(tree, policy(max_debug_s=9.0)).operator is Operator.DRAFT


def test_when_no_draft_lives_there_are_more_and_after_the_last_generation_none():
    config = policy(num_generations=2, max_debug_depth=0)
    actions, tree = trace([BUGGY] * 8, config)
    assert actions == ["draft"] * 8
    assert choose(tree, config).operator is Operator.STOP
