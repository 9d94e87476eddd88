"""The runs that a set of statistics is about: read, chosen, checked to be comparable. What was left out is named.

found = study(rows, choice=StudyOptions(profile="paper"))
"""

import dataclasses
import enum
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from aira_jax.core import choices
from aira_jax.statistics.rows import RunRow, Skipped, State
from aira_jax.statistics.tasks import TaskFacts


class Incomplete(enum.StrEnum):
    """Runs that have not ended or were never scored on test: invalid as they stand, or no part of the statistics."""

    COUNT = "count"
    LEAVE_OUT = "leave_out"


@dataclasses.dataclass(frozen=True)
class StudyOptions:
    """Which runs count; "" stands for all. `hierarchical` intervals resample tasks beside seeds."""

    task: str = ""
    profile: str = ""
    incomplete: Incomplete = Incomplete.COUNT
    hierarchical: bool = False


@dataclasses.dataclass(frozen=True)
class Study:
    """Comparable runs by task, agent and seed; runs that were left out, with the reason; notes for the reader."""

    rows: tuple[RunRow, ...]
    skipped: tuple[Skipped, ...]
    notes: tuple[str, ...]
    choice: StudyOptions

    @property
    def tasks(self) -> tuple[TaskFacts, ...]:
        return tuple({row.task.name: row.task for row in self.rows}.values())

    @property
    def agents(self) -> tuple[str, ...]:
        """All agents, controls last."""
        control = {row.agent: row.control for row in self.rows}
        return tuple(sorted(control, key=lambda agent: (control[agent], agent)))

    @property
    def controls(self) -> tuple[str, ...]:
        return tuple(agent for agent in self.agents if self.is_control(agent))

    @property
    def profiles(self) -> tuple[str, ...]:
        return tuple(sorted({row.profile for row in self.rows}))

    def is_control(self, agent: str) -> bool:
        return next(row.control for row in self.rows if row.agent == agent)

    def cell(self, agent: str, task: str) -> tuple[RunRow, ...]:
        return tuple(row for row in self.rows if row.agent == agent and row.task.name == task)


def study(rows: Sequence[RunRow], skipped: Sequence[Skipped] = (), choice: StudyOptions = StudyOptions()) -> Study:
    """The runs of `rows` that count; `skipped` could not be read and are named.

    Raises ValueError where no run is left, where runs cannot be compared, or where `choice` names nothing that is here.
    """
    if not rows:
        raise ValueError("\n    ".join(["no run could be read:", *(f"{run.path}: {run.reason}" for run in skipped)]))
    for what, name, of in (
        ("task", choice.task, lambda row: row.task.name),
        ("profile", choice.profile, lambda row: row.profile),
    ):
        rows = _only(rows, what, name, of)
    left_out = [row for row in rows if choice.incomplete is Incomplete.LEAVE_OUT and row.state is not State.FINISHED]
    skipped = [*skipped, *(Skipped(row.path, f"{row.state}: {_MEND[row.state]}") for row in left_out)]
    paths = {row.path for row in left_out}
    counted = [row for row in rows if row.path not in paths]
    if not counted:
        raise ValueError(f"all {len(rows)} runs are unfinished or were never scored on test: {_MEND[State.UNSCORED]}")
    _refuse_repetitions(counted)
    counted = _surrogates_off_scale(counted)
    _refuse_mixed_profiles(counted)
    counted.sort(key=lambda row: (row.task.name, row.agent, row.seed))
    return Study(tuple(counted), tuple(skipped), tuple(_notes(counted)), choice)


_MEND = {
    State.UNFINISHED: "continue it with scripts/search.py",
    State.UNSCORED: "score them with scripts/score_tests.py",
}


def _only(rows: Sequence[RunRow], what: str, name: str, of: Callable[[RunRow], str]) -> list[RunRow]:
    known = sorted({of(row) for row in rows})
    if name and name not in known:
        raise ValueError(choices.unknown(what, name, known))
    return [row for row in rows if name in ("", of(row))]


def _surrogates_off_scale(rows: Sequence[RunRow]) -> list[RunRow]:
    """Runs of a task that had a surrogate for its data carry its name, and have no normalised scores: raw ones only.

    So do all runs of that task, for an agent's score is a mean over them.
    """
    names = {row.task.name: row.surrogate for row in rows if row.surrogate}
    return [_off_scale(row, names[row.task.name]) if row.task.name in names else row for row in rows]


def _off_scale(row: RunRow, data: str) -> RunRow:
    label = f"{row.task.label}, {data}"
    return dataclasses.replace(row, task=dataclasses.replace(row.task, label=label, yardstick=None, literature=None))


def _refuse_repetitions(rows: Sequence[RunRow]) -> None:
    places = _groups(rows, lambda row: (row.task.name, row.agent, row.seed))
    for (task, agent, seed), found in places.items():
        if len(found) > 1:
            paths = "".join(f"\n    {row.path}" for row in found)
            raise ValueError(
                f"{len(found)} runs of {agent} on {task} with seed {seed}: repetitions need seeds of their own{paths}\n"
                "    move all but one out of --runs, or name the folders that count"
            )


def _refuse_mixed_profiles(rows: Sequence[RunRow]) -> None:
    """One profile for a task, and one for all tasks whose normalised scores are averaged."""
    groups = _groups(rows, lambda row: "the normalised tasks" if row.task.yardstick else row.task.name)
    for what, found in groups.items():
        profiles = _groups(found, lambda row: row.profile)
        if len(profiles) > 1:
            lines = "".join(f"\n    {name}: {len(members)} runs" for name, members in sorted(profiles.items()))
            raise ValueError(
                f"mixed profiles in {what}: their scores are not comparable{lines}\n"
                f"    choose one with --profile={' or '.join(sorted(profiles))}"
            )


def _groups(items: Iterable[Any], key: Callable[[Any], Any]) -> Mapping[Any, list[Any]]:
    groups = defaultdict(list)
    for item in items:
        groups[key(item)].append(item)
    return groups


def _notes(rows: Sequence[RunRow]) -> Iterable[str]:
    for state, words in ((State.UNFINISHED, "not ended"), (State.UNSCORED, "never scored on test")):
        found = [row for row in rows if row.state is state]
        if found:
            paths = ", ".join(row.path for row in found[:3]) + (", ..." if len(found) > 3 else "")
            yield f"{words}: {len(found)} of {len(rows)} runs, which count as they stand ({paths}); {_MEND[state]}"
    warned = _groups([(row.path, warning) for row in rows for warning in row.warnings], lambda pair: pair[1])
    for warning, found in warned.items():
        yield f"{found[0][0] if len(found) == 1 else f'{len(found)} runs'}: {warning}"
    for name in sorted({row.task.name for row in rows if row.task.validation_is_test}):
        yield f"{name}: validation and test are the same data, so test scores chose the submissions"
    for name, found in _groups(rows, lambda row: row.task.name).items():
        if len({row.task_sha for row in found}) > 1:
            yield f"{name}: its folder changed between these runs, so their scores may not be comparable"
        if len(data := sorted({row.data for row in found} - {""})) > 1:
            yield f"{name}: the runs had different data ({', '.join(data)}), so their scores are not comparable"
    for agent, found in _groups(rows, lambda row: row.agent).items():
        yield from _different(agent, found)
    profiles = sorted({row.profile for row in rows if row.task.yardstick} - {"paper"})
    if profiles:
        yield (
            f"profile {', '.join(profiles)}: the data are smaller than those of the best known scores, so normalised "
            "scores only rescale accuracy here"
        )


def _different(agent: str, rows: Sequence[RunRow]) -> Iterable[str]:
    """Options in which runs of one name differ, tasks apart."""
    tasks = _groups(rows, lambda row: row.task.name)
    keys = sorted({key for row in rows for key in row.choices} - {"task"})
    differing = [
        key for key in keys if any(len({repr(row.choices.get(key)) for row in found}) > 1 for found in tasks.values())
    ]
    if differing:
        yield f"runs of {agent} differ in {', '.join(differing)}: they are averaged as one agent"
