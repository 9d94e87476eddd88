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
import hashlib
import importlib.util
from collections.abc import Callable
from pathlib import Path

from aira_jax.core import choices
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
            raise ValueError(choices.unknown("config.policy.name", name, [*POLICIES, "path.py:function"]))
        return POLICIES[name]
    function = _load(name, digest(name))
    return lambda tree, rng, config: function(tree, rng)


def digest(name: str) -> str | None:
    """sha256 of the file of a policy from outside, None for one of POLICIES. Raises ValueError for an absent file."""
    if ":" not in name:
        return None
    path = Path(name.rpartition(":")[0])
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise ValueError(f"config.policy.name={name!r}: {path} cannot be read ({error.strerror})") from None


_loaded: dict[tuple[str, str], Callable[[Tree, Draws], Action]] = {}


def _load(name: str, sha: str) -> Callable[[Tree, Draws], Action]:
    if (name, sha) in _loaded:
        return _loaded[name, sha]
    path, _, function = name.rpartition(":")
    spec = importlib.util.spec_from_file_location(f"policy_{sha[:16]}", path)
    if spec is None:
        raise ValueError(f"config.policy.name={name!r}: {path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise ValueError(f"config.policy.name={name!r}: {path} raises {type(error).__name__}: {error}") from error
    found = getattr(module, function, None)
    if not callable(found):
        known = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
        raise ValueError(choices.refusal(f"{path} has no function {function!r}", function, known))
    return _loaded.setdefault((name, sha), found)


def select(tree: Tree, rng: Draws, config: PolicyConfig) -> Action:
    """The next action. Equal trees and draws give equal actions; the tree is not changed."""
    return find(config.name)(tree, rng, config)
