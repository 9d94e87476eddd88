"""Search policies: pure functions from a tree to the next action."""

import dataclasses
import enum
from typing import Protocol

from aira_jax.search.tree import Action, Tree


class Draws(Protocol):
    """What a policy may draw from (a numpy Generator has both)."""

    def random(self) -> float: ...

    def integers(self, high: int) -> int: ...


class Policy(enum.StrEnum):
    ONE_SHOT = "one_shot"
    GREEDY = "greedy"


@dataclasses.dataclass(frozen=True)
class GreedyConfig:
    """Published values of AIRA-dojo's greedy search (arXiv 2507.02554)."""

    num_drafts: int = 5
    debug_prob: float = 1.0
    max_debug_depth: int = 20


@dataclasses.dataclass(frozen=True)
class PolicyConfig:
    """config.policy: which policy, and the values of each."""

    name: Policy = Policy.GREEDY
    greedy: GreedyConfig = GreedyConfig()


def select(tree: Tree, rng: Draws, config: PolicyConfig) -> Action:
    """The next action. Equal trees and draws give equal actions; the tree is not changed."""
    match config.name:
        case Policy.ONE_SHOT:
            return one_shot(tree)
        case Policy.GREEDY:
            return greedy(tree, rng, config.greedy)


def one_shot(tree: Tree) -> Action:
    """One draft, then the end."""
    return Action.stop() if tree.nodes else Action.draft()


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
