"""Trees that grow from a script of outcomes, without a search."""

from aira_jax.core.rng import Stream, generator
from aira_jax.search.log.tree import Action, NodeStatus, Tree
from aira_jax.search.policies import PolicyConfig, select

BUGGY = None


def begin(lower_is_better: bool = False) -> Tree:
    return Tree().apply(
        {"kind": "run_start", "mono": 0.0, "lower_is_better": lower_is_better, "config": {"budget": {}}}
    )


def act(tree: Tree, action: Action) -> Tree:
    members = {"node": len(tree.nodes), "operator": str(action.operator), "parents": list(action.parents)}
    return tree.apply({"kind": "action", "mono": 0.0, "meta": dict(action.meta), **members})


def commit(tree: Tree, node: int, fitness: float | None, status: NodeStatus | None = None) -> Tree:
    status = status or (NodeStatus.BUGGY if fitness is None else NodeStatus.GOOD)
    return tree.apply({"kind": "node", "mono": 0.0, "node": node, "status": str(status), "fitness": fitness})


def choose(tree: Tree, config: PolicyConfig, seed: int = 0) -> Action:
    return select(tree, generator(seed, Stream.POLICY, len(tree.nodes)), config)


def words(action: Action) -> str:
    return " ".join([action.operator, *map(str, action.parents)])


def trace(script, config: PolicyConfig, *, seed: int = 0, lower_is_better: bool = False) -> tuple[list[str], Tree]:
    """The actions that a policy takes when node k comes out as script[k] (None: buggy), and the tree."""
    tree, actions = begin(lower_is_better), []
    for k, fitness in enumerate(script):
        action = choose(tree, config, seed)
        actions.append(words(action))
        tree = commit(act(tree, action), k, fitness)
    return actions, tree
