"""What a study comes to: per agent and task, per agent, per data set, and agent against agent.

An agent's mean is the mean of its task means; a mean over agents gives every agent the same weight. Invalid runs count
as 0 in normalised scores and in the rate of valid runs; raw scores are those of the valid runs, whose number is told.
"""

import dataclasses
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from aira_jax.statistics import bootstrap
from aira_jax.statistics.bootstrap import Aggregate, Estimate
from aira_jax.statistics.rows import RunRow
from aira_jax.statistics.scores import Yardstick
from aira_jax.statistics.study import Study
from aira_jax.statistics.tasks import TaskFacts

Values = Callable[[Sequence[RunRow]], list[float]]


@dataclasses.dataclass(frozen=True)
class Scales:
    """Yardsticks of a task: with the frozen worst score, with the worst of the study, with the literature's best."""

    frozen: Yardstick | None
    observed: Yardstick | None
    literature: Yardstick | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cell:
    """An agent on a task. Normalised scores are None for a task without a scale, raw ones without a valid run.

    `best_test` is the best that was tested, `tested` of `good` nodes were. `usd` None: unpriced.
    """

    agent: str
    task: TaskFacts
    runs: int
    valid: int
    vsr: Estimate
    test: Estimate | None
    validation: Estimate | None
    best_test: Estimate | None
    ns: Estimate | None
    ns_iqm: Estimate | None
    ns_observed: Estimate | None
    ns_literature: Estimate | None
    generalisation_gap: Estimate | None
    val_test_gap: Estimate | None
    nodes: int
    good: int
    tested: int
    failures: Mapping[str, int]
    usd: float | None
    wall_s: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class AgentSummary:
    """An agent over its tasks; normalised scores over those of its tasks that have a scale."""

    agent: str
    control: bool
    tasks: int
    normalised_tasks: int
    runs: int
    valid: int
    vsr: Estimate
    ns: Estimate | None
    ns_iqm: Estimate | None
    ns_observed: Estimate | None
    usd: float | None
    wall_s: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class Summary:
    """Everything that tables and plots show of a study's scores."""

    study: Study
    scales: Mapping[str, Scales]
    cells: tuple[Cell, ...]
    agents: tuple[AgentSummary, ...]


def summarise(study: Study) -> Summary:
    scales = {task.name: _scales(task, study) for task in study.tasks}
    cells = tuple(
        _cell(agent, task, rows, scales[task.name])
        for task in study.tasks
        for agent in study.agents
        if (rows := study.cell(agent, task.name))
    )
    return Summary(
        study=study, scales=scales, cells=cells, agents=tuple(_agent(a, study, scales) for a in study.agents)
    )


def _scales(task: TaskFacts, study: Study) -> Scales:
    tests = [row.test for row in study.rows if row.task.name == task.name and row.valid]
    if task.yardstick is None:
        return Scales(None, None, None)
    return Scales(
        task.yardstick,
        _with(task.yardstick, worst=task.worse(tests)) if tests else None,
        _with(task.yardstick, sota=task.literature) if task.literature is not None else None,
    )


def _with(yardstick: Yardstick, **values: float) -> Yardstick | None:
    """None where the worst score is as good as the best known one: that spans no scale."""
    try:
        return yardstick.replace(**values)
    except ValueError:
        return None


def vsr(rows: Sequence[RunRow]) -> list[float]:
    """1 for a valid run, 0 for another: its mean is the rate of valid submissions."""
    return [float(row.valid) for row in rows]


def normalised(yardstick: Yardstick) -> Values:
    """The normalised test score of every run, 0 for an invalid one."""
    return lambda rows: [yardstick.normalised(row.test) for row in rows]


def present(name: str) -> Values:
    """An attribute of the runs that have it."""
    return lambda rows: [value for row in rows if (value := getattr(row, name)) is not None]


def _cell(agent: str, task: TaskFacts, rows: Sequence[RunRow], scales: Scales) -> Cell:
    valid = [row for row in rows if row.valid]

    def over(found: Sequence[RunRow], values: Values, aggregate: Aggregate = Aggregate.MEAN) -> Estimate | None:
        return bootstrap.estimate([values(found)], aggregate)

    def on(scale: Yardstick | None, aggregate: Aggregate = Aggregate.MEAN) -> Estimate | None:
        return over(rows, normalised(scale), aggregate) if scale else None

    return Cell(
        agent=agent,
        task=task,
        runs=len(rows),
        valid=len(valid),
        vsr=over(rows, vsr, Aggregate.RATE),
        test=over(valid, present("test")),
        validation=over(valid, present("validation")),
        best_test=over(valid, present("best_test")),
        ns=on(scales.frozen),
        ns_iqm=on(scales.frozen, Aggregate.IQM),
        ns_observed=on(scales.observed),
        ns_literature=on(scales.literature),
        generalisation_gap=over(valid, present("generalisation_gap")),
        val_test_gap=over(valid, present("val_test_gap")),
        nodes=sum(row.nodes for row in rows),
        good=sum(row.good for row in rows),
        tested=sum(row.tested for row in rows),
        failures=sum((Counter(row.failures) for row in rows), Counter()),
        usd=total_usd(rows),
        wall_s=sum(row.wall_s for row in rows),
    )


def _agent(agent: str, study: Study, scales: Mapping[str, Scales]) -> AgentSummary:
    cells = {task.name: rows for task in study.tasks if (rows := study.cell(agent, task.name))}
    rows = [row for found in cells.values() for row in found]
    on_scale = [task for task in cells if scales[task].frozen]

    def over(kind: str, aggregate: Aggregate = Aggregate.MEAN) -> Estimate | None:
        yardsticks = {task: getattr(scales[task], kind) for task in on_scale}
        if not all(yardsticks.values()):
            return None
        strata = [normalised(yardsticks[task])(cells[task]) for task in on_scale]
        return bootstrap.estimate(strata, aggregate, hierarchical=study.choice.hierarchical)

    return AgentSummary(
        agent=agent,
        control=study.is_control(agent),
        tasks=len(cells),
        normalised_tasks=len(on_scale),
        runs=len(rows),
        valid=sum(row.valid for row in rows),
        vsr=bootstrap.estimate(
            [vsr(found) for found in cells.values()], Aggregate.RATE, hierarchical=study.choice.hierarchical
        ),
        ns=over("frozen"),
        ns_iqm=over("frozen", Aggregate.IQM),
        ns_observed=over("observed"),
        usd=total_usd(rows),
        wall_s=sum(row.wall_s for row in rows),
    )


def total_usd(rows: Sequence[RunRow]) -> float | None:
    """Dollars of all runs; None where a call of one had no known price."""
    usd = [row.usd for row in rows]
    return None if None in usd else sum(usd)
