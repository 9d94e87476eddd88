"""From run directories to one table of patterns and scores: a fold over the runs' event logs, rebuildable at any time.

    collection = collect(["runs"])

Runs that cannot be read are listed and skipped.
"""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from aira_jax import patterns
from aira_jax.compose import dims
from aira_jax.compose.rows import WIDTH_SCALED, Collection, Measured, Row, RunFacts
from aira_jax.patterns import Pattern
from aira_jax.runs.pattern import architecture
from aira_jax.runs.view import NodeView, RunView, fold
from aira_jax.search.log import events
from aira_jax.statistics.rows import Skipped
from aira_jax.tasks import loader
from aira_jax.tasks.compose.options import OptionSpace
from aira_jax.tasks.task import Task

LOG = "events.jsonl"


def collect(folders: Iterable[str | os.PathLike]) -> Collection:
    """The rows of every run in or below `folders`, ordered by task, agent, seed and step.

    Raises ValueError for a folder that does not exist or holds no run at all.
    """
    rows: list[Row] = []
    runs: list[RunFacts] = []
    skipped: list[Skipped] = []
    for path in find_runs(folders):
        try:
            found, facts = read_run(path)
        except (ValueError, OSError, LookupError, TypeError) as error:
            skipped.append(Skipped(str(path), f"{type(error).__name__}: {error}".splitlines()[0]))
            continue
        rows += found
        runs.append(facts)
    rows.sort(key=lambda row: (row.task, row.agent, row.seed, row.run, row.step))
    return Collection(tuple(rows), tuple(runs), tuple(skipped))


def find_runs(folders: Iterable[str | os.PathLike]) -> list[Path]:
    """Every run directory in or below `folders`, each once. Hidden folders (work directories) are passed over."""
    found: dict[Path, Path] = {}
    for name in folders:
        if not os.fspath(name).strip():
            raise ValueError("a folder of runs has no name: is there a comma too many?")
        folder = Path(name)
        if not folder.is_dir():
            raise ValueError(f"{folder} is no folder: name a run directory, or a folder that holds some")
        here = sorted(path.parent for path in folder.rglob(LOG) if not _hidden(path.relative_to(folder)))
        if not here:
            raise ValueError(f"{folder} holds no run (no {LOG} in it or below): start one with scripts/search.py")
        for path in here:
            found.setdefault(path.resolve(), path)
    return list(found.values())


def _hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def read_run(folder: Path) -> tuple[list[Row], RunFacts]:
    """The rows of one run. Raises ValueError (or what a malformed record raises) when it cannot be read."""
    view = fold(events.read(folder), events.Blobs(folder / "blobs"))
    space = getattr(_task(view).space, "SPACE", None)
    if space is None:
        raise ValueError(f"{view.start['task']} is no search over patterns")
    if isinstance(space, OptionSpace):
        raise ValueError(f"{view.start['task']} searches layers with options; only plain patterns are collected")
    common = _common(folder, view, dims.space_of(space.primitives))
    rows = [row for node in view.nodes if (row := _row(node, view, common))]
    tested = sum(bool(row.tests) for row in rows)
    facts = RunFacts(
        str(folder), common["task"], common["agent"], common["seed"], common["preset"], len(view.tree.commits),
        len(rows), tested,
    )  # fmt: skip
    return rows, facts


def _task(view: RunView) -> Task:
    """The run's task: its own folder while it lies there, else the one of this package with its name."""
    named = view.config.get("task") or view.start["task"]
    lies_there = loader.is_path(named) and loader.folder_of(named).is_dir()
    return loader.load(named if lies_there else view.start["task"])


def _common(folder: Path, view: RunView, space: dims.Space) -> dict[str, Any]:
    run, config = view.start, view.config
    llm, evaluation = config.get("llm") or {}, config.get("eval") or {}
    return {
        "run": str(folder),
        "task": run["task"],
        "space": space,
        "lower_is_better": view.tree.lower_is_better,
        "preset": run["profile"] + (WIDTH_SCALED if evaluation.get("width_scaling", False) else ""),
        "evaluator_seeds": evaluation.get("seeds", 1),
        "proposer": llm.get("backend", ""),
        "llm": llm.get("model", ""),
        "scaffold": (config.get("policy") or {}).get("name", ""),
        "agent": run["agent"],
        "seed": run["seed"],
        "code_version": run.get("code_version", ""),
    }


def _row(seen: NodeView, view: RunView, common: Mapping[str, Any]) -> Row | None:
    """The row of a committed node whose candidate holds a pattern; None for another."""
    node = seen.node
    given = "" if node.pending else architecture({**node.files, **node.exported})
    pattern = _parsed(given)
    if pattern is None:
        return None
    return Row(
        **common,
        t=seen.point.t,
        step=node.id,
        operator=str(node.operator),
        parents=node.parents,
        pattern=pattern.canonical(),
        given=given,
        layers=len(pattern),
        rationale=node.plan,
        status=str(node.status),
        validation=_validation(seen, view),
        tests=_tests(seen, view),
        submitted=view.tree.submitted == node.id,
        duplicate_of=node.duplicate_of,
        wall_s=round(node.wall_s, 3),
    )


def _parsed(text: str) -> Pattern | None:
    try:
        return patterns.parse(text)
    except patterns.PatternError:
        return None


def _validation(seen: NodeView, view: RunView) -> Measured | None:
    """The fitness (the mean over evaluator seeds), with the details of evaluator seed 0."""
    node = seen.node
    if not node.is_good or node.fitness is None:
        return None
    twin = seen if node.duplicate_of is None else view.nodes[node.duplicate_of]
    return Measured.of(node.fitness, 0, twin.scored("score_validation", 0))


def _tests(seen: NodeView, view: RunView) -> tuple[Measured, ...]:
    score = view.tests.scores.get(seen.node.id)
    if score is None:
        return ()
    values = {0: score.value, **score.repeats}
    return tuple(
        Measured.of(v, seed, seen.scored("score_test", seed)) for seed, v in sorted(values.items()) if v is not None
    )
