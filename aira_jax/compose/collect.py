"""From run directories to one table of patterns and scores: a fold over the runs' event logs, rebuildable at any time.

    collection = collect(["runs"])
    write_table(collection.rows, "candidates.jsonl")

A *row* is one step of one run whose candidate holds a pattern. Runs that cannot be read are listed and skipped.
"""

import csv
import dataclasses
import io
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from aira_jax import patterns
from aira_jax.core.files import write_atomically
from aira_jax.patterns import Pattern
from aira_jax.proxies.cache import content_key
from aira_jax.search import events
from aira_jax.search.node import Node
from aira_jax.search.session import last_config
from aira_jax.search.test_scores import TestScores
from aira_jax.search.tree import Tree
from aira_jax.tasks import loader
from aira_jax.tasks.compose import SUBMISSION
from aira_jax.tasks.compose_options import OptionSpace

LOG = "events.jsonl"
WIDTH_SCALED = ", width 8 per layer"  # at the end of a preset's name: scores of another width are not comparable


@dataclasses.dataclass(frozen=True, kw_only=True)
class Measured:
    """One score of a pattern. `value` is the task's metric; `loss` the mean cross-entropy in nats, where it is known.

    `micro`, `macro` (accuracies) and `tasks` are those of the proxy, None or empty where it has none.
    """

    value: float
    eval_seed: int
    data_seed: int | None = None
    micro: float | None = None
    macro: float | None = None
    loss: float | None = None
    tasks: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    cached: bool | None = None
    key: str | None = None
    sources: str | None = None
    corpus: str | None = None
    dtype: str | None = None
    device: str | None = None
    versions: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @classmethod
    def of(cls, value: float, eval_seed: int, result: Mapping[str, Any]) -> "Measured":
        """From the result object of a scoring execution."""
        extra = result.get("extra") or {}
        proxy = extra.get("proxy") or {}
        return cls(
            value=float(value),
            eval_seed=eval_seed,
            data_seed=proxy.get("seed"),
            micro=proxy.get("score"),
            macro=proxy.get("macro"),
            loss=proxy.get("loss"),
            tasks=proxy.get("tasks") or {},
            cached=proxy.get("cached"),
            key=proxy.get("key"),
            sources=_sources(proxy),
            corpus=_corpus(proxy.get("corpus")),
            dtype=proxy.get("dtype"),
            device=proxy.get("device"),
            versions=proxy.get("versions") or {},
        )


def _sources(proxy: Mapping[str, Any]) -> str | None:
    """The digest of what scored, shortened; older logs have a number in its place."""
    found = proxy.get("sources", proxy.get("revision"))
    told = None if found is None else str(found)[:12]
    return f"{told} (other sources than the run's)" if proxy.get("by_other_sources") else told


def _corpus(manifest: Mapping[str, Any] | str | None) -> str | None:
    """A name for a text corpus: what it is called, and the hash of all that is known about it."""
    if not isinstance(manifest, Mapping):
        return manifest
    return f"{manifest.get('corpus', 'corpus')} {content_key(manifest)[:8]}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
    """One evaluated step. `t` is the Unix time of its commit, `space` the number of primitives, `step` the node id.

    `pattern` is canonical, `given` as proposed. `preset` names the fidelity; scores of different presets never mix.
    `validation` is what the search saw, a mean over the `evaluator_seeds` first evaluator seeds, `tests` what it never
    saw. `duplicate_of` names the step whose result was
    reused. `wall_s` counts the evaluator's seconds for the validation score.
    """

    run: str
    t: float
    task: str
    space: int
    lower_is_better: bool
    preset: str
    evaluator_seeds: int
    proposer: str
    llm: str
    scaffold: str
    agent: str
    seed: int
    step: int
    operator: str
    parents: tuple[int, ...]
    pattern: str
    given: str
    layers: int
    rationale: str
    status: str
    validation: Measured | None
    tests: tuple[Measured, ...]
    submitted: bool
    duplicate_of: int | None
    wall_s: float
    code_version: str

    @property
    def arm(self) -> tuple[str, str, str]:
        """Whose step this is: rows of one arm are repetitions with other seeds."""
        return self.task, self.preset, self.agent


@dataclasses.dataclass(frozen=True)
class RunFacts:
    """A run that was read. `steps` are all committed nodes, `rows` those whose candidate held a pattern."""

    path: str
    task: str
    agent: str
    seed: int
    preset: str
    steps: int
    rows: int
    tested: int


@dataclasses.dataclass(frozen=True)
class Skipped:
    """A run that could not be read, and why."""

    path: str
    reason: str


@dataclasses.dataclass(frozen=True)
class Collection:
    rows: tuple[Row, ...]
    runs: tuple[RunFacts, ...]
    skipped: tuple[Skipped, ...]


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


def write_table(rows: Sequence[Row], path: str | os.PathLike) -> None:
    """One JSON object a line; the same runs give the same bytes. Raises ValueError where `path` cannot be written."""
    lines = (json.dumps(dataclasses.asdict(row), sort_keys=True, ensure_ascii=False) + "\n" for row in rows)
    try:
        write_atomically(Path(path), "".join(lines).encode("utf-8", "replace"))
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}: choose another place for the table") from error


def read_table(path: str | os.PathLike) -> tuple[Row, ...]:
    """The rows that `write_table` wrote. Raises ValueError naming the file and the line that is none of its own."""
    try:
        lines = Path(path).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}: name a table that scripts/collect.py wrote") from error
    rows = []
    for number, line in enumerate(lines, 1):
        try:
            values = json.loads(line)
            measured = values.pop("validation")
            tests = tuple(Measured(**test) for test in values.pop("tests"))
            parents = tuple(values.pop("parents"))
            validation = None if measured is None else Measured(**measured)
            rows.append(Row(**values, parents=parents, validation=validation, tests=tests))
        except (ValueError, TypeError, LookupError, AttributeError) as error:
            raise ValueError(
                f"{path} line {number} is no row of this table ({error}): run scripts/collect.py"
            ) from None
    return tuple(rows)
