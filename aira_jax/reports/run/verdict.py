"""What a run may honestly claim: best against first draft, measured against the spread over evaluation seeds."""

import dataclasses
import enum
import statistics
from collections import defaultdict
from collections.abc import Mapping

from aira_jax.proxies.fidelity import Signal
from aira_jax.runs.view import NodeView, RunView

MIN_PAIRS = 3  # fewer seeds give no interval


class Claim(enum.StrEnum):
    NOTHING = "nothing"  # no node was scored
    FIRST = "first"  # the best is the first draft
    UNKNOWN = "unknown"  # better, but no repeats tell by how much scores vary
    WITHIN = "within"  # better by no more than the spread
    BEYOND = "beyond"  # better by more than the spread
    WORSE = "worse"  # over the repeats, the selected node is worse than the first draft


@dataclasses.dataclass(frozen=True)
class Verdict:
    """The claim, its numbers (difference signed so that positive is better) and the sentence for the reader."""

    claim: Claim
    sentence: str
    difference: float | None = None
    spread: float | None = None


def scores_by_seed(view: NodeView, run: RunView) -> Mapping[str, Mapping[int, float]]:
    """All scores of a node that may be compared: split -> {evaluation seed: value}.

    Scores from a confirmation replace the validation scores of the search: these chose the node, so they flatter it.
    """
    found: dict[str, dict[int, float]] = defaultdict(dict)
    for execution in view.executions:
        if execution.value is not None:
            found[execution.split].setdefault(execution.seed, execution.value)
    confirmed = {s: value for node, s, value, _ in run.tree.confirmations if node == view.node.id and value is not None}
    if confirmed:
        found["validation"] = confirmed
    score = run.tests.scores.get(view.node.id)
    if score:
        values = {0: score.value, **score.repeats}
        found["test"].update({seed: value for seed, value in values.items() if value is not None})
    return found


def verdict(run: RunView) -> Verdict:
    """Compares the chosen node (submitted, else best) with the first draft that was scored.

    Uses the split on which both were repeated most; test wins a tie, because validation chose the node. The spread
    is the wider of the two ranges over seeds.
    """
    chosen, first = run.submitted or run.best, run.first_draft
    if chosen is None:
        return Verdict(Claim.NOTHING, "No candidate was scored, so there is nothing to compare.")
    if first is None:
        return Verdict(Claim.NOTHING, f"Node {chosen.node.id} is the best, but no draft was scored to compare it with.")
    if chosen.node.id == first.node.id:
        return Verdict(
            Claim.FIRST, f"The first scored draft (node {first.node.id}) is still the best: nothing beat it."
        )
    if steered := _by_signal(chosen, first, run):
        return steered
    a, b = scores_by_seed(chosen, run), scores_by_seed(first, run)
    split = _common_split(a, b)
    if split is None:
        return _unrepeated(chosen, first, run)
    return _compare(split, chosen, first, list(a[split].values()), list(b[split].values()), run)


def _by_signal(chosen: NodeView, first: NodeView, run: RunView) -> Verdict | None:
    """The comparison by what steered the search, over the fresh seeds that both nodes have: the mean of the paired
    differences with Student's 95 % interval. None where the metric steered, or with fewer than 3 such seeds."""
    kind, fresh = run.tree.signal, defaultdict(dict)
    for node, seed, value in run.tree.confirmed_signals:
        if value is not None:
            fresh[node][seed] = value
    a, b = fresh[chosen.node.id], fresh[first.node.id]
    seeds = sorted(a.keys() & b.keys())
    if kind is Signal.METRIC or len(seeds) < MIN_PAIRS:
        return None
    from scipy import stats

    differences = [b[seed] - a[seed] for seed in seeds]
    better = statistics.fmean(differences)
    half = stats.t.ppf(0.975, len(seeds) - 1) * statistics.stdev(differences) / len(seeds) ** 0.5
    claim = Claim.BEYOND if better > half else Claim.WITHIN if better > -half else Claim.WORSE
    comparison = {
        Claim.BEYOND: f"better than the first draft by {better:.4f} +- {half:.4f} on fresh seeds",
        Claim.WITHIN: f"a tie with the first draft: better by {better:.4f} +- {half:.4f} on fresh seeds",
        Claim.WORSE: f"worse than the first draft by {-better:.4f} +- {half:.4f} on fresh seeds",
    }[claim]
    sentence = (
        f"By the signal that steered the search ({kind}, in nats, lower is better), node {chosen.node.id} is "
        f"{comparison} ({len(seeds)} pairs, 95 % interval)."
    )
    return Verdict(claim, sentence, better, half)


def _common_split(a: Mapping[str, Mapping[int, float]], b: Mapping[str, Mapping[int, float]]) -> str | None:
    both = [split for split in ("test", "validation") if a.get(split) and b.get(split)]
    return max(both, key=lambda split: min(len(a[split]), len(b[split])), default=None)


def _unrepeated(chosen: NodeView, first: NodeView, run: RunView) -> Verdict:
    better = _better_by(chosen.node.fitness, first.node.fitness, run)
    return Verdict(
        Claim.UNKNOWN,
        f"On validation, node {chosen.node.id} ({chosen.node.fitness:.4f}) against the first draft, node "
        f"{first.node.id} ({first.node.fitness:.4f}): {_words(better)}. Each was scored with one seed only, "
        "so whether this exceeds the spread over seeds is not known.",
        better,
    )


def _compare(split: str, chosen: NodeView, first: NodeView, a: list[float], b: list[float], run: RunView) -> Verdict:
    where = _split_name(split, chosen, run)
    better = _better_by(statistics.fmean(a), statistics.fmean(b), run)
    names = f"node {chosen.node.id} ({_scores(a)}) against the first draft, node {first.node.id} ({_scores(b)})"
    if max(len(a), len(b)) < 2:
        return Verdict(
            Claim.UNKNOWN,
            f"On {where}, {names}: {_words(better)}. One seed each, so whether this exceeds the spread over seeds is "
            "not known.",
            better,
        )
    spread = max(max(a) - min(a), max(b) - min(b))
    claim = Claim.WORSE if better <= 0 else Claim.BEYOND if better > spread else Claim.WITHIN
    comparison = {
        Claim.WORSE: "the search found nothing better",
        Claim.BEYOND: f"more than the spread over seeds ({spread:.4f})",
        Claim.WITHIN: f"not more than the spread over seeds ({spread:.4f}), so it may be chance",
    }[claim]
    return Verdict(claim, f"On {where}, {names}: {_words(better)}, {comparison}.", better, spread)


def _split_name(split: str, view: NodeView, run: RunView) -> str:
    fresh = split == "validation" and any(node == view.node.id for node, *_ in run.tree.confirmations)
    return "validation with fresh seeds" if fresh else split


def _better_by(value: float, reference: float, run: RunView) -> float:
    return reference - value if run.tree.lower_is_better else value - reference


def _words(better: float) -> str:
    return f"better by {better:.4f}" if better > 0 else "equal" if better == 0 else f"worse by {-better:.4f}"


def _scores(values: list[float]) -> str:
    mean = statistics.fmean(values)
    if len(values) == 1:
        return f"{mean:.4f}, one seed"
    return f"{mean:.4f}, mean of {len(values)} seeds, {min(values):.4f} to {max(values):.4f}"
