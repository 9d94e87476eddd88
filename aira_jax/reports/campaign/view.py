"""A campaign as its report shows it: heat maps, ranked patterns, clusters, votes and models, in plain values."""

import dataclasses
from collections.abc import Sequence
from fractions import Fraction

from aira_jax import patterns
from aira_jax.compose import dims, flops
from aira_jax.compose import provenance as provenance_lib
from aira_jax.compose.pipeline import Pipeline, RankedTask, Scaled
from aira_jax.core.formatting import number
from aira_jax.reports.run import charts

BEST = 20  # patterns that the table of a task shows
LOOKS = 5  # clusters with a colour of their own


@dataclasses.dataclass(frozen=True)
class Heat:
    """How often each primitive stands at each layer: `rows` are (primitive, share per layer from 0 to 1)."""

    title: str
    note: str
    rows: tuple[tuple[str, tuple[float, ...]], ...]

    @property
    def layers(self) -> int:
        return len(self.rows[0][1])


@dataclasses.dataclass(frozen=True)
class RankedRow:
    """A line of the table of patterns. `target` is unique in the report; `cluster` counts from 1, the best."""

    target: int
    place: int
    pattern: patterns.Pattern
    score: str
    macro: str
    loss: str
    evaluations: int
    proposals: int
    agents: str
    cluster: int


@dataclasses.dataclass(frozen=True)
class TaskView:
    """The ranked patterns of one task."""

    task: str
    unique: int
    best: tuple[RankedRow, ...]
    clusters: charts.Chart | None
    sizes: tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class ModelRow:
    """The base at one scale by one method, in words; `steps` per budget, rounded as the paper's tables are."""

    scale: str
    method: str
    chosen: bool
    notes: tuple[str, ...]
    pattern: patterns.Pattern | None = None
    layers: str = ""
    counts: str = ""
    non_embedding: str = ""
    total: str = ""
    deviation: str = ""
    flops: str = ""
    steps: tuple[str, ...] = ()


def heats(pipeline: Pipeline) -> tuple[Heat, ...]:
    """All ranked patterns alike, then those who voted with the weight of their votes."""
    primitives = dims.primitives(pipeline.space)
    ranked = [patterns.parse(entry.pattern) for group in pipeline.groups for entry in group.entries]
    members = pipeline.base.result.members
    weights = [v.weight for v in members]
    return (
        Heat(
            "All patterns",
            f"{len(ranked)} ranked patterns, each counted once",
            _shares(ranked, [Fraction(1)] * len(ranked), primitives),
        ),
        Heat(
            "The voters",
            f"{len(members)} patterns of the best cluster of their task, with the weight of their votes",
            _shares([v.pattern for v in members], weights, primitives),
        ),
    )


def _shares(
    found: Sequence[patterns.Pattern], weights: Sequence[Fraction], primitives: Sequence[str]
) -> tuple[tuple[str, tuple[float, ...]], ...]:
    total = sum(weights)
    columns = list(zip(*(pattern.layers for pattern in found), strict=True))
    return tuple(
        (p, tuple(float(sum(w for w, q in zip(weights, layer, strict=True) if q == p) / total) for layer in columns))
        for p in primitives
    )


def tasks(pipeline: Pipeline) -> tuple[TaskView, ...]:
    """Every task with its best patterns and its clusters; marks link to the lines of the table."""
    return tuple(_task(group, before=BEST * i) for i, group in enumerate(pipeline.groups))


def _task(group: RankedTask, before: int) -> TaskView:
    rows = tuple(
        RankedRow(
            target=before + place + 1,
            place=place + 1,
            pattern=patterns.parse(entry.pattern),
            score=number(entry.score),
            macro=number(entry.macro),
            loss=number(entry.loss),
            evaluations=entry.evaluations,
            proposals=entry.proposals,
            agents=", ".join(entry.agents),
            cluster=group.cluster(place) + 1,
        )
        for place, entry in enumerate(group.entries[:BEST])
    )
    points = [
        (
            place + 1,
            entry.score,
            before + min(place, BEST - 1) + 1,
            f"{place + 1}. {patterns.parse(entry.pattern).pretty()}: {number(entry.score)}",
            f"cluster-{min(group.cluster(place), LOOKS - 1)}",
        )
        for place, entry in enumerate(group.entries)
    ]
    chart = charts.cloud("Clusters of scores", "place in the ranking", "score", points)
    return TaskView(group.task, len(group.entries), rows, chart, group.clusters)


def models(pipeline: Pipeline) -> tuple[ModelRow, ...]:
    """Every scale by both methods."""
    return tuple(map(_model, pipeline.scaled))


def _model(scaled: Scaled) -> ModelRow:
    if scaled.fit is None:
        return ModelRow(scaled.scale, str(scaled.method), scaled.chosen, notes=(scaled.reason,))
    facts = scaled.fit.to_json()
    return ModelRow(
        scaled.scale,
        str(scaled.method),
        scaled.chosen,
        notes=scaled.fit.warnings,
        pattern=scaled.fit.pattern,
        layers=str(facts["layers"]),
        counts="/".join(map(str, facts["counts"].values())),
        non_embedding=billions(facts["non_embedding"]),
        total=billions(facts["total"]),
        deviation=f"{facts['deviation']:+.1%}",
        flops=f"{facts['flops_per_token'] / 1e9:.2f}",
        steps=tuple(f"{facts['steps'][budget]:,}" for budget in flops.BUDGETS),
    )


def billions(parameters: int) -> str:
    """1234567890 as `1.235 B`."""
    return f"{parameters / 1e9:.3f} B"


def progress(pipeline: Pipeline) -> tuple[tuple[str, charts.Chart | None], ...]:
    """Per agent and task: best validation score so far, one line per run."""
    return tuple(
        (
            f"{agent.agent} on {agent.task}",
            charts.progress("Best so far", "steps", "validation", list(agent.curves.values())),
        )
        for agent in pipeline.agents
    )


def provenance(pipeline: Pipeline) -> tuple[tuple[str, str], ...]:
    """What the scores rest on, as (name, values)."""
    return tuple((name, ", ".join(values)) for name, values in provenance_lib.of_rows(pipeline.rows).items())
