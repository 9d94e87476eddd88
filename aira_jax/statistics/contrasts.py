"""Is one agent better than another? Differences of means with intervals, on the tasks that both ran.

An agent is always set against every control of the study: what a language model adds is what a control does not reach.
"""

import enum
from collections.abc import Iterable
from dataclasses import dataclass

from aira_jax.core import choices
from aira_jax.statistics import bootstrap
from aira_jax.statistics.bootstrap import Aggregate, Estimate
from aira_jax.statistics.summary import Summary, Values, normalised, present, vsr
from aira_jax.statistics.tasks import TaskFacts

MIN_RUNS = 10  # of either agent, for a claim


class Verdict(enum.StrEnum):
    """What the interval of a difference allows to say of the first agent."""

    BETTER = "better"
    WORSE = "worse"
    OPEN = "no difference shown"
    FEW = f"no claim: under {MIN_RUNS} runs"


class Measure(enum.StrEnum):
    NS = "normalised score"
    VSR = "valid runs"
    TEST = "test score"


@dataclass(frozen=True)
class Contrast:
    """`difference` is signed so that positive favours agent `a`. `steps_*` are committed nodes per run."""

    a: str
    b: str
    tasks: tuple[TaskFacts, ...]
    measure: Measure
    difference: Estimate
    runs_a: int
    runs_b: int
    steps_a: float
    steps_b: float
    verdict: Verdict


def contrasts(summary: Summary, pairs: Iterable[tuple[str, str]] = ()) -> tuple[Contrast, ...]:
    """Every agent against every control, then the `pairs` that are asked for.

    Raises ValueError for an unknown agent, for one against itself, and for a pair that shares no task.
    """
    study = summary.study
    against = [(a, b) for b in study.controls for a in study.agents if a not in study.controls]
    for pair in pairs:
        for agent in pair:
            choices.among("agent", agent, study.agents)
        if len(set(pair)) < 2:
            raise ValueError(f"{pair[0]} against itself: name two agents")
        if not _shared(summary, *pair):
            raise ValueError(f"{pair[0]} and {pair[1]} ran no task in common: nothing to compare")
    return tuple(c for pair in dict.fromkeys((*against, *pairs)) for c in _pair(summary, *pair))


def _shared(summary: Summary, a: str, b: str) -> list[TaskFacts]:
    return [task for task in summary.study.tasks if all(summary.study.cell(agent, task.name) for agent in (a, b))]


def _pair(summary: Summary, a: str, b: str) -> list[Contrast]:
    """Over the shared tasks together, and where there are several, for each of them."""
    shared = _shared(summary, a, b)
    scaled = [task for task in shared if summary.scales[task.name].frozen]
    found = [_contrast(summary, a, b, scaled, Measure.NS), _contrast(summary, a, b, shared, Measure.VSR)]
    for task in shared:
        if task in scaled and len(scaled) > 1:
            found.append(_contrast(summary, a, b, [task], Measure.NS))
        found.append(_contrast(summary, a, b, [task], Measure.TEST))
    return [contrast for contrast in found if contrast is not None]


def _values(summary: Summary, task: TaskFacts, measure: Measure) -> Values:
    if measure is Measure.VSR:
        return vsr
    if measure is Measure.TEST:
        tests = present("test")
        return lambda rows: [task.sign * value for value in tests(rows)]
    return normalised(summary.scales[task.name].frozen)


def _contrast(summary: Summary, a: str, b: str, tasks: list[TaskFacts], measure: Measure) -> Contrast | None:
    sides = [
        [_values(summary, task, measure)(summary.study.cell(agent, task.name)) for task in tasks] for agent in (a, b)
    ]
    aggregate = Aggregate.RATE if measure is Measure.VSR else Aggregate.MEAN
    difference = bootstrap.difference(*sides, aggregate, hierarchical=summary.study.choice.hierarchical)
    if difference is None:
        return None
    rows = [[row for task in tasks for row in summary.study.cell(agent, task.name)] for agent in (a, b)]
    fewest = min(len(values) for side in sides for values in side)
    return Contrast(
        a,
        b,
        tuple(tasks),
        measure,
        difference,
        *(sum(map(len, side)) for side in sides),
        *(sum(row.nodes for row in found) / len(found) for found in rows),
        verdict=_verdict(difference, fewest),
    )


def _verdict(difference: Estimate, fewest: int) -> Verdict:
    if fewest < MIN_RUNS or difference.low is None:
        return Verdict.FEW
    if difference.low > 0:
        return Verdict.BETTER
    return Verdict.WORSE if difference.high < 0 else Verdict.OPEN
