"""One draft, then the end."""

from aira_jax.search.log.tree import Action, Tree


def one_shot(tree: Tree) -> Action:
    """The next action."""
    return Action.stop() if tree.nodes else Action.draft()
