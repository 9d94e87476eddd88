"""Drafts, then repairs, then improvements of the best: AIRA-dojo's greedy search."""

import dataclasses

from aira_jax.search.log.tree import Action, Tree
from aira_jax.search.policies.draws import Draws
from aira_jax.search.policies.repairs import broken


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
    ill = broken(tree, config.max_debug_depth)
    if ill and u < config.debug_prob:
        return Action.debug(ill[rng.integers(len(ill))])
    if tree.best is None:
        return Action.draft()
    return Action.improve(tree.best)
