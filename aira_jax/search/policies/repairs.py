"""What greedy, MCTS and evolution share: chains of repairs, and which of them go on."""

from aira_jax.core.operators import Operator
from aira_jax.search.log.tree import Node, Tree


def broken(tree: Tree, max_debug_depth: int) -> list[Node]:
    """The buggy leaves that may be repaired once more, in id order: `max_debug_depth` repairs a chain, never of a node
    without a candidate."""
    return [node for node in tree.leaves if node.is_buggy and node.debug_depth < max_debug_depth]


def chain(tree: Tree, last: Node) -> list[Node]:
    """`last` and what it repairs, back to the node that began the chain."""
    found = [last]
    while found[-1].operator is Operator.DEBUG:
        found.append(tree.nodes[found[-1].parents[0]])
    return found
