"""After a search: the best nodes again, with evaluator seeds that chose nothing, against the winner's curse."""

import dataclasses
import statistics
from collections.abc import Callable, Hashable, Sequence

from aira_jax.search.engine.evaluation import Evaluator, Recorded
from aira_jax.search.engine.workers import WorkerPool
from aira_jax.search.log.events import Kind
from aira_jax.search.log.tree import Node, Tree
from aira_jax.search.settings import Baseline, Confirm
from aira_jax.tasks.compose.space import PatternSpace


@dataclasses.dataclass(frozen=True)
class Submission:
    """The node that a run hands in, and the rule that chose it."""

    node: int
    rule: str  # best_validation or confirmed
    fitness: float


def confirm(
    evaluator: Evaluator, pool: WorkerPool, config: Confirm, space, first_seed: int, expired: Callable[[], bool]
) -> None:
    """Scores the top nodes and the baseline on validation with fresh seeds from `first_seed` on, as far as missing."""
    tree = pool.journal.tree
    nodes = {node.id: node for node in (*top(tree, finalists(tree, space), config.top_k), *baseline(tree, config))}
    done = {(id, seed) for id, seed, *_ in tree.confirmations}
    jobs: dict[Hashable, Callable[[], object]] = {}
    for seed in range(first_seed, first_seed + config.seeds):
        for node in nodes.values():
            if (node.id, seed) not in done:
                jobs["confirm", node.id, seed] = lambda node=node, seed=seed: evaluator.score(
                    node.id, {**node.files, **node.exported}, split="validation", seed=seed, recorded=Recorded()
                )
    pool.run(jobs, expired)


def finalists(tree: Tree, space) -> tuple[Node, ...]:
    """The good nodes that may be handed in: where a search let patterns grow, only the longest, which are complete.

    `space` is the task's space.py, None if it has none.
    """
    patterns = getattr(space, "SPACE", None)
    if not isinstance(patterns, PatternSpace) or not tree.good:
        return tree.good
    layers = {node.id: patterns.layers(node.files) for node in tree.good}
    longest = max(layers.values())
    return tuple(node for node in tree.good if layers[node.id] == longest)


def top(tree: Tree, nodes: Sequence[Node], k: int) -> list[Node]:
    """The `k` best of the good `nodes`, each candidate once, the earliest on ties."""
    ranked = sorted(nodes, key=lambda node: (-tree.quality(node), node.id))
    return list({node.key: node for node in reversed(ranked)}.values())[::-1][:k]


def baseline(tree: Tree, config: Confirm) -> list[Node]:
    """What the confirmed nodes are compared with."""
    if config.baseline is Baseline.NONE or not config.top_k:
        return []
    return [node for node in tree.drafts if node.is_good][:1]


def choose(tree: Tree, config: Confirm, space) -> Submission | None:
    """The best mean over the fresh seeds among the top finalists; without confirmation, the best validation fitness."""
    nodes = finalists(tree, space)
    if not nodes:
        return None
    means = {node.id: mean(tree, node.id, config.seeds) for node in top(tree, nodes, config.top_k)}
    confirmed = {id: value for id, value in means.items() if value is not None}
    if not confirmed:
        (best,) = top(tree, nodes, 1)
        return Submission(best.id, "best_validation", best.fitness)
    sign = -1 if tree.lower_steers else 1
    best = max(confirmed, key=lambda id: (sign * confirmed[id], -id))
    values = [value for id, _, value, _ in tree.confirmations if id == best and value is not None]
    return Submission(best, "confirmed", statistics.fmean(values))


def mean(tree: Tree, node: int, seeds: int) -> float | None:
    """The mean of what steers the search over a node's fresh seeds, None unless all of them gave a value."""
    values = {seed: value for id, seed, value in tree.confirmed_signals if id == node and value is not None}
    return statistics.fmean(values.values()) if len(values) >= seeds else None


def submit(pool: WorkerPool, config: Confirm, space) -> None:
    """Records the submission, unless it is on record; warns when a confirmation was wanted and is not complete."""
    journal = pool.journal
    chosen = choose(journal.tree, config, space)
    if chosen is None:
        return
    if config.top_k and chosen.rule != "confirmed":
        text = "no node was confirmed with all fresh seeds; the best validation fitness is submitted"
        journal.append(Kind.WARNING, code="unconfirmed", text=text)
    if journal.tree.submitted != chosen.node:
        journal.append(Kind.SUBMIT, **dataclasses.asdict(chosen))
