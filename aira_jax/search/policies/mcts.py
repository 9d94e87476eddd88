"""Monte-Carlo tree search over candidates: AIRA-dojo's, with its barren nodes and its root mended.

The chosen place (a good node, or the root) receives a whole group of children, each repaired before the next begins.
Values are the fitness of the nodes themselves: there are no roll-outs.
"""

import dataclasses
import math

from aira_jax.core.operators import Operator
from aira_jax.search.log.tree import Action, Node, Tree
from aira_jax.search.policies.repairs import broken

ROOT = -1


@dataclasses.dataclass(frozen=True)
class MCTSConfig:
    """Published values of AIRA-dojo's MCTS (arXiv 2507.02554), but for `count_failures`: a chain of repairs that ended
    without a good node, and a pending node, count as one visit of the least value. Without it a barren place is
    expanded for ever."""

    num_children: int = 5
    uct_c: float = 0.25
    max_debug_depth: int = 20
    count_failures: bool = True


@dataclasses.dataclass(frozen=True)
class Subtree:
    """A place and all below it: how often it was visited, the sum of the normalised values, whether a node is good."""

    visits: int = 0
    value: float = 0.0
    good: bool = False

    def __add__(self, other: "Subtree") -> "Subtree":
        return Subtree(self.visits + other.visits, self.value + other.value, self.good or other.good)


def mcts(tree: Tree, config: MCTSConfig) -> Action:
    """Repairs, then the rest of the open group, then a new group at the place that UCT finds."""
    if found := broken(tree, config.max_debug_depth):
        return Action.debug(found[0])
    last = next((node for node in reversed(tree.nodes) if node.operator is not Operator.DEBUG), None)
    slot = 1 + last.meta["slot"] if last else config.num_children
    if slot < config.num_children:
        return Action(last.operator, last.parents, {"slot": slot})
    place = descend(tree, config)
    return Action.draft(slot=0) if place == ROOT else Action.improve(tree.nodes[place], slot=0)


def descend(tree: Tree, config: MCTSConfig) -> int:
    """The place to expand: from the root always to the child of the largest UCT, the earliest on ties, until no child
    has a good node below it."""
    place, below = ROOT, subtrees(tree, config)
    while scores := uct(tree, below, place, config.uct_c):
        place = max(scores, key=lambda child: (scores[child], -child))
    return place


def uct(tree: Tree, below: dict[int, Subtree], place: int, c: float) -> dict[int, float]:
    """{child: mean value + c sqrt(ln N / n)} of the children that have a good node in their subtree."""
    children = tree.nodes[place].children if place != ROOT else [node.id for node in tree.drafts]
    visits = math.log(max(1, below[place].visits))
    return {
        child: below[child].value / below[child].visits + c * math.sqrt(visits / below[child].visits)
        for child in children
        if below[child].good
    }


def subtrees(tree: Tree, config: MCTSConfig) -> dict[int, Subtree]:
    """Every place with what lies below it. The visits of a node are its own and its children's, those of the root its
    children's; values lie between 0 for the worst good node of the tree and 1 for the best."""
    qualities = [tree.quality(node) for node in tree.good]
    low, high = min(qualities, default=0.0), max(qualities, default=0.0)
    below = {ROOT: Subtree()}
    for node in reversed(tree.nodes):  # children come after their parents
        below[node.id] = below.get(node.id, Subtree()) + _own(tree, node, low, high, config.count_failures)
        parent = node.parents[0] if node.parents else ROOT
        below[parent] = below.get(parent, Subtree()) + below[node.id]
    return below


def _own(tree: Tree, node: Node, low: float, high: float, count_failures: bool) -> Subtree:
    """A good node's visit; else that of the end of a chain. A node under repair leaves its visit to the repair."""
    if node.is_good:
        return Subtree(1, (tree.quality(node) - low) / (high - low) if high > low else 0.5, good=True)
    return Subtree(int(count_failures and not node.children))
