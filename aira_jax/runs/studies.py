"""The row of a run for statistics, and the study of many runs.

found = study(["runs"], StudyOptions(profile="paper"))
"""

import ast
import functools
import math
import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from aira_jax.core.files import flatten
from aira_jax.runs import view as views
from aira_jax.runs.collect import LOG, find_runs
from aira_jax.runs.pattern import architecture
from aira_jax.runs.tasks import facts
from aira_jax.runs.view import NodeView, RunView
from aira_jax.search.log import events
from aira_jax.search.run import RESUMABLE
from aira_jax.search.settings import PLACE
from aira_jax.statistics import study as studies
from aira_jax.statistics.rows import RunRow, Skipped, State, Step
from aira_jax.statistics.study import Study, StudyOptions
from aira_jax.statistics.tasks import Setup, TaskFacts
from aira_jax.tasks import loader
from aira_jax.tasks.task import Task
from lra import globals as lra_globals
from lra import settings as lra_settings
from lra.failures import CandidateFault

MODEL = "model.py"
_PLACE = ("seed", *PLACE)  # a run's seed, and where it ran: no difference between agents


def study(folders: Iterable[str | os.PathLike], choice: StudyOptions | None = None) -> Study:
    """The study of every run in or below `folders`. A run that cannot be read is named and left out.

    Raises ValueError as `studies.study` does.
    """
    return studies.study(*_read_all(folders), choice or StudyOptions())


def _read_all(folders: Iterable[str | os.PathLike]) -> tuple[list[RunRow], list[Skipped]]:
    rows, skipped = [], []
    load = functools.cache(loader.load)  # a task's metadata takes longer to read than a short run
    for path in {path.resolve(): path for path in find_runs(folders)}.values():
        try:
            rows.append(read(path, load))
        except (ValueError, OSError) as error:
            skipped.append(Skipped(str(path), str(error).partition("\n")[0]))
        except (LookupError, TypeError, AttributeError) as error:
            skipped.append(Skipped(str(path), f"a record is malformed ({type(error).__name__}: {error})"))
    return rows, skipped


def read(folder: Path, load: Callable[[str], Task] = loader.load) -> RunRow:
    """The row of a run directory. `load` finds a task by name.

    Raises ValueError where no run began, or none that tells its task; events.DamagedLog where its log cannot be read.
    """
    scan = events.scan(folder / LOG)
    view = views.fold(scan.records, events.Blobs(folder / "blobs"))
    task, warning = facts(view.start, load)
    data = view.start.get("corpus") or view.about.get("data") or ""
    surrogate = f"{task.label}: a surrogate for its data ({data}); no score compares with published ones"
    torn = f"its log ends within a record ({len(scan.torn)} bytes left out)" if scan.torn else ""
    submitted = view.submitted
    tested = {id: score.value for id, score in view.tests.scores.items() if _finite(score.value)}
    steps = tuple(_step(v, task, view.start["profile"]) for v in view.nodes if v.point)
    spent = view.tree.spent
    return RunRow(
        **_identity(folder, view),
        task=task,
        data=data,
        surrogate=view.surrogate,
        state=_state(view),
        submitted=submitted.node.id if submitted else None,
        validation=submitted.node.fitness if submitted else None,
        test=tested.get(submitted.node.id) if submitted else None,
        repeats=_repeats(view),
        best_test=task.better(tested.values()) if tested else None,
        best_validation=view.best.node.fitness if view.best else None,
        good=len(view.tree.good),
        tested=len(tested),
        failures=Counter(sorted(step.failure_class or step.status for step in steps if step.status != "good")),
        usd=spent.usd,
        tokens=spent.tokens,
        wall_s=spent.wall_s,
        steps=tuple(sorted(steps, key=lambda step: step.step)),
        warnings=tuple(filter(None, (warning, torn, view.surrogate and surrogate))),
    )


def _identity(folder: Path, view: RunView) -> dict[str, Any]:
    """Who ran where, from the run_start record and the config of the last session."""
    start, config = view.start, view.config
    return {
        "path": str(folder),
        "task_sha": start.get("task_sha", ""),
        "agent": start["agent"],
        "scaffold": (config.get("policy") or {}).get("name", ""),
        "proposer": (config.get("llm") or {}).get("backend", ""),
        "seed": start["seed"],
        "profile": start["profile"],
        "choices": {key: value for key, value in flatten(config).items() if not key.startswith(_PLACE)},
    }


def _state(view: RunView) -> State:
    if view.stop is None or view.stop["reason"] in RESUMABLE:
        return State.UNFINISHED
    if view.submitted and view.submitted.node.id not in view.tests.scores:
        return State.UNSCORED
    return State.FINISHED


def _repeats(view: RunView) -> tuple[float, ...]:
    score = view.tests.scores.get(view.submitted.node.id) if view.submitted else None
    return tuple(v for _, v in sorted(score.repeats.items()) if _finite(v)) if score else ()


def _step(view: NodeView, task: TaskFacts, profile: str) -> Step:
    node, point = view.node, view.point
    return Step(
        node=node.id,
        step=point.steps,
        operator=str(node.operator),
        status=str(node.status),
        fitness=node.fitness if node.is_good else None,
        best=point.best,
        is_new_best=point.is_new_best,
        test=view.tests[0] if view.tests and _finite(view.tests[0]) else None,
        wall_s=point.wall_s,
        tokens=point.tokens,
        usd=point.usd,
        failure_class=node.failure_class,
        plan=node.plan,
        settings=_settings(view, task, profile) if node.is_good else None,
        pattern=architecture({**node.files, **node.exported}),
        title=_title(node.files.get(MODEL, "")) if node.is_good else "",
    )


def _title(source: str) -> str:
    try:
        return (ast.get_docstring(lra_globals.parse(source)) or "").partition("\n")[0]
    except CandidateFault:
        return ""


def _settings(view: NodeView, task: TaskFacts, profile: str) -> Mapping[str, float] | None:
    """What the evaluator says it used; else what model.py asks for, read without running it."""
    if task.setup is not Setup.CONFIGURABLE:
        return None
    used = (view.node.result.get("extra") or {}).get("settings")
    if used:
        return used
    source = {**view.node.files, **view.node.exported}.get(MODEL)
    if source is None or (task.lra, profile) not in lra_settings.PROFILES:
        return None
    try:
        settings, _ = lra_globals.read(source, task.lra, configurable=True, profile=profile)
    except CandidateFault:
        return None
    return {key: getattr(settings, key) for key in lra_settings.FIELDS}


def _finite(value: float | None) -> bool:
    return value is not None and math.isfinite(value)
