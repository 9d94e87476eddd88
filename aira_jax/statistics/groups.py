"""Means over agents: the normalised score per data set and setup, by kind of agent (table 4 of arXiv 2605.15871)."""

import enum
from collections.abc import Sequence
from dataclasses import dataclass

from aira_jax.statistics import bootstrap, published
from aira_jax.statistics.bootstrap import Estimate
from aira_jax.statistics.rows import RunRow
from aira_jax.statistics.summary import Summary, normalised
from aira_jax.statistics.tasks import Setup


class AgentKind(enum.StrEnum):
    """Whose runs are averaged. Controls are agents without a language model and never mix with the others."""

    GREEDY = "greedy"
    ALL = "one-shot + greedy"
    OTHER = "other scaffolds"
    CONTROL = "control"


@dataclass(frozen=True)
class SetupMean:
    """Agents of one kind on one task: the mean over `agents` agents, each with the same weight."""

    dataset: str
    setup: Setup
    kind: AgentKind
    agents: int
    runs: int
    ns: Estimate | None
    ns_observed: Estimate | None
    published: published.Mean | None


def groups(summary: Summary) -> tuple[SetupMean, ...]:
    """One group per task with a scale and kind of agent that ran it, ordered by data set."""
    found = (
        _group(summary, task, kind)
        for task in sorted(summary.study.tasks, key=lambda task: (task.dataset, task.setup is Setup.CONFIGURABLE))
        for kind in AgentKind
        if summary.scales[task.name].frozen
    )
    return tuple(group for group in found if group.agents)


def _group(summary: Summary, task, kind: AgentKind) -> SetupMean:
    scales = summary.scales[task.name]
    cells = [rows for agent in summary.study.agents if (rows := summary.study.cell(agent, task.name))]
    members = [rows for rows in cells if kind in _kinds(rows[0])]

    def over(scale) -> Estimate | None:
        return bootstrap.estimate([normalised(scale)(rows) for rows in members]) if scale else None

    return SetupMean(
        dataset=task.dataset,
        setup=task.setup,
        kind=kind,
        agents=len(members),
        runs=sum(map(len, members)),
        ns=over(scales.frozen),
        ns_observed=over(scales.observed),
        published=published.TABLE_4.get((task.lra, task.setup, str(kind))),
    )


def _kinds(row: RunRow) -> Sequence[AgentKind]:
    if row.control:
        return [AgentKind.CONTROL]
    return {"greedy": [AgentKind.GREEDY, AgentKind.ALL], "one_shot": [AgentKind.ALL]}.get(
        row.scaffold, [AgentKind.OTHER]
    )
