"""From many runs to models at scale: rank what was found, elect a base pattern, bring it to size, count its cost.

    collection = collect.collect(["runs"])
    pipeline = follow(collection, ElectionOptions(), clusters=None)
    pipeline.chosen("1B").fit.pattern

The parts are `campaign` (ranking and vote), `extrapolate` (size) and `flops` (parameters, steps).
"""

import dataclasses
import math
import warnings
from collections.abc import Sequence

from aira_jax import patterns
from aira_jax.compose import election, extrapolate, kmeans, ranking, zoo
from aira_jax.compose.dims import SCALES, Space
from aira_jax.compose.election import Base, ElectionOptions
from aira_jax.compose.extrapolate import Fit, Method
from aira_jax.compose.ranking import AgentReport, Entry
from aira_jax.compose.rows import Collection, Row
from aira_jax.core import rounding as rounding_lib
from aira_jax.patterns import Pattern

STACK_LAYERS = 6  # bases of at most so many layers are stacked


@dataclasses.dataclass(frozen=True, kw_only=True)
class RankedTask:
    """The ranked patterns of one task, best first, and how many of them every cluster of scores holds."""

    task: str
    entries: tuple[Entry, ...]
    clusters: tuple[int, ...]

    def cluster(self, place: int) -> int:
        """The cluster of the entry at `place`, both from 0; 0 is the best."""
        for number, size in enumerate(self.clusters):
            if place < size:
                return number
            place -= size
        raise IndexError(place)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Scaled:
    """The base pattern at a scale by one method. `fit` is None where the method cannot reach it: `reason` says why.

    `chosen` marks one method per scale: see `follow`.
    """

    scale: str
    method: Method
    fit: Fit | None
    reason: str
    chosen: bool


@dataclasses.dataclass(frozen=True, kw_only=True)
class Nearest:
    """The published base pattern that differs from a pattern in the fewest layers (insertions and losses count)."""

    name: str
    pattern: Pattern
    distance: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pipeline:
    """A whole campaign. `clusters` were used; `why` says in words how their number came about."""

    base: Base
    clusters: int
    why: str
    groups: tuple[RankedTask, ...]
    rows: tuple[Row, ...]
    agents: tuple[AgentReport, ...]
    space: Space
    scaled: tuple[Scaled, ...]
    nearest: Nearest

    @property
    def pattern(self) -> Pattern:
        return self.base.result.pattern

    def chosen(self, scale: str) -> Scaled:
        """The base at `scale` by the chosen method."""
        return next(s for s in self.scaled if s.scale == scale and s.chosen)

    def to_json(self) -> dict:
        """Plain values: how the base was elected, and every scale with parameters, FLOPs and steps."""
        return {
            "base": self.base.to_json(),
            "clusters": {"number": self.clusters, "why": self.why, "sizes": {g.task: g.clusters for g in self.groups}},
            "space": self.space,
            "nearest_published": {
                "name": self.nearest.name,
                "pattern": self.nearest.pattern.canonical(),
                "distance": self.nearest.distance,
            },
            "agents": [dataclasses.asdict(agent) for agent in self.agents],
            "scales": [
                {"scale": s.scale, "method": str(s.method), "chosen": s.chosen, "unreachable": s.reason}
                | ({} if s.fit is None else s.fit.to_json())
                for s in self.scaled
            ],
        }


def follow(
    collection: Collection,
    choice: ElectionOptions,
    *,
    clusters: int | None = None,
    method: Method | None = None,
    scales: Sequence[str] = SCALES,
) -> Pipeline:
    """The whole pipeline after `collect`. `choice.clusters` is replaced by `clusters`.

    Args:
      clusters: k of the k-means whose best cluster votes; None: 3 as in the paper, or fewer where the best of them
        would hold fewer than 5 patterns.
      method: None takes `suggested`; where that misses the target by more than 10 %, the one that comes closest.

    Raises ValueError as `election.base_pattern` does; a scale that no method reaches is reported, not raised.
    """
    base = election.base_pattern(collection, dataclasses.replace(choice, clusters=clusters))
    groups, number = _groups(election.scored(collection, choice)), base.clusters
    (space,) = base.spaces
    pattern = base.result.pattern
    rows = tuple(
        row
        for row in collection.rows
        if row.task in base.tasks and row.preset in base.presets and row.layers == len(pattern)
    )
    return Pipeline(
        base=base,
        clusters=number,
        why=_why(number, clusters),
        groups=tuple(_clustered(task, entries, number) for task, entries in groups.items()),
        rows=rows,
        agents=ranking.agents(rows),
        space=space,
        scaled=tuple(s for scale in scales for s in _scaled(pattern, scale, space, method)),
        nearest=nearest(pattern, space),
    )


def suggested(base: Pattern) -> Method:
    """Stack for at most 6 layers or fewer than 3 runs, which would stop alternating if stretched; else stretch."""
    short = len(base) <= STACK_LAYERS or len(base.runs()) < extrapolate.MIN_RUNS
    return Method.STACK if short else Method.STRETCH


def nearest(pattern: Pattern, space: Space) -> Nearest:
    """The published base pattern that is closest by edit distance; the first of the zoo among equals.

    Those of `space` are compared, or all where the paper has none.
    """
    known = [zoo.get(name, variant=variant, scale=zoo.BASE) for name, variant in zoo.models() if zoo.has_base(name)]
    own = [model for model in known if model.space == space]
    bases = {model.build: model.name for model in reversed(own or known)}
    found = min(reversed(bases), key=lambda base: patterns.edit_distance(pattern, base))
    return Nearest(name=bases[found], pattern=found, distance=patterns.edit_distance(pattern, found))


def _groups(entries: Sequence[Entry]) -> dict[str, tuple[Entry, ...]]:
    tasks = dict.fromkeys(entry.task for entry in entries)
    return {task: tuple(entry for entry in entries if entry.task == task) for task in tasks}


def _why(number: int, wanted: int | None) -> str:
    if wanted is not None:
        return "as asked for"
    if number == kmeans.CLUSTERS:
        return "as in the paper"
    rest = f"the best of {number + 1} would hold fewer than {kmeans.FEW} patterns"
    return rest if number > 1 else f"all vote, because {rest.replace('best of 2', 'best of 2 clusters')}"


def _clustered(task: str, entries: tuple[Entry, ...], clusters: int) -> RankedTask:
    scores = [rounding_lib.rational(entry.score, "score") for entry in entries]
    return RankedTask(task=task, entries=entries, clusters=kmeans.cluster_sizes(scores, clusters))


def _scaled(base: Pattern, scale: str, space: Space, wanted: Method | None) -> tuple[Scaled, ...]:
    """Both methods at one scale, one of them chosen."""
    tried = {method: _fitted(base, scale, method, space) for method in Method}
    chosen = wanted or suggested(base)
    if wanted is None and _deviation(tried[chosen][0]) > extrapolate.MAX_DEVIATION:
        chosen = min(tried, key=lambda method: _deviation(tried[method][0]))
    return tuple(
        Scaled(scale=scale, method=method, fit=fit, reason=reason, chosen=method is chosen)
        for method, (fit, reason) in tried.items()
    )


def _deviation(fit: Fit | None) -> float:
    return math.inf if fit is None else abs(fit.deviation)


def _fitted(base: Pattern, scale: str, method: Method, space: Space) -> tuple[Fit | None, str]:
    """The fit, or why there is none."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", extrapolate.ExtrapolationWarning)
        try:
            return extrapolate.fit(base, scale, method, space=space), ""
        except ValueError as error:
            return None, str(error)
