"""Search policies: pure functions (tree, draws) -> action, one file each, or one from outside.

A policy sees what the search knows (`Tree`: nodes, drafts, leaves, best) and says what comes next by `Action`: draft,
improve, debug, crossover, wait or stop. What it must remember goes into `Action.meta`. It draws from `rng` alone and
never changes the tree, so that a resumed search takes the same decisions.

A policy of your own needs no change of this package:

    # mine.py
    from aira_jax.search.policies import Action

    def widen(tree, rng):
        return Action.draft() if len(tree.drafts) < 3 else Action.improve(tree.best)

    --config.policy.name=mine.py:widen
"""

import dataclasses
from collections.abc import Callable

from aira_jax.core import choices, outside
from aira_jax.core.operators import Operator
from aira_jax.search.log.node import Action, Node
from aira_jax.search.log.tree import Tree
from aira_jax.search.policies.draws import Draws
from aira_jax.search.policies.evolution import EvolutionConfig, evolution
from aira_jax.search.policies.greedy import GreedyConfig, greedy
from aira_jax.search.policies.mcts import MCTSConfig, mcts
from aira_jax.search.policies.one_shot import one_shot

__all__ = [
    "POLICIES", "Action", "Draws", "EvolutionConfig", "GreedyConfig", "MCTSConfig", "Node", "Operator", "PolicyConfig",
    "Tree", "digest", "evolution", "find", "greedy", "mcts", "one_shot", "select",
]  # fmt: skip


OPTION = "config.policy.name"


@dataclasses.dataclass(frozen=True)
class PolicyConfig:
    """config.policy. `name`: one of POLICIES, or path.py:function for a policy of your own; then the values of each."""

    name: str = "greedy"
    greedy: GreedyConfig = GreedyConfig()
    mcts: MCTSConfig = MCTSConfig()
    evolution: EvolutionConfig = EvolutionConfig()


POLICIES: dict[str, Callable[[Tree, Draws, PolicyConfig], Action]] = {
    "one_shot": lambda tree, rng, config: one_shot(tree),
    "greedy": lambda tree, rng, config: greedy(tree, rng, config.greedy),
    "mcts": lambda tree, rng, config: mcts(tree, config.mcts),
    "evolution": lambda tree, rng, config: evolution(tree, rng, config.evolution),
}


def find(name: str) -> Callable[[Tree, Draws, PolicyConfig], Action]:
    """The policy that config.policy.name says. Raises ValueError when there is none, with the mend."""
    if ":" not in name:
        if name not in POLICIES:
            raise ValueError(choices.unknown(OPTION, name, [*POLICIES, "path.py:function"]))
        return POLICIES[name]
    function = outside.load(name, OPTION)
    return lambda tree, rng, config: function(tree, rng)


def digest(name: str) -> str | None:
    """sha256 of the file of a policy from outside, None for one of POLICIES. Raises ValueError for an absent file."""
    return outside.digest(name, OPTION) if ":" in name else None


def select(tree: Tree, rng: Draws, config: PolicyConfig) -> Action:
    """The next action. Equal trees and draws give equal actions; the tree is not changed."""
    return find(config.name)(tree, rng, config)
