"""Which hyper-parameters were tried in tasks that leave them to model.py (table 13 of arXiv 2605.15871)."""

from dataclasses import dataclass

from aira_jax.statistics import published
from aira_jax.statistics.study import Study
from aira_jax.statistics.tasks import Setup, TaskFacts
from lra import settings as lra_settings


@dataclass(frozen=True)
class Range:
    """What valid nodes used for one hyper-parameter: ends, number of distinct values, the default among them or not.

    `steps` valid nodes were read; `unreadable` ones said nothing that could be read. `published_*` are of the paper.
    """

    task: TaskFacts
    name: str
    key: str
    low: float
    high: float
    distinct: int
    default: float | None
    steps: int
    unreadable: int
    published_low: float | None
    published_high: float | None
    published_distinct: int | None


def explored(study: Study) -> tuple[Range, ...]:
    """One range per configurable task and hyper-parameter, over the valid nodes of all agents."""
    tasks = [task for task in study.tasks if task.setup is Setup.CONFIGURABLE]
    return tuple(found for task in tasks for found in _of_task(study, task))


def _of_task(study: Study, task: TaskFacts):
    rows = [row for row in study.rows if row.task.name == task.name]
    good = [step for row in rows for step in row.steps if step.status == "good"]
    used = [step.settings for step in good if step.settings]
    profile = lra_settings.PROFILES.get((task.lra, rows[0].profile))
    for key in lra_settings.FIELDS:
        values = [settings[key] for settings in used if key in settings]
        if not values:
            continue
        ends = lra_settings.EXPLORED.get(task.lra, {}).get(key, (None, None))
        yield Range(
            task=task,
            name=lra_settings.NAMES[key][0],
            key=key,
            low=min(values),
            high=max(values),
            distinct=len(set(values)),
            default=getattr(profile.settings, key) if profile else None,
            steps=len(used),
            unreadable=len(good) - len(used),
            published_low=ends[0],
            published_high=ends[1],
            published_distinct=published.DISTINCT.get(task.lra, {}).get(key),
        )
