"""Drafts, then repairs, then improvements of the best: AIRA-dojo's greedy search."""

import dataclasses
from typing import Protocol

from aira_jax.search.log.tree import Action, Tree


class Draws(Protocol):
    """What a policy may draw from (a numpy Generator has both)."""

    def random(self) -> float: ...

    def integers(self, high: int) -> int: ...


@dataclasses.dataclass(frozen=True)
class GreedyConfig:
    """Published values of AIRA-dojo's greedy search (arXiv 2507.02554)."""

    num_drafts: int = 5
    debug_prob: float = 1.0
    max_debug_depth: int = 20


def greedy(tree: Tree, rng: Draws, config: GreedyConfig) -> Action:
    """Drafts first, then repairs, then improves the best node (AIRA-dojo's greedy search)."""
    u = rng.random()
    if len(tree.drafts) < config.num_drafts:
        return Action.draft()
    broken = [node for node in tree.leaves if node.is_buggy and node.debug_depth < config.max_debug_depth]
    if broken and u < config.debug_prob:
        return Action.debug(broken[rng.integers(len(broken))])
    if tree.best is None:
        return Action.draft()
    return Action.improve(tree.best)
