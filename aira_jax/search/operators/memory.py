"""What a prompt tells of earlier nodes: which of them, in which order, within how many characters."""

import enum
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from aira_jax.core.operators import Operator
from aira_jax.search.log.tree import Node

BEST = 5
PLAN_CHARS, SUMMARY_CHARS = 2000, 1000


class MemoryKind(enum.StrEnum):
    """Which nodes are told of, and what.

    `simple`: plan, summary and fitness of every good node. `only_plans`: their plans alone. `sibling`: the children
    that the parents already have. `ancestral`: the chain of repairs that ends in the parent, back to the node that
    began it. `lineage`: every ancestor of every parent, parents included. `none`: nothing.
    """

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
    designs: bool = True,
) -> str:
    """The memory block of a prompt, "" if there is nothing to tell.

    With `designs`, every node tells its pattern and how it did on each problem, where it has them.

    `nodes` is the view in id order (index = id), pending ones included but never told of. At most `max_chars`
    characters (0 = no bound): the best five good nodes first, then the most recent, each once; entries that do not
    fit are left out and counted in a last line. In a bounded block long plans and summaries are cut.
    """
    told = [nodes[id] for id in sorted(_chosen(kind, nodes, parents)) if not nodes[id].pending]
    entries = []
    for node in _best_then_recent(told, lower_is_better):
        title, text = _entry(node, kind, bounded=max_chars > 0)
        design = [] if not designs else [pattern(node)]
        if designs and kind is not MemoryKind.ONLY_PLANS:
            design.append(problems(node, lower_is_better))
        entries.append("\n".join([title, *filter(None, design), text]))
    return _joined(entries, max_chars)


def pattern(node: Node) -> str:
    """A line with the pattern that `node` trained, "" for a candidate that is none or was never trained."""
    text = _extra(node).get("canonical")
    return f"Pattern: {text}" if isinstance(text, str) else ""


def problems(node: Node, lower_is_better: bool) -> str:
    """A line with the score of each problem that `node` was trained on, "" where there are fewer than two."""
    proxy = _extra(node).get("proxy")
    scores = proxy.get("tasks", {}) if isinstance(proxy, Mapping) else {}
    name, field = ("Losses", "loss") if lower_is_better else ("Accuracies", "micro")
    told = [f"{problem} {score[field]:.4g}" for problem, score in scores.items() if score.get(field) is not None]
    return f"{name}: {', '.join(told)}" if len(told) > 1 else ""


def _extra(node: Node) -> Mapping[str, Any]:
    extra = node.result.get("extra")
    return extra if isinstance(extra, Mapping) else {}


def _chosen(kind: MemoryKind, nodes: Sequence[Node], parents: Sequence[int]) -> set[int]:
    match kind:
        case MemoryKind.SIMPLE | MemoryKind.ONLY_PLANS:
            return {node.id for node in nodes if node.is_good}
        case MemoryKind.SIBLING:
            return {child for parent in parents for child in nodes[parent].children if child < len(nodes)}
        case MemoryKind.ANCESTRAL:
            return {id for parent in parents for id in _repairs(nodes, parent)}
        case MemoryKind.LINEAGE:
            return _ancestors(nodes, parents)
        case MemoryKind.NONE:
            return set()


def _repairs(nodes: Sequence[Node], last: int) -> Iterable[int]:
    """`last` and, as long as each is a repair, the node that it repairs."""
    yield last
    while nodes[last].operator is Operator.DEBUG:
        last = nodes[last].parents[0]
        yield last


def _ancestors(nodes: Sequence[Node], parents: Sequence[int]) -> set[int]:
    found, todo = set(), list(parents)
    while todo:
        id = todo.pop()
        if id not in found:
            found.add(id)
            todo.extend(nodes[id].parents)
    return found


def _best_then_recent(nodes: Sequence[Node], lower_is_better: bool) -> list[Node]:
    sign = 1 if lower_is_better else -1
    best = sorted((node for node in nodes if node.is_good), key=lambda node: (sign * node.steering, node.id))[:BEST]
    taken = {node.id for node in best}
    return best + [node for node in reversed(nodes) if node.id not in taken]


def _entry(node: Node, kind: MemoryKind, *, bounded: bool) -> tuple[str, str]:
    """The title of an entry, and what is below it."""
    of = f" of node {' and '.join(map(str, node.parents))}" if node.parents else ""
    title = f"Node {node.id} ({node.operator}{of})"
    plan = f"Plan: {_cut(node.plan, PLAN_CHARS) if bounded else node.plan}"
    if kind is MemoryKind.ONLY_PLANS:
        return title, plan
    signal = "" if node.signal is None else f", signal {node.signal:.6g}"
    outcome = f"fitness {node.fitness:.6g}{signal}" if node.is_good else f"{node.status}, class {node.failure_class}"
    summary = node.summary or node.message
    told = _cut(summary, SUMMARY_CHARS) if bounded else summary
    return f"{title}: {outcome}", plan + (f"\nOutcome: {told}" if told else "")


def _cut(text: str, chars: int) -> str:
    return text if len(text) <= chars else f"{text[: chars - 6]} [...]"


def _joined(entries: Sequence[str], max_chars: int) -> str:
    if not max_chars:
        return "\n\n".join(entries)
    left_out = "({} more left out)"
    kept, free = [], max_chars - len("\n\n" + left_out.format(len(entries)))
    for entry in entries:
        if len(entry) + 2 <= free:
            kept.append(entry)
            free -= len(entry) + 2
    if len(kept) < len(entries) and free >= 0:
        kept.append(left_out.format(len(entries) - len(kept)))
    return "\n\n".join(kept)
