"""What a prompt tells of earlier nodes: which of them, in which order, within how many characters."""

import enum
from collections.abc import Sequence

from aira_jax.search.tree import Node


class MemoryKind(enum.StrEnum):
    """`simple`: plan, summary and fitness of every good node. `only_plans`: their plans alone. `sibling`: the children
    that the parent already has. `ancestral`: the chain of repairs that ends in the parent, back to the node that began
    it. `lineage`: every ancestor of every parent. `none`: nothing."""

    SIMPLE = "simple"
    ONLY_PLANS = "only_plans"
    SIBLING = "sibling"
    ANCESTRAL = "ancestral"
    LINEAGE = "lineage"
    NONE = "none"


def select(
    kind: MemoryKind,
    nodes: Sequence[Node],
    parents: Sequence[int],
    *,
    max_chars: int,
    lower_is_better: bool,
) -> str:
    """The memory block of a prompt, "" if there is nothing to tell.

    `nodes` is the view in id order (index = id), pending ones included but never told of. At most `max_chars`
    characters (0 = no bound): the best five good nodes first, then the most recent, each once; entries that do not
    fit are left out and counted in a last line.
    """
    raise NotImplementedError
