"""One run as its reports see it: the tree, and beside it what a search does not need (calls, executions, test scores)."""

import copy
import dataclasses
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from aira_jax.llm.base import Usage
from aira_jax.reports.testscores import TestScores
from aira_jax.search import events
from aira_jax.search.tree import Node, Tree

Record = Mapping[str, Any]
TEST_PHASES = frozenset({"fit_test", "score_test"})


@dataclasses.dataclass(frozen=True)
class Call:
    """One completion, as billed. `usd` None means that the model has no price."""

    role: str
    attempt: int
    backend: str
    model: str
    usage: Usage
    usd: float | None
    latency_s: float
    stop_reason: str
    error: str


@dataclasses.dataclass(frozen=True)
class Execution:
    """One program run. `output` is all that was kept; `isolation` is what the machine really enforced."""

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
    output: str
    result: Mapping[str, Any]
    isolation: Mapping[str, Any]

    @property
    def split(self) -> str:
        return "test" if self.phase in TEST_PHASES else "validation"

    @property
    def value(self) -> float | None:
        """The score, when this was a scoring execution that ended well with a finite number."""
        value = self.result.get("value")
        scored = self.phase.startswith("score_") and self.status == "ok" and isinstance(value, (int, float))
        return float(value) if scored and math.isfinite(value) else None


@dataclasses.dataclass(frozen=True)
class Point:
    """Where a search stood when a node was committed. `usd` None: unpriced. `best`: fitness of the best so far."""

    node: int
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
    node: Node
    calls: tuple[Call, ...]
    executions: tuple[Execution, ...]
    edit_mode: str
    duplicate_of: int | None
    parse_error: str
    reported_metric: float | None
    warnings: tuple[str, ...]
    point: Point | None
    test: float | None

    @property
    def metrics(self) -> Mapping[str, Any]:
        """The evaluator's own result on the validation split; empty when there is none."""
        scored = [e.result for e in self.executions if e.phase == "score_validation" and e.value is not None]
        return scored[0] if scored else {}

    @property
    def output(self) -> str:
        return "".join(f"== {e.phase}, seed {e.seed}: {e.status} ==\n{_ended(e.output)}" for e in self.executions)

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
            "test": self.test,
            "failure_class": node.failure_class,
            "message": node.message,
            "summary": node.summary,
            "sha": node.sha,
            "duplicate_of": self.duplicate_of,
            "usd": node.usd,
            "usage": dataclasses.asdict(node.usage),
            "wall_s": node.wall_s,
            "device_s": node.device_s,
            "executions": [
                {key: value for key, value in dataclasses.asdict(e).items() if key != "output"} for e in self.executions
            ],
        }


@dataclasses.dataclass(frozen=True)
class RunView:
    """`start` is the run_start record; `warnings` are (node or None, code, text); `config` has later changes applied."""

    tree: Tree
    start: Record
    config: Mapping[str, Any]
    nodes: tuple[NodeView, ...]
    tests: TestScores
    points: tuple[Point, ...]
    warnings: tuple[tuple[int | None, str, str], ...]
    sessions: tuple[Record, ...]
    recovered: tuple[Record, ...]
    stop: Record | None
    submit: Record | None
    records: int

    @classmethod
    def read(cls, run_dir: Path | str) -> "RunView":
        """Raises what `events.read` raises on a damaged log."""
        run_dir = Path(run_dir)
        return cls.fold(events.read(run_dir / "events.jsonl"), run_dir / "blobs")

    @property
    def best(self) -> NodeView | None:
        return self.nodes[self.tree.best.id] if self.tree.best else None

    @property
    def submitted(self) -> NodeView | None:
        return self.nodes[self.submit["node"]] if self.submit else None

    @property
    def first_draft(self) -> NodeView | None:
        """The first node with a fitness that is a draft: what one question to the proposer would have given."""
        return next((v for v in self.nodes if v.node.operator == "draft" and v.node.is_good), None)

    @property
    def test_device_s(self) -> float:
        return sum(e.device_s for v in self.nodes for e in v.executions if e.split == "test")

    def parent_files(self, view: NodeView) -> Mapping[str, str]:
        """The files that a candidate was made from: its first parent's, none for a draft."""
        return self.tree.nodes[view.node.parents[0]].files if view.node.parents else {}
