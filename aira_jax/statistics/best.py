"""The best design of every task (table 14 of arXiv 2605.15871), and how runs got better step by step (table 5)."""

from collections.abc import Mapping
from dataclasses import dataclass

from aira_jax.statistics.rows import RunRow, Step
from aira_jax.statistics.study import Study
from aira_jax.statistics.tasks import TaskFacts
from lra import designs
from lra import settings as lra_settings


@dataclass(frozen=True)
class Design:
    """The submission with the best test score on a task. `changed` are the hyper-parameters that differ from the
    profile's; `published` is the paper's best design for the same task, None for another kind of task."""

    task: TaskFacts
    agent: str
    seed: int
    node: int
    path: str
    test: float
    validation: float | None
    plan: str
    title: str
    pattern: str
    changed: Mapping[str, float]
    published: designs.Published | None


@dataclass(frozen=True)
class Improvement:
    """A node that was the best of its run when it was committed, the `number`-th of them, from 1.

    `gain` is over the best before it, None for the first; positive is better.
    """

    number: int
    row: RunRow
    step: Step
    gain: float | None


def designs_found(study: Study) -> tuple[Design, ...]:
    """One per task that has a valid run. It is chosen by its test score, as the paper's are, so it flatters."""
    found = []
    for task in study.tasks:
        valid = [row for row in study.rows if row.task.name == task.name and row.valid]
        if valid:
            found.append(_design(min(valid, key=lambda row: (-task.sign * row.test, row.agent, row.seed))))
    return tuple(found)


def _design(row: RunRow) -> Design:
    step = next(step for step in row.steps if step.node == row.submitted)
    return Design(
        task=row.task,
        agent=row.agent,
        seed=row.seed,
        node=row.submitted,
        path=row.path,
        test=row.test,
        validation=row.validation,
        plan=step.plan,
        title=step.title,
        pattern=step.pattern,
        changed=_changed(row, step),
        published=_published(row.task),
    )


def _changed(row: RunRow, step: Step) -> dict[str, float]:
    profile = lra_settings.PROFILES.get((row.task.lra, row.profile))
    if profile is None or not step.settings:
        return {}
    return {
        lra_settings.NAMES[key][0]: value
        for key, value in step.settings.items()
        if key in lra_settings.FIELDS and value != getattr(profile.settings, key)
    }


def _published(task: TaskFacts) -> designs.Published | None:
    rows = (row for row in designs.PUBLISHED if (row.task, row.setup) == (task.lra, str(task.setup)))
    return next(rows, None)


def improvements(row: RunRow) -> tuple[Improvement, ...]:
    """The cumulative bests of a run, by validation fitness. The first good node begins the series."""
    found: list[Improvement] = []
    for step in row.steps:
        if step.is_new_best:
            gain = row.task.sign * (step.fitness - found[-1].step.fitness) if found else None
            found.append(Improvement(len(found) + 1, row, step, gain))
    return tuple(found)


def best_seeds(study: Study) -> tuple[RunRow, ...]:
    """Of every agent on every task the run with the best submission on test (without a valid run, on validation)."""
    found = []
    for task in study.tasks:
        for agent in study.agents:
            rows = study.cell(agent, task.name)
            for score in ("test", "best_validation"):
                scored = [row for row in rows if getattr(row, score) is not None]
                if scored:
                    found.append(min(scored, key=lambda row: (-task.sign * getattr(row, score), row.seed)))
                    break
    return tuple(found)
