"""Which nodes a prompt tells of, in which order, and within how many characters."""

import dataclasses

from hypothesis import given, settings
from hypothesis import strategies as st

from aira_jax.core.operators import Operator
from aira_jax.search.log.tree import Node, NodeStatus
from aira_jax.search.operators.memory import MemoryKind, select


def node(id, operator=Operator.DRAFT, parents=(), children=(), fitness=None, status=None, **fields):
    status = status or (NodeStatus.GOOD if fitness is not None else NodeStatus.BUGGY)
    fields = {"plan": f"idea {id}", "summary": f"outcome {id}", "failure_class": None if fitness else "oom"} | fields
    return Node(id, operator, parents, children, {}, 0, status=status, fitness=fitness, **fields)


def pending(id, parents=()):
    return Node(id, Operator.IMPROVE, parents, (), {}, 0)


TREE = (
    node(0, children=(2, 3, 7), fitness=0.5),
    node(1, children=(4,)),
    node(2, Operator.IMPROVE, (0,), fitness=0.7),
    node(3, Operator.IMPROVE, (0,)),
    node(4, Operator.DEBUG, (1,), children=(5,)),
    node(5, Operator.DEBUG, (4,)),
    node(6, Operator.CROSSOVER, (2, 0), fitness=0.6),
    pending(7, (0,)),
)


def told(kind, parents=(), nodes=TREE, max_chars=0, lower_is_better=False):
    block = select(kind, nodes, parents, max_chars=max_chars, lower_is_better=lower_is_better)
    return [int(line.split()[1].rstrip(":")) for line in block.splitlines() if line.startswith("Node ")]


def test_simple_tells_of_every_good_node_best_first():
    assert told(MemoryKind.SIMPLE) == [2, 6, 0]
    assert told(MemoryKind.SIMPLE, lower_is_better=True) == [0, 6, 2]


def test_simple_gives_plan_summary_and_fitness_and_only_plans_gives_plans():
    block = select(MemoryKind.SIMPLE, TREE, (), max_chars=0, lower_is_better=False)
    assert "Node 6 (crossover of node 2 and 0): fitness 0.6\nPlan: idea 6\nOutcome: outcome 6" in block
    plans = select(MemoryKind.ONLY_PLANS, TREE, (), max_chars=0, lower_is_better=False)
    assert "idea 6" in plans
    assert "outcome" not in plans
    assert "0.6" not in plans


def test_after_the_best_five_come_the_most_recent_each_once():
    values = [0.1, 0.9, 0.2, 0.8, 0.7, 0.3, 0.6, 0.5]
    nodes = tuple(node(i, fitness=value) for i, value in enumerate(values))
    assert told(MemoryKind.SIMPLE, nodes=nodes) == [1, 3, 4, 6, 7, 5, 2, 0]


def test_equal_fitness_keeps_the_order_of_the_ids():
    nodes = tuple(node(i, fitness=0.5) for i in range(3))
    assert told(MemoryKind.SIMPLE, nodes=nodes) == [0, 1, 2]


def test_sibling_tells_of_the_committed_children_of_the_parent():
    assert told(MemoryKind.SIBLING, (0,)) == [2, 3]


def test_ancestral_is_the_chain_of_repairs_and_names_the_failures():
    assert told(MemoryKind.ANCESTRAL, (5,)) == [5, 4, 1]
    assert told(MemoryKind.ANCESTRAL, (3,)) == [3]
    block = select(MemoryKind.ANCESTRAL, TREE, (5,), max_chars=0, lower_is_better=False)
    assert "Node 5 (debug of node 4): buggy, class oom" in block


def test_lineage_tells_of_all_ancestors_once():
    assert told(MemoryKind.LINEAGE, (6, 2)) == [2, 6, 0]


def test_none_and_an_empty_tree_give_nothing():
    assert select(MemoryKind.NONE, TREE, (), max_chars=0, lower_is_better=False) == ""
    assert select(MemoryKind.SIMPLE, (), (), max_chars=100, lower_is_better=False) == ""


def test_a_bounded_block_counts_what_it_leaves_out():
    block = select(MemoryKind.SIMPLE, TREE, (), max_chars=100, lower_is_better=False)
    assert block.startswith("Node 2")
    assert block.endswith("(2 more left out)")


def test_an_unbounded_block_cuts_nothing_and_a_bounded_one_cuts_long_plans():
    nodes = (node(0, fitness=0.5, plan="p" * 5000),)
    assert "p" * 5000 in select(MemoryKind.SIMPLE, nodes, (), max_chars=0, lower_is_better=False)
    bounded = select(MemoryKind.SIMPLE, nodes, (), max_chars=24_000, lower_is_better=False)
    assert "[...]" in bounded
    assert len(bounded) < 2200


@settings(max_examples=30)
@given(st.sampled_from(MemoryKind), st.integers(0, 20))
def test_the_bound_holds_for_every_kind_and_every_bound(kind, plan_chars):
    nodes = tuple(dataclasses.replace(n, plan="p" * plan_chars) for n in TREE)
    for max_chars in range(1, 400):
        block = select(kind, nodes, (6, 5), max_chars=max_chars, lower_is_better=False)
        assert len(block) <= max_chars
        whole = block.count("Node ") == len(told(kind, (6, 5), nodes))
        assert whole or not block or block.endswith("more left out)")


def test_a_pattern_task_tells_patterns_and_the_score_of_every_problem():
    def trained(**scores):
        tasks = {name: {"micro": value, "loss": None} for name, value in scores.items()}
        return {"extra": {"canonical": "5(2A-M)-A", "proxy": {"tasks": tasks}}}

    nodes = (
        node(0, fitness=0.5, result=trained(recall=0.25, copying=0.75)),
        node(1, fitness=0.4, result=trained(x=0.4)),
    )
    block = select(MemoryKind.SIMPLE, nodes, (), max_chars=0, lower_is_better=False)
    assert "fitness 0.5\nPattern: 5(2A-M)-A\nAccuracies: recall 0.25, copying 0.75\nPlan: idea 0" in block
    assert "fitness 0.4\nPattern: 5(2A-M)-A\nPlan: idea 1" in block
    plans = select(MemoryKind.ONLY_PLANS, nodes, (), max_chars=0, lower_is_better=False)
    assert "Pattern: 5(2A-M)-A\nPlan: idea 0" in plans
    assert "recall" not in plans
    old = select(MemoryKind.SIMPLE, nodes, (), max_chars=0, lower_is_better=False, designs=False)
    assert "Pattern" not in old
    assert "recall" not in old
