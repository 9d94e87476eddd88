"""From run directories to one table of patterns and scores: a fold over the runs' event logs, rebuildable at any time.

    collection = collect(["runs"])

Runs that cannot be read are listed and skipped.
"""

import csv
import io
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from aira_jax import patterns
from aira_jax.compose.rows import WIDTH_SCALED, Collection, Measured, Row, RunFacts
from aira_jax.patterns import Pattern
from aira_jax.search import events
from aira_jax.search.node import Node
from aira_jax.search.session import last_config
from aira_jax.search.test_scores import TestScores
from aira_jax.search.tree import Tree
from aira_jax.statistics.rows import Skipped
from aira_jax.tasks import loader
from aira_jax.tasks.compose.options import OptionSpace
from aira_jax.tasks.compose.space import SUBMISSION

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
    records = events.read(folder)
    tree = Tree.fold(records, events.Blobs(folder / "blobs"))
    if not tree.run:
        raise ValueError("no run began here: its log holds no run_start record")
    space = getattr(loader.load(tree.run["task"]).space, "SPACE", None)
    if space is None:
        raise ValueError(f"{tree.run['task']} is no search over patterns")
    if isinstance(space, OptionSpace):
        raise ValueError(f"{tree.run['task']} searches layers with options; only plain patterns are collected")
    ends = {(r["node"], r["phase"], r.get("seed") or 0): r for r in records if r["kind"] == events.Kind.EXEC_END}
    times = {r["node"]: r["t"] for r in records if r["kind"] == events.Kind.NODE}
    common = _common(folder, tree, len(space.primitives), last_config(records))
    scores = TestScores.fold(records)
    rows = []
    for node in tree.nodes:
        given = "" if node.pending else architecture({**node.files, **node.exported})
        pattern = _parsed(given)
        if pattern is None:
            continue
        rows.append(
            Row(
                **common,
                t=times[node.id],
                step=node.id,
                operator=str(node.operator),
                parents=node.parents,
                pattern=pattern.canonical(),
                given=given,
                layers=len(pattern),
                rationale=node.plan,
                status=str(node.status),
                validation=_validation(node, ends),
                tests=_tests(node, scores, ends),
                submitted=tree.submitted == node.id,
                duplicate_of=node.duplicate_of,
                wall_s=round(node.wall_s, 3),
            )
        )
    tested = sum(bool(row.tests) for row in rows)
    facts = RunFacts(
        str(folder), common["task"], common["agent"], common["seed"], common["preset"], len(tree.commits),
        len(rows), tested,
    )  # fmt: skip
    return rows, facts


def _common(folder: Path, tree: Tree, space: int, config: Mapping[str, Any]) -> dict[str, Any]:
    run, llm = tree.run, config.get("llm") or {}
    evaluation = config.get("eval") or {}
    scaled = evaluation.get("width_scaling", False)
    return {
        "run": str(folder),
        "task": run["task"],
        "space": space,
        "lower_is_better": tree.lower_is_better,
        "preset": run["profile"] + (WIDTH_SCALED if scaled else ""),
        "evaluator_seeds": evaluation.get("seeds", 1),
        "proposer": llm.get("backend", ""),
        "llm": llm.get("model", ""),
        "scaffold": (config.get("policy") or {}).get("name", ""),
        "agent": run["agent"],
        "seed": run["seed"],
        "code_version": run.get("code_version", ""),
    }


def architecture(files: Mapping[str, str]) -> str:
    """The pattern in a candidate's submission.csv as it was written, "" if there is none."""
    lines = [row for row in csv.reader(io.StringIO(files.get(SUBMISSION, ""))) if any(cell.strip() for cell in row)]
    return lines[1][0].strip() if len(lines) == 2 and len(lines[1]) == 1 else ""


def _parsed(text: str) -> Pattern | None:
    try:
        return patterns.parse(text)
    except patterns.PatternError:
        return None


def _validation(node: Node, ends: Mapping[tuple[int, str, int], events.Record]) -> Measured | None:
    """The fitness (the mean over evaluator seeds), with the details of evaluator seed 0."""
    if not node.is_good or node.fitness is None:
        return None
    twin = node.id if node.duplicate_of is None else node.duplicate_of
    result = ends.get((twin, "score_validation", 0), {}).get("result") or {}
    return Measured.of(node.fitness, 0, result)


def _tests(node: Node, scores: TestScores, ends: Mapping[tuple[int, str, int], events.Record]) -> tuple[Measured, ...]:
    score = scores.scores.get(node.id)
    if score is None:
        return ()
    values = {0: score.value, **score.repeats}
    results = {seed: ends.get((node.id, "score_test", seed), {}).get("result") or {} for seed in values}
    return tuple(Measured.of(v, seed, results[seed]) for seed, v in sorted(values.items()) if v is not None)
