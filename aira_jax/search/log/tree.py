"""The search tree: a pure fold over the event log.

`Tree.fold(records)` gives the same tree on every machine; `tree.apply(record)` is one step of it. Test scores are not
in it: records of test phases are passed over here and folded by `aira_jax.search.log.heldout`, which only reports read.
"""

import dataclasses
import functools
import hashlib
import math
from collections.abc import Iterable, Mapping
from typing import Any

from aira_jax.core.operators import Operator
from aira_jax.llm.base import Usage
from aira_jax.proxies.fidelity import Signal
from aira_jax.search.engine.budget import AXES, Budget
from aira_jax.search.log.events import Blobs, Record, canonical
from aira_jax.search.log.node import Action, Node, NodeStatus

__all__ = ["Action", "Node", "NodeStatus", "Progress", "Tree", "resolve"]

TEST_PHASES = frozenset({"fit_test", "score_test"})
_USAGE = tuple(field.name for field in dataclasses.fields(Usage))


@dataclasses.dataclass(frozen=True)
class Progress:
    """What is on record of a node that is not committed: enough to go on from any stage.

    `view` is the tree just before the action. `results` are llm_result records by (role, attempt); `requested` the
    calls begun; `ends` the exec_end records in order; `open` the exec_start records without an end.
    """

    action: Record
    view: "Tree"
    requested: tuple[tuple[str, int], ...] = ()
    results: Mapping[tuple[str, int], Record] = dataclasses.field(default_factory=dict)
    candidate: Record | None = None
    open: tuple[Record, ...] = ()
    ends: tuple[Record, ...] = ()
    analysis: Record | None = None


@dataclasses.dataclass(frozen=True)
class Tree:
    """The state of a search after some records.

    `run` is the run_start record (empty before it). `sessions` holds the last `mono` of every search session.
    `submitted` is the node id handed in, `stop` the last stop record, `stopped_at` the number of nodes then.
    `confirmations` are executions of committed nodes with fresh evaluator seeds: (node, seed, value, device_s), and
    `confirmed_signals` what steers the search in each of them: (node, seed, value of the signal).
    """

    nodes: tuple[Node, ...] = ()
    run: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    limits: Budget = Budget()
    sessions: tuple[float, ...] = ()
    searching: bool = False
    commits: tuple[int, ...] = ()
    progress: Mapping[int, Progress] = dataclasses.field(default_factory=dict)
    confirmations: tuple[tuple[int, int, float | None, float], ...] = ()
    confirmed_signals: tuple[tuple[int, int, float | None], ...] = ()
    submitted: int | None = None
    stop: Record | None = None
    stopped_at: int = 0
    lost_calls: int = 0
    warnings: tuple[str, ...] = ()

    @classmethod
    def fold(cls, records: Iterable[Record], blobs: Blobs | None = None) -> "Tree":
        """The tree after `records`. `blobs` are the run's; without them, files over 64 KiB are empty."""
        tree = cls()
        for record in records:
            tree = tree.apply(record, blobs)
        return tree

    def apply(self, record: Record, blobs: Blobs | None = None) -> "Tree":
        """The tree after one more record. Total: a record that it does not understand changes nothing."""
        tree = self
        if self.searching and self.sessions:
            tree = dataclasses.replace(self, sessions=(*self.sessions[:-1], max(self.sessions[-1], record["mono"])))
        step = _STEPS.get(record["kind"])
        return tree if step is None else step(tree, record, blobs)

    def node(self, id: int) -> Node:
        return self.nodes[id]

    @property
    def lower_is_better(self) -> bool:
        return bool(self.run.get("lower_is_better", False))

    @property
    def signal(self) -> Signal:
        """What steers the search; logs without one are steered by the metric."""
        return Signal(self.run.get("config", {}).get("eval", {}).get("signal", Signal.METRIC))

    @property
    def lower_steers(self) -> bool:
        """Whether less of the signal is better; losses always are."""
        return self.signal is not Signal.METRIC or self.lower_is_better

    def quality(self, node: Node) -> float:
        """What steers the search by a good node, signed so that more is better."""
        return -node.steering if self.lower_steers else node.steering

    @functools.cached_property
    def drafts(self) -> tuple[Node, ...]:
        """Nodes without a parent, pending and failed ones included."""
        return tuple(node for node in self.nodes if node.operator is Operator.DRAFT)

    @functools.cached_property
    def leaves(self) -> tuple[Node, ...]:
        """Committed nodes without a child, pending children included."""
        return tuple(node for node in self.nodes if not node.children and not node.pending)

    @functools.cached_property
    def good(self) -> tuple[Node, ...]:
        return tuple(node for node in self.nodes if node.is_good)

    @functools.cached_property
    def pending(self) -> tuple[Node, ...]:
        return tuple(node for node in self.nodes if node.pending)

    @functools.cached_property
    def best(self) -> Node | None:
        """The good node with the best quality, the earliest on ties."""
        return max(self.good, key=lambda node: (self.quality(node), -node.id), default=None)

    @functools.cached_property
    def running_bests(self) -> tuple[Node, ...]:
        """The nodes that were the best when they were committed, in that order."""
        found: list[Node] = []
        for id in self.commits:
            node = self.nodes[id]
            if node.is_good and (not found or self.quality(node) > self.quality(found[-1])):
                found.append(node)
        return tuple(found)

    @functools.cached_property
    def spent(self) -> Budget:
        """Wall over all sessions, device time, committed steps, tokens and dollars (None: a call was unpriced)."""
        usd = [node.usd for node in self.nodes]
        return Budget(
            wall_s=sum(self.sessions),
            device_s=sum(node.device_s for node in self.nodes) + sum(item[3] for item in self.confirmations),
            steps=len(self.commits),
            tokens=sum(node.usage.tokens for node in self.nodes),
            usd=None if None in usd else sum(usd),
        )

    @functools.cached_property
    def committed_upto(self) -> int:
        """The largest id up to which every node is committed, -1 for none."""
        return next((node.id for node in self.nodes if node.pending), len(self.nodes)) - 1

    @property
    def promised(self) -> Budget:
        """Tokens and dollars spent by committed nodes or kept back for pending ones."""
        total = Budget(0, 0, 0, 0, 0.0)
        for node in self.nodes:
            total += node.reserved if node.pending else Budget(0, 0, 0, node.usage.tokens, node.usd)
        return total

    def view(self, committed_upto: int, next_id: int | None = None) -> "Tree":
        """This tree as node `next_id` may see it: nodes after `committed_upto` are pending, later ones do not exist."""
        size = len(self.nodes) if next_id is None else next_id
        nodes = tuple(_as_seen(node, committed_upto, size) for node in self.nodes[:size])
        commits = tuple(id for id in self.commits if id <= committed_upto)
        return dataclasses.replace(
            self, nodes=nodes, commits=commits, progress={}, confirmations=(), confirmed_signals=()
        )

    def fingerprint(self) -> str:
        """SHA-256 over everything that a seed determines; wall-clock and device time are left out."""
        nodes = [
            [
                node.id,
                node.operator,
                list(node.parents),
                dict(node.meta),
                node.sha,
                node.status,
                node.failure_class,
                repr(node.fitness),
                dataclasses.asdict(node.usage),
                *([] if node.signal is None else [repr(node.signal)]),
            ]
            for node in self.nodes
        ]
        spent = {"steps": self.spent.steps, "tokens": self.spent.tokens, "usd": self.spent.usd}
        return hashlib.sha256(canonical([nodes, spent, len(self.nodes)])).hexdigest()

    def _with_node(self, id: int, **changes: Any) -> "Tree":
        node = dataclasses.replace(self.nodes[id], **changes)
        return dataclasses.replace(self, nodes=(*self.nodes[:id], node, *self.nodes[id + 1 :]))

    def _with_progress(self, id: int, **changes: Any) -> "Tree":
        changed = dataclasses.replace(self.progress[id], **changes)
        return dataclasses.replace(self, progress={**self.progress, id: changed})


def _as_seen(node: Node, committed_upto: int, size: int) -> Node:
    children = tuple(child for child in node.children if child < size)
    if node.id > committed_upto and not node.pending:
        known = (node.meta, node.debug_depth, node.reserved, node.saw)
        return Node(node.id, node.operator, node.parents, children, *known)
    return dataclasses.replace(node, children=children) if children != node.children else node


def _run_start(tree: Tree, record: Record, blobs) -> Tree:
    if tree.run:
        return tree
    return dataclasses.replace(tree, run=record, limits=Budget.of(record.get("config", {}).get("budget", {})))


def _session_start(tree: Tree, record: Record, blobs) -> Tree:
    searching = record.get("purpose", "search") == "search"
    sessions = (*tree.sessions, record["mono"]) if searching else tree.sessions
    return dataclasses.replace(tree, searching=searching, sessions=sessions)


def _action(tree: Tree, record: Record, blobs) -> Tree:
    id, parents = record["node"], tuple(record["parents"])
    if id != len(tree.nodes) or any(parent >= id for parent in parents):
        return tree
    operator = Operator(record["operator"])
    depth = 1 + tree.nodes[parents[0]].debug_depth if operator is Operator.DEBUG else 0
    nodes = list(tree.nodes)
    for parent in dict.fromkeys(parents):
        nodes[parent] = dataclasses.replace(nodes[parent], children=(*nodes[parent].children, id))
    reserved = dict.fromkeys(AXES, 0) | record.get("reserved", {})
    saw = tuple(commit for commit in tree.commits if commit <= record.get("committed_upto", id - 1))
    nodes.append(Node(id, operator, parents, (), record.get("meta", {}), depth, Budget.of(reserved), saw))
    view = dataclasses.replace(tree, progress={})
    progress = {**tree.progress, id: Progress(record, view)}
    return dataclasses.replace(tree, nodes=tuple(nodes), progress=progress)


def _llm_request(tree: Tree, record: Record, blobs) -> Tree:
    id, call = record["node"], (record["role"], record["attempt"])
    if id not in tree.progress:
        return tree
    before = tree.progress[id]
    lost = call in before.requested and call not in before.results
    tree = dataclasses.replace(tree, lost_calls=tree.lost_calls + lost)
    return tree._with_progress(id, requested=tuple(dict.fromkeys((*before.requested, call))))


def _llm_result(tree: Tree, record: Record, blobs) -> Tree:
    id, call = record["node"], (record["role"], record["attempt"])
    if id not in tree.progress:
        return tree
    usage = Usage(**{name: value for name, value in (record.get("usage") or {}).items() if name in _USAGE})
    node = tree.nodes[id]
    usd = None if node.usd is None or record.get("usd") is None else node.usd + record["usd"]
    tree = tree._with_progress(id, results={**tree.progress[id].results, call: record})
    return tree._with_node(id, usage=node.usage + usage, usd=usd)


def _candidate(tree: Tree, record: Record, blobs) -> Tree:
    id = record["node"]
    if id not in tree.progress:
        return tree
    tree = tree._with_progress(id, candidate=record)
    return tree._with_node(
        id,
        plan=record.get("plan") or "",
        files={path: resolve(text, blobs) for path, text in (record.get("files") or {}).items()},
        sha=record.get("sha"),
        key=record.get("key") or record.get("sha"),
        edit_mode=record.get("edit_mode"),
        duplicate_of=record.get("duplicate_of"),
    )


def resolve(text: str | Mapping[str, str], blobs: Blobs | None) -> str:
    """A text of a record: itself, or the blob that stands for it (empty when `blobs` is None)."""
    if isinstance(text, str):
        return text
    return blobs.get(text["blob"]) if blobs else ""


def _exec_start(tree: Tree, record: Record, blobs) -> Tree:
    id = record["node"]
    if id not in tree.progress or record["phase"] in TEST_PHASES:
        return tree
    return tree._with_progress(id, open=(*tree.progress[id].open, record))


def _exec_end(tree: Tree, record: Record, blobs) -> Tree:
    id = record["node"]
    if record["phase"] in TEST_PHASES or id >= len(tree.nodes):
        return tree
    if id not in tree.progress:
        return _confirm_end(tree, record)
    before = tree.progress[id]
    same = (record["phase"], record.get("seed"))
    still_open = tuple(start for start in before.open if (start["phase"], start.get("seed")) != same)
    tree = tree._with_progress(id, open=still_open, ends=(*before.ends, record))
    node = tree.nodes[id]
    result = record.get("result") or {}
    exported = result.get("files", {}) if record["phase"] == "candidate" else {}
    return tree._with_node(
        id,
        head=record.get("head", ""),
        tail=record.get("tail", ""),
        result=result if record["phase"] == "score_validation" else node.result,
        exported={**node.exported, **{path: resolve(text, blobs) for path, text in exported.items()}},
        wall_s=node.wall_s + record.get("wall_s", 0.0),
        device_s=node.device_s + record.get("device_s", 0.0),
    )


def _confirm_end(tree: Tree, record: Record) -> Tree:
    value = (record.get("result") or {}).get("value") if record.get("status") == "ok" else None
    key = record["node"], record.get("seed", 0)
    steering = value if tree.signal is Signal.METRIC or value is None else signal_of(record, tree.signal)
    return dataclasses.replace(
        tree,
        confirmations=(*tree.confirmations, (*key, value, record.get("device_s", 0.0))),
        confirmed_signals=(*tree.confirmed_signals, (*key, steering)),
    )


def signal_of(end: Record, kind: Signal) -> float | None:
    """What the evaluator reported of a signal other than the metric; None where it reported no finite number."""
    told = ((end.get("result") or {}).get("extra") or {}).get("signals") or {}
    value = told.get(kind)
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def _analysis(tree: Tree, record: Record, blobs) -> Tree:
    id = record["node"]
    if id not in tree.progress:
        return tree
    return tree._with_progress(id, analysis=record)._with_node(id, summary=record.get("summary") or "")


def _node(tree: Tree, record: Record, blobs) -> Tree:
    id = record["node"]
    if id not in tree.progress:
        return tree
    progress = {key: value for key, value in tree.progress.items() if key != id}
    tree = dataclasses.replace(tree, progress=progress, commits=(*tree.commits, id))
    twin, exported = tree.nodes[id].duplicate_of, tree.nodes[id].exported
    return tree._with_node(
        id,
        exported=exported or (tree.nodes[twin].exported if twin is not None and twin < id else {}),
        status=NodeStatus(record["status"]),
        fitness=record.get("fitness"),
        signal=record.get("signal"),
        fitness_source=record.get("fitness_source"),
        failure_class=record.get("failure_class"),
        message=record.get("message") or "",
    )


def _budget(tree: Tree, record: Record, blobs) -> Tree:
    return dataclasses.replace(tree, limits=Budget.of(record["limits"]))


def _submit(tree: Tree, record: Record, blobs) -> Tree:
    return dataclasses.replace(tree, submitted=record["node"])


def _stop(tree: Tree, record: Record, blobs) -> Tree:
    return dataclasses.replace(tree, stop=record, stopped_at=len(tree.nodes))


def _warning(tree: Tree, record: Record, blobs) -> Tree:
    return dataclasses.replace(tree, warnings=(*tree.warnings, f"{record['code']}: {record['text']}"))


_STEPS = {
    "run_start": _run_start,
    "session_start": _session_start,
    "action": _action,
    "llm_request": _llm_request,
    "llm_result": _llm_result,
    "candidate": _candidate,
    "exec_start": _exec_start,
    "exec_end": _exec_end,
    "analysis": _analysis,
    "node": _node,
    "budget": _budget,
    "submit": _submit,
    "stop": _stop,
    "warning": _warning,
}
