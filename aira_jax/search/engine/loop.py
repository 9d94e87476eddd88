"""The one loop of every policy: choose, propose, evaluate, commit, until a limit, the policy or the user says stop."""

import dataclasses
import traceback
from collections.abc import Hashable
from typing import Any

from aira_jax.core.failures import Failure
from aira_jax.core.operators import Operator
from aira_jax.core.rng import Stream, generator
from aira_jax.search import policies
from aira_jax.search.engine.budget import Budget
from aira_jax.search.engine.context import RunContext
from aira_jax.search.engine.evaluation import Outcome
from aira_jax.search.engine.step import Step
from aira_jax.search.engine.workers import WorkerPool
from aira_jax.search.log.events import Kind
from aira_jax.search.log.journal import Cancelled, StopSearch
from aira_jax.search.log.tree import Action, Node, NodeStatus, Progress, Tree
from aira_jax.search.policies import PolicyConfig
from aira_jax.search.settings import Order, Workers

FAILURES_IN_A_ROW = 5
NOT_THE_CANDIDATES = (Failure.LLM, Failure.INFRA)


@dataclasses.dataclass(frozen=True)
class Stopped:
    """Why a search ended: `reason` and `detail` of the stop record."""

    reason: str
    detail: str


@dataclasses.dataclass(frozen=True)
class Choice:
    """An action and the tree in whose view it was chosen; nodes after `committed_upto` were pending in it."""

    action: Action
    view: Tree
    committed_upto: int


class Loop:
    """Grows the tree of a journal. Order fifo: node k is chosen when nodes 0 .. k-n are committed, sees exactly these,
    and commits follow the ids, so that the outcome is the same for every timing. Order asap: whatever is done first.
    """

    def __init__(self, context: RunContext, pool: WorkerPool, policy: PolicyConfig, workers: Workers):
        self._context, self._pool, self._policy, self._workers = context, pool, policy, workers
        self._journal = context.journal
        self._ready: dict[int, Outcome] = {}
        self._halted_at: int | None = None
        self._end: Stopped | None = None

    def run(self) -> Stopped:
        """Runs until the search stops; nodes that are not committed by then can be taken up again."""
        for node in self._journal.tree.pending:
            self._resume(node)
        while True:
            self._commit()
            self._choose()
            if not self._pool.flying:
                return self._end
            self._pool.serve()
            self._watch()

    @property
    def _fifo(self) -> bool:
        return self._workers.order is Order.FIFO

    def _resume(self, node: Node) -> None:
        progress = self._journal.tree.progress[node.id]
        record = progress.action
        view = progress.view.view(record["committed_upto"], node.id)
        action = Action(node.operator, node.parents, node.meta)
        self._launch(Step(self._context, node.id, action, view, progress))

    def _launch(self, step: Step) -> None:
        self._pool.start(step.node, step.run, self._landed, lambda: step.calls.calling)

    def _choose(self) -> None:
        """Begins nodes while there is room, until the search has ended or must wait for a commit."""
        while self._end is None and len(self._pool.flying) + len(self._ready) < self._workers.n:
            if stopped := self._limit():
                self._end = stopped
                return
            choice = self._select()
            if choice is None:
                return
            self._begin(choice)

    def _limit(self) -> Stopped | None:
        tree = self._journal.tree
        steps = tree.limits.steps
        if steps is not None and len(tree.nodes) >= steps:
            return Stopped("steps", f"{len(tree.nodes)} of {steps} steps used")
        axis = self._context.clock.out_of()
        return _out_of_time(axis, tree) if axis else None

    def _select(self) -> Choice | None:
        """The next choice, None while it must wait for a commit. May end the search instead."""
        tree, id = self._journal.tree, len(self._journal.tree.nodes)
        if not self._fifo:
            newest = max(tree.commits, default=-1)
            return self._ask_policy(tree.view(newest, id), newest, may_wait=bool(self._pool.flying or self._ready))
        for upto in range(max(id - self._workers.n, -1), id):
            if tree.committed_upto < upto:
                return None
            choice = self._ask_policy(tree.view(upto, id), upto, may_wait=upto < id - 1)
            if choice is not None or self._end is not None:
                return choice
        return None

    def _ask_policy(self, view: Tree, committed_upto: int, *, may_wait: bool) -> Choice | None:
        if self._ended_by_spend(view) or self._ended_by_failures(view):
            return None
        action = policies.select(view, generator(self._context.seed, Stream.POLICY, len(view.nodes)), self._policy)
        if action.operator is Operator.STOP:
            self._end = Stopped("policy", f"{self._policy.name} has done its work after {len(view.nodes)} nodes")
            return None
        if action.operator is Operator.WAIT:
            if not may_wait:
                raise RuntimeError(f"policy {self._policy.name} waits although no node is pending")
            return None
        return Choice(action, view, committed_upto)

    def _ended_by_spend(self, view: Tree) -> bool:
        limits = Budget(tokens=view.limits.tokens, usd=view.limits.usd)
        axis = limits.reached(view.spent)
        if axis:
            self._end = Stopped(axis, f"{getattr(view.spent, axis):g} of {getattr(limits, axis):g} {axis} used")
        return axis is not None

    def _ended_by_failures(self, view: Tree) -> bool:
        since = [view.nodes[id] for id in view.commits if id >= view.stopped_at]
        last = since[-FAILURES_IN_A_ROW:]
        if len(last) == FAILURES_IN_A_ROW and all(node.failure_class in NOT_THE_CANDIDATES for node in last):
            where = "in the LLM call" if last[-1].failure_class == Failure.LLM else "in the harness"
            self._end = Stopped("error", f"{len(last)} nodes in a row failed {where}: {last[-1].message}")
        return self._end is not None

    def _begin(self, choice: Choice) -> None:
        id, view = len(self._journal.tree.nodes), choice.view
        step = Step(self._context, id, choice.action, view, Progress({}, view))
        try:
            step.calls.admit(step.first)
        except StopSearch as stop:
            self._end = Stopped(stop.reason, stop.detail)
            return
        reserved = step.calls.reserve(step.first)
        self._journal.append(
            Kind.ACTION,
            node=id,
            operator=choice.action.operator,
            parents=list(choice.action.parents),
            meta=dict(choice.action.meta),
            rng=[self._context.seed, int(Stream.POLICY), id],
            committed_upto=choice.committed_upto,
            reserved={"tokens": reserved.tokens, "usd": reserved.usd},
        )
        self._launch(step)

    def _landed(self, node: Hashable, result: Any) -> None:
        if isinstance(result, Outcome):
            self._ready[node] = result
        elif isinstance(result, StopSearch):
            self._end = self._end or Stopped(result.reason, result.detail)
            self._halted_at = node if self._halted_at is None else min(node, self._halted_at)
        elif not isinstance(result, Cancelled):
            text = "".join(traceback.format_exception(result))
            self._journal.append(Kind.WARNING, node=node, code="defect", text=text)
            message = f"the harness failed on this node: {type(result).__name__}: {result}"
            self._ready[node] = Outcome(NodeStatus.FAILED, failure_class=Failure.INFRA, message=message)

    def _commit(self) -> None:
        for node in sorted(self._ready):
            if self._fifo and node != self._journal.tree.committed_upto + 1:
                return
            outcome = self._ready.pop(node)
            self._journal.append(Kind.NODE, node=node, **dataclasses.asdict(outcome))

    def _watch(self) -> None:
        """Calls work off when the user, the budget or a node that cannot go on asks for it."""
        if self._pool.interrupts.requested:
            self._end = Stopped("interrupt", "interrupted by the user; run the same command again to continue")
            self._pool.cancel()
        elif axis := self._context.clock.out_of():
            self._end = _out_of_time(axis, self._journal.tree)
            self._pool.cancel()
        elif self._halted_at is not None and all(node > self._halted_at for node in self._pool.flying):
            self._pool.cancel()


def _out_of_time(axis: str, tree: Tree) -> Stopped:
    limit = getattr(tree.limits, axis)
    return Stopped(axis.removesuffix("_s"), f"{limit:g} of {limit:g} s used")
