"""One run as its reports see it: the tree, and beside it calls, executions and test scores, which no search needs."""

import dataclasses
import functools
import math
import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from aira_jax.llm.base import Usage
from aira_jax.runs.pattern import Found, of_files
from aira_jax.search.engine.session import last_config
from aira_jax.search.log import events
from aira_jax.search.log.heldout import TestScore, TestScores
from aira_jax.search.log.tree import TEST_PHASES, Node, Tree, resolve

Record = Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Call:
    """One completion, as billed. `usd` None means that the model has no price; `prompt` is the file that holds it."""

    role: str
    attempt: int
    usage: Usage
    usd: float | None
    latency_s: float
    stop_reason: str
    error: str
    prompt: Path | None
    answer: str


@dataclasses.dataclass(frozen=True)
class Execution:
    """One program run. `isolation`: what the machine really enforced. `blob`: an output too long for its record."""

    phase: str
    seed: int
    status: str
    failure_class: str | None
    exit_code: int | None
    signal: int | None
    wall_s: float
    cpu_s: float
    device_s: float
    peak_bytes: int
    result: Mapping[str, Any]
    isolation: Mapping[str, Any]
    printed: str
    blob: Path | None

    @property
    def output(self) -> str:
        """All output that was kept, read when it is asked for: a run may have a gigabyte of it."""
        return self.blob.read_bytes().decode("utf-8", "replace") if self.blob else self.printed

    @property
    def split(self) -> str:
        return "test" if self.phase in TEST_PHASES else "validation"

    @property
    def value(self) -> float | None:
        """The score, when this was a scoring execution that ended well with a finite number."""
        value = self.result.get("value")
        scored = self.phase.startswith("score_") and self.status == "ok" and isinstance(value, int | float)
        return float(value) if scored and math.isfinite(value) else None


@dataclasses.dataclass(frozen=True)
class Point:
    """Where a search stood when a node was committed, at Unix time `t`. `usd` None: unpriced. `best`: fitness of the
    best so far."""

    node: int
    t: float
    steps: int
    wall_s: float
    device_s: float
    tokens: int
    usd: float | None
    fitness: float | None
    best: float | None
    is_new_best: bool


@dataclasses.dataclass(frozen=True)
class NodeView:
    """A node with what the log holds about it. `tests` are its test scores, that of seed 0 first.

    `parse_error` says why no candidate could be read from the answer, "" where one was.
    """

    node: Node
    calls: tuple[Call, ...]
    executions: tuple[Execution, ...]
    reported_metric: float | None
    warnings: tuple[str, ...]
    point: Point | None
    tests: tuple[float, ...]
    parse_error: str

    @property
    def test(self) -> float | None:
        """The one test score of the node: the mean over its seeds."""
        return statistics.fmean(self.tests) if self.tests else None

    @functools.cached_property
    def pattern(self) -> Found | None:
        return of_files({**self.node.files, **self.node.exported})

    @property
    def output(self) -> str:
        return "".join(f"== {e.phase}, seed {e.seed}: {e.status} ==\n{_ended(e.output)}" for e in self.executions)

    def scored(self, phase: str, seed: int) -> Mapping[str, Any]:
        """The result of the last execution of a phase with an evaluator seed; {} without one."""
        found = [e.result for e in self.executions if (e.phase, e.seed) == (phase, seed)]
        return found[-1] if found else {}

    @property
    def result(self) -> dict[str, Any]:
        """What nodes/<id>/result.json holds."""
        node = self.node
        return {
            "node": node.id,
            "operator": str(node.operator),
            "parents": list(node.parents),
            "status": str(node.status) if node.status else "pending",
            "fitness": node.fitness,
            "signal": node.signal,
            "test": self.test,
            "test_seeds": len(self.tests),
            "failure_class": node.failure_class,
            "message": node.message,
            "summary": node.summary,
            "sha": node.sha,
            "duplicate_of": node.duplicate_of,
            "reported_metric": self.reported_metric,
            "usd": node.usd,
            "usage": dataclasses.asdict(node.usage),
            "wall_s": node.wall_s,
            "device_s": node.device_s,
            "executions": [
                {
                    field.name: getattr(e, field.name)
                    for field in dataclasses.fields(e)
                    if field.name not in ("printed", "blob")
                }
                for e in self.executions
            ],
        }


@dataclasses.dataclass(frozen=True)
class Warned:
    """A warning of the harness; `node` is None when it concerns the whole run."""

    node: int | None
    code: str
    text: str


@dataclasses.dataclass(frozen=True)
class RunView:
    """`start` is the run_start record. `stop` is None while a search goes on or after it was cut off."""

    tree: Tree
    start: Record
    config: Mapping[str, Any]
    nodes: tuple[NodeView, ...]
    tests: TestScores
    points: tuple[Point, ...]
    warnings: tuple[Warned, ...]
    sessions: tuple[Record, ...]
    recovered: tuple[Record, ...]
    stop: Record | None
    submit: Record | None

    @classmethod
    def read(cls, run_dir: Path | str) -> "RunView":
        """Raises ValueError without a log or with a log in which no run began, DamagedLog on a damaged one."""
        records = events.read(run_dir)
        blobs = events.Blobs(Path(run_dir) / "blobs")
        _check_blobs(records, blobs.folder)
        return fold(records, blobs)

    @property
    def about(self) -> Mapping[str, Any]:
        """What the evaluator says beside the score of the first good node; {} without one, or where it says nothing."""
        return next((v.node.result["extra"] for v in self.nodes if v.node.is_good and v.node.result.get("extra")), {})

    @property
    def surrogate(self) -> str:
        """The name of what stood in for the data of the task, "" for its own data."""
        named = self.about.get("data") or self.start.get("corpus") or "unnamed"
        return str(named) if self.about.get("surrogate") else ""

    @property
    def best(self) -> NodeView | None:
        return self.nodes[self.tree.best.id] if self.tree.best else None

    @property
    def submitted(self) -> NodeView | None:
        return self.nodes[self.submit["node"]] if self.submit else None

    @property
    def first_draft(self) -> NodeView | None:
        """The first draft with a fitness: what one question to the proposer gives, failed answers left out."""
        return next((v for v in self.nodes if v.node.operator == "draft" and v.node.is_good), None)

    def parent_files(self, view: NodeView) -> Mapping[str, str]:
        """The files that a candidate was made from: its first parent's, none for a draft."""
        return self.tree.nodes[view.node.parents[0]].files if view.node.parents else {}


def _check_blobs(records: Sequence[Record], folder: Path) -> None:
    present = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    for record in records:
        for sha in events.named_blobs(record):
            if sha not in present:
                raise events.DamagedLog(
                    f"{folder / sha} is missing, and record {record['seq']} names it\n"
                    "    bring the file back from a copy of the run directory; nothing was changed"
                )


def fold(records: Sequence[Record], blobs: events.Blobs) -> RunView:
    """Everything that a report shows, from records and the blobs that they name. Raises ValueError for no run."""
    start = next((r for r in records if r["kind"] == "run_start"), None)
    if start is None:
        raise ValueError(
            f"{blobs.folder.parent}: its log holds no run_start record, so no run began there; start one with search.py"
        )
    tree = Tree.fold(records, blobs)
    points = search_points(records, tree.lower_steers)
    tests = TestScores.fold(records)
    warnings = tuple(Warned(r.get("node"), r["code"], r["text"]) for r in records if r["kind"] == "warning")
    sessions = tuple(r for r in records if r["kind"] == "session_start")
    by_node = _by_node(records)
    at = {point.node: point for point in points}
    return RunView(
        tree=tree,
        start=start,
        config=last_config(records),
        nodes=tuple(_node_view(node, by_node, blobs, at.get(node.id), tests, warnings) for node in tree.nodes),
        tests=tests,
        points=points,
        warnings=warnings,
        sessions=sessions,
        recovered=tuple(r for r in records if r["kind"] == "recovered"),
        stop=_last_stop(records),
        submit=next((r for r in reversed(records) if r["kind"] == "submit"), None),
    )


def search_points(records: Sequence[Record], lower_steers: bool) -> tuple[Point, ...]:
    """The state of the ledger at every commit; `best` is the fitness of the node that steers best so far.

    Test scoring is no part of a search and is left out of it.
    """
    points: list[Point] = []
    wall_s = {"ended": 0.0, "session": 0.0}
    device_s, tokens, usd, best, lead, searching = 0.0, 0, 0.0, None, None, False
    for record in records:
        if record["kind"] == "session_start":
            searching = record.get("purpose", "search") == "search"
            wall_s = {"ended": sum(wall_s.values()), "session": 0.0}
        if searching:
            wall_s["session"] = max(wall_s["session"], record["mono"])
        if record["kind"] == "exec_end" and record["phase"] not in TEST_PHASES:
            device_s += record.get("device_s") or 0.0
        elif record["kind"] == "llm_result":
            tokens += _usage(record).tokens
            usd = None if usd is None or record.get("usd") is None else usd + record["usd"]
        elif record["kind"] == "node":
            fitness = record.get("fitness") if record["status"] == "good" else None
            steering = fitness if record.get("signal") is None else record["signal"]
            is_new = fitness is not None and (lead is None or (steering < lead if lower_steers else steering > lead))
            best, lead = (fitness, steering) if is_new else (best, lead)
            point = (record["node"], record["t"], len(points) + 1, sum(wall_s.values()), device_s, tokens, usd)
            points.append(Point(*point, fitness=fitness, best=best, is_new_best=is_new))
    return tuple(points)


def _by_node(records: Sequence[Record]) -> Mapping[tuple[int, str], list[Record]]:
    groups: dict[tuple[int, str], list[Record]] = defaultdict(list)
    for record in records:
        if isinstance(record.get("node"), int):
            groups[record["node"], record["kind"]].append(record)
    return groups


def _node_view(
    node: Node,
    by_node: Mapping[tuple[int, str], list[Record]],
    blobs: events.Blobs,
    point: Point | None,
    tests: TestScores,
    warnings: Sequence[Warned],
) -> NodeView:
    return NodeView(
        node=node,
        calls=tuple(
            _call(record, by_node.get((node.id, "llm_request"), ()), blobs)
            for record in by_node.get((node.id, "llm_result"), ())
        ),
        executions=tuple(
            _execution(start, end, blobs)
            for start, end in _pairs(by_node.get((node.id, "exec_start"), ()), by_node.get((node.id, "exec_end"), ()))
        ),
        reported_metric=by_node.get((node.id, "analysis"), [{}])[-1].get("reported_metric"),
        warnings=tuple(warning.text for warning in warnings if warning.node == node.id),
        point=point,
        tests=_tests(tests.scores.get(node.id)),
        parse_error=by_node.get((node.id, "candidate"), [{}])[-1].get("parse_error") or "",
    )


def _tests(score: TestScore | None) -> tuple[float, ...]:
    """Seed 0 first; a node without a score of seed 0 has none."""
    if score is None or score.value is None:
        return ()
    return (score.value, *(value for _, value in sorted(score.repeats.items()) if value is not None))


def _pairs(starts: Sequence[Record], ends: Sequence[Record]) -> list[tuple[Record, Record]]:
    """Each end of an execution with its start: the earliest open one of the same phase and seed."""
    opened = list(starts)
    pairs = []
    for end in ends:
        what = end["phase"], end.get("seed")
        start = next((start for start in opened if (start["phase"], start.get("seed")) == what), {})
        opened = [other for other in opened if other is not start]
        pairs.append((start, end))
    return pairs


def _execution(start: Record, end: Record, blobs: events.Blobs) -> Execution:
    return Execution(
        **{name: end.get(name) for name in ("phase", "status", "failure_class", "exit_code", "signal")},
        **{name: end.get(name) or 0 for name in ("seed", "peak_bytes")},
        **{name: end.get(name) or 0.0 for name in ("wall_s", "cpu_s", "device_s")},
        result=end.get("result") or {},
        isolation=start.get("isolation", {}),
        printed=end.get("head", "") + end.get("tail", ""),
        blob=blobs.folder / end["output_blob"] if end.get("output_blob") else None,
    )


def _call(record: Record, requests: Sequence[Record], blobs: events.Blobs) -> Call:
    error = record.get("error")
    same = (r for r in requests if (r["role"], r["attempt"]) == (record["role"], record["attempt"]))
    sha = next((r.get("prompt_sha") for r in same), None)
    return Call(
        role=record["role"],
        attempt=record["attempt"],
        usage=_usage(record),
        usd=record.get("usd"),
        latency_s=record.get("latency_s") or 0.0,
        stop_reason=record.get("stop_reason") or "",
        error=f"{error['kind']}: {error['message']}" if error else "",
        prompt=blobs.folder / sha if sha else None,
        answer=resolve(record.get("text") or "", blobs),
    )


def _usage(record: Record) -> Usage:
    known = {field.name for field in dataclasses.fields(Usage)}
    return Usage(**{key: value for key, value in (record.get("usage") or {}).items() if key in known})


def _last_stop(records: Sequence[Record]) -> Record | None:
    """The stop that still stands: a later action took an earlier one back."""
    stop = None
    for record in records:
        stop = record if record["kind"] == "stop" else None if record["kind"] == "action" else stop
    return stop


def _ended(text: str) -> str:
    return text if text.endswith("\n") or not text else f"{text}\n"
