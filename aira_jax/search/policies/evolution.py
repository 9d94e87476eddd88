"""Evolution on islands: AIRA-dojo's, admitting at each commit, with the island of a node on record.

An individual is a draft, an improvement or a crossover, and whatever repairs it. The population is no state of its own:
it follows from the tree.
"""

import dataclasses
import math
import statistics
from collections.abc import Iterable, Sequence

from aira_jax.core.operators import Operator
from aira_jax.search.log.tree import Action, Node, Tree
from aira_jax.search.policies.draws import Draws
from aira_jax.search.policies.repairs import broken, chain

Islands = list[list[Node]]


@dataclasses.dataclass(frozen=True)
class EvolutionConfig:
    """Published values of AIRA-dojo's evolution (arXiv 2507.02554).

    `t0` -> `t1`: temperature of the first and of the last generation. `max_debug_s`: no repair begins once a chain took
    so long. `migration_every` generations (0: never) the worse half of the islands starts anew from the best of the
    better half. `barrier`: a generation is complete before the next begins, and admitted as one.
    """

    num_islands: int = 1
    max_island_size: int = 500
    individuals_per_generation: int = 5
    num_generations: int = 100
    crossover_prob: float = 0.5
    crossover_from: int = 2
    t0: float = 1.0
    t1: float = 1.0
    max_debug_depth: int = 10
    max_debug_s: float = 6 * 3600.0
    migration_every: int = 0
    barrier: bool = False


def evolution(tree: Tree, rng: Draws, config: EvolutionConfig) -> Action:
    """Repairs; drafts for generation 0; then children of parents that their fitness makes likely."""
    for node in broken(tree, config.max_debug_depth):
        if sum(link.wall_s for link in chain(tree, node)) < config.max_debug_s:
            return Action.debug(node, **node.meta)
    born = len(individuals(tree))
    generation, within = divmod(born, config.individuals_per_generation)
    if generation >= config.num_generations:
        return Action.stop()
    if config.barrier and within == 0 and tree.pending:
        return Action.wait()
    islands = population(tree, config)
    if generation == 0 or not any(islands):
        return Action.draft(island=born % config.num_islands)
    return _child(tree, rng, config, islands, generation)


def _child(tree: Tree, rng: Draws, config: EvolutionConfig, islands: Islands, generation: int) -> Action:
    living = [i for i, island in enumerate(islands) if island]
    island = living[draw(rng, softmax([_mean(tree, islands[i]) for i in living]))]
    members = sorted(islands[island], key=lambda node: node.id)
    share = generation / max(1, config.num_generations - 1)
    heat = config.t0 + share * (config.t1 - config.t0)
    crosses = rng.random() < config.crossover_prob and generation >= config.crossover_from and len(members) > 1
    first = _take(tree, rng, members, heat)
    if not crosses:
        return Action.improve(first, island=island)
    return Action.crossover(first, _take(tree, rng, members, heat), island=island)


def _take(tree: Tree, rng: Draws, members: list[Node], heat: float) -> Node:
    """Removes one of `members`, the fitter the likelier."""
    return members.pop(draw(rng, softmax([tree.quality(node) for node in members], heat)))


def individuals(tree: Tree) -> list[Node]:
    """The nodes that are no repairs, in id order; an individual's place in it gives its generation."""
    return [node for node in tree.nodes if node.operator is not Operator.DEBUG]


def population(tree: Tree, config: EvolutionConfig) -> Islands:
    """The members of every island, as the commits so far make them."""
    islands: Islands = [[] for _ in range(config.num_islands)]
    epoch = 0
    for generation, batch in _admissions(tree, config):
        epoch = _migrate(tree, islands, epoch, generation, config)
        bars = [_mean(tree, island) if island else -math.inf for island in islands]
        for node in batch:
            if generation == 0 or tree.quality(node) >= bars[node.meta["island"]]:
                islands[node.meta["island"]].append(node)
        for island in islands:
            island[:] = _best(tree, island, config.max_island_size)
    _migrate(tree, islands, epoch, len(individuals(tree)) // config.individuals_per_generation, config)
    return islands


def _admissions(tree: Tree, config: EvolutionConfig) -> Iterable[tuple[int, list[Node]]]:
    """(generation, good nodes that are admitted together) in the order of the commits: one node at a time, with a
    barrier a complete generation."""
    size, born = config.individuals_per_generation, individuals(tree)
    generations = {node.id: i // size for i, node in enumerate(born)}
    good = [tree.nodes[id] for id in tree.commits if tree.nodes[id].is_good]
    of = {node.id: generations[chain(tree, node)[-1].id] for node in good}
    if not config.barrier:
        return [(of[node.id], [node]) for node in good]
    return [(g, [node for node in good if of[node.id] == g]) for g in range(len(born) // size)]


def _migrate(tree: Tree, islands: Islands, epoch: int, generation: int, config: EvolutionConfig) -> int:
    """The epoch of `generation`. As a new one begins, the i-th worst island starts anew from the best node of the i-th
    best, for the worse half."""
    now = generation // config.migration_every if config.migration_every else 0
    if now > epoch:
        ranked = sorted(islands, key=lambda island: _mean(tree, island) if island else -math.inf, reverse=True)
        for better, worse in zip(ranked[: len(ranked) // 2], reversed(ranked), strict=False):
            worse[:] = _best(tree, better, 1)
    return max(now, epoch)


def _mean(tree: Tree, nodes: Sequence[Node]) -> float:
    return statistics.fmean(tree.quality(node) for node in nodes)


def _best(tree: Tree, nodes: Sequence[Node], k: int) -> list[Node]:
    return sorted(nodes, key=lambda node: (-tree.quality(node), node.id))[:k]


def softmax(values: Sequence[float], temperature: float = 1.0) -> list[float]:
    """The weights of `values` after they were scaled to [0, 1]; equal values have equal weights."""
    low, high = min(values), max(values)
    scaled = [(value - low) / (high - low) if high > low else 0.0 for value in values]
    weights = [math.exp((value - 1.0) / temperature) for value in scaled]
    return [weight / sum(weights) for weight in weights]


def draw(rng: Draws, weights: Sequence[float]) -> int:
    """An index with its weight as probability, by one uniform draw on the cumulative weights."""
    u, total = rng.random() * sum(weights), 0.0
    for i, weight in enumerate(weights):
        total += weight
        if u < total:
            return i
    return len(weights) - 1
