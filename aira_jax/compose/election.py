"""One base pattern from the collected runs: which rows count, how they rank, who votes.

The steps are `collect` (rows), `ranking` (entries, one ranking per task) and `aggregate` (the vote).
"""

import dataclasses
from collections.abc import Mapping, Sequence

from aira_jax.compose import aggregate, ranking
from aira_jax.compose import provenance as provenance_lib
from aira_jax.compose.aggregate import DECAYS, Aggregate, Elected
from aira_jax.compose.kmeans import usual_clusters
from aira_jax.compose.ranking import Accuracy, Score
from aira_jax.compose.rows import Collection, Row
from aira_jax.compose.voters import KMeansTop, RankDecay, Ranking, Selector, TopK
from aira_jax.core import choices
from aira_jax.core.rounding import rational


@dataclasses.dataclass(frozen=True, kw_only=True)
class ElectionOptions:
    """Which rows vote and how. Empty `task`, `preset`, `layers`: all count; `top_k` None: all vote.

    `clusters`: the best of so many k-means clusters votes; 0: all; None: `kmeans.usual_clusters`, or all with `top_k`.
    """

    method: str = "n0"
    clusters: int | None = None
    top_k: int | None = None
    rank_decay: bool = False
    multiplicity: bool = False
    score: Score = Score.AUTO
    accuracy: Accuracy = Accuracy.MICRO
    task: str = ""
    preset: str = ""
    layers: int | None = None

    def __post_init__(self):
        for name in ("clusters", "top_k", "layers"):
            if (getattr(self, name) or 0) < 0:
                raise ValueError(f"{name}={getattr(self, name)} must not be negative")

    @property
    def selectors(self) -> tuple[Selector, ...]:
        wanted = (
            self.top_k and TopK(self.top_k),
            self.clusters and KMeansTop(self.clusters),
            self.rank_decay and RankDecay(),
        )
        return tuple(selector for selector in wanted if selector)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Base:
    """An elected base pattern. `score` is what ranked, `patterns` how many were ranked over all tasks, the best of
    `clusters` voted (1: all did)."""

    result: Aggregate
    clusters: int
    outcomes: tuple[Elected, ...]
    score: Score
    accuracy: Accuracy
    coverage: str
    patterns: int
    presets: tuple[str, ...]
    tasks: tuple[str, ...]
    spaces: tuple[int | str, ...]
    collection: Collection
    provenance: provenance_lib.Facts

    @property
    def evaluated(self) -> str:
        return "it was itself evaluated" if self.result.evaluated else "it was never evaluated itself: evaluate it"

    @property
    def ranked_by(self) -> str:
        return f"{self.score} scores" + (" (macro accuracy)" if self.accuracy is Accuracy.MACRO else "")

    def to_json(self) -> dict:
        """Plain values: those of the aggregate, then where they come from."""
        return self.result.to_json() | {
            "pretty": self.result.pattern.pretty(),
            "layers": len(self.result.pattern),
            "counts": dict(self.result.pattern.counts()),
            "ranked_by": str(self.score),
            "accuracy": str(self.accuracy),
            "coverage": self.coverage,
            "patterns": self.patterns,
            "presets": list(self.presets),
            "tasks": list(self.tasks),
            "space": list(self.spaces),
            "outcomes": [
                {
                    "pattern": outcome.pattern.canonical(),
                    "elected_by": [list(by) for by in outcome.elected_by],
                    "evaluated": outcome.evaluated,
                }
                for outcome in self.outcomes
            ],
            "provenance": self.provenance,
            "runs": [dataclasses.asdict(run) for run in self.collection.runs],
            "skipped": [dataclasses.asdict(run) for run in self.collection.skipped],
        }

    def to_text(self) -> str:
        """For a terminal: the pattern, the votes per layer, and what else would be elected."""
        result = self.result
        lines = [
            f"{result.pattern.pretty()}   ({len(result.pattern)} layers, {result.method})",
            f"elected by {len(result.members)} of {self.patterns} patterns; {self.evaluated}",
        ]
        for layer, share in enumerate(result.shares, 1):
            lines.append(f"  layer {layer:2}  " + "  ".join(f"{p} {100 * part:3.0f} %" for p, part in share.items()))
        for outcome in self.outcomes:
            by = "; ".join(f"{selection} {method}" for selection, method in outcome.elected_by)
            lines.append(f"{outcome.pattern.pretty()}: {by}")
        return "\n".join([*lines, provenance_lib.told(self.provenance)])


def base_pattern(collection: Collection, choice: ElectionOptions = ElectionOptions()) -> Base:
    """The elected pattern, and every other outcome of the usual selectors and methods.

    Raises ValueError for runs that cannot be compared (mixed presets, spaces, lengths), too few distinct scores for
    the clusters, or nothing to rank; the message names what to choose instead.
    """
    rows = _chosen(collection, choice)
    score = ranking.choose(rows, choice.score)
    found = ranking.entries(rows, score, choice.accuracy)
    scored = {(row.task, row.pattern) for row in rows if row.validation or row.tests}
    coverage = f"{len(found)} of {len(scored)} patterns have one"
    if not found:
        raise ValueError(
            f"none of {len(scored)} patterns has a {score} score; scripts/score_tests.py --when=after_all gives them "
            "test scores, --score=validation ranks by what the searches saw"
        )
    try:
        ranked = ranking.rankings(found, multiplicity=choice.multiplicity)
        choice = dataclasses.replace(choice, clusters=_clusters(ranked, choice))
        result = aggregate.combine(ranked, selectors=choice.selectors, method=choice.method)
    except ValueError as error:
        raise ValueError(f"{error}{_mend(rows, found, score, coverage)}") from error
    return Base(
        result=result,
        clusters=choice.clusters or 1,
        outcomes=aggregate.outcomes(ranked, selections=_selections(ranked, choice)),
        score=score,
        accuracy=choice.accuracy,
        coverage=coverage,
        patterns=len(found),
        presets=tuple(sorted({entry.preset for entry in found})),
        tasks=tuple(sorted({entry.task for entry in found})),
        spaces=tuple(sorted({entry.space for entry in found}, key=str)),
        collection=collection,
        provenance=provenance_lib.of_rows(rows),
    )


def _clusters(ranked: Sequence[Ranking], choice: ElectionOptions) -> int:
    if choice.clusters is not None:
        return choice.clusters
    if choice.top_k:
        return 0
    return usual_clusters([[rational(voter.score, "score") for voter in r.voters] for r in ranked])


def scored(collection: Collection, choice: ElectionOptions = ElectionOptions()) -> tuple[ranking.Entry, ...]:
    """The entries that `base_pattern` ranks, of every task the best first."""
    rows = _chosen(collection, choice)
    return ranking.entries(rows, ranking.choose(rows, choice.score), choice.accuracy)


def _chosen(collection: Collection, choice: ElectionOptions) -> list[Row]:
    rows = list(collection.rows)
    for name, wanted in (("task", choice.task), ("preset", choice.preset), ("layers", choice.layers)):
        known = sorted({str(getattr(row, name)) for row in rows})
        rows = [row for row in rows if not wanted or getattr(row, name) == wanted]
        if not rows and known:
            raise ValueError(choices.unknown(name, wanted, known))
    if not rows:
        reasons = "; ".join(f"{run.path}: {run.reason}" for run in collection.skipped)
        raise ValueError(f"no run gave a pattern{f' ({reasons})' if reasons else ''}: let the searches run first")
    return rows


def _mend(rows: Sequence[Row], found: Sequence[ranking.Entry], score: Score, coverage: str) -> str:
    """What to do about a collection that cannot be ranked as one."""
    hints = []
    for flag, values in (
        ("profile", {entry.preset for entry in found}),
        ("task", {entry.task for entry in found} if len({entry.space for entry in found}) > 1 else set()),
        ("layers", {row.layers for row in rows}),
    ):
        if len(values) > 1:
            hints.append(f"--{flag}={' or '.join(map(str, sorted(values)))}")
    if not hints and score is Score.TEST:
        hints.append("--score=validation")
    return f"\n    {score} scores, {coverage}{'; try ' + ', '.join(hints) if hints else ''}"


def _selections(ranked: Sequence[Ranking], choice: ElectionOptions) -> Mapping[str, tuple[Selector, ...]]:
    """The usual selectors, as far as the smallest data set has patterns and distinct scores for them."""
    fewest = min(len(r.voters) for r in ranked)
    distinct = min(len({v.score for v in r.voters}) for r in ranked)
    clusters, top = min(choice.clusters or 3, distinct), min(choice.top_k or 20, fewest)
    return {
        f"kmeans_top {clusters}": (KMeansTop(clusters),),
        f"top_k {top}": (TopK(top),),
        **{f"rank_decay {decay:g}": (RankDecay(decay),) for decay in DECAYS},
    }
