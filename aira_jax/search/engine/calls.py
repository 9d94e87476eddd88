"""The calls of one node to its proposers: on record before and after, within the budget, retried, never made twice."""

import dataclasses
import json
import time
from collections.abc import Iterator, Sequence
from typing import Any

from aira_jax.core.rng import Stream, generator
from aira_jax.llm import retry
from aira_jax.llm.base import Completion, ErrorKind, LLMError, Request, Role, Usage
from aira_jax.search.engine.budget import Budget, cost, reservation
from aira_jax.search.engine.context import Proposer, RunContext
from aira_jax.search.log.events import Blobs, Kind, Record
from aira_jax.search.log.journal import StopSearch
from aira_jax.search.log.tree import Progress, Tree, resolve

# These say nothing about the candidate: the search ends and a later session asks again.
STOPPING = (ErrorKind.AUTH, ErrorKind.RATE_LIMIT, ErrorKind.OVERLOADED, ErrorKind.TIMEOUT, ErrorKind.EXHAUSTED)


NOTHING = Budget(0, 0, 0, 0, 0.0)


class Calls:
    """Calls of node `node` in its view of the tree. `calling` while a proposer is being asked."""

    def __init__(self, context: RunContext, node: int, view: Tree, progress: Progress):
        self.context, self.node, self.view = context, node, view
        self._results = progress.results
        self.calling = False

    def reserve(self, request: Request) -> Budget:
        """The most that a call can add to the spend."""
        proposer = self._proposer(request)
        return reservation(len(request.prompt), request.max_tokens, proposer.price(), free=proposer.free)

    def admit(self, request: Request, spent: Budget = NOTHING) -> None:
        """Raises StopSearch when the call could pass a limit on tokens or dollars; `spent`: what is not logged yet."""
        tree, wanted = self.context.journal.tree, self.reserve(request)
        limits, own = tree.limits, tree.nodes[self.node] if self.node < len(tree.nodes) else None
        used = self.view.promised + spent + (Budget(0, 0, 0, own.usage.tokens, own.usd) if own else NOTHING)
        axis = Budget(tokens=limits.tokens, usd=limits.usd).passed(used + wanted)
        if axis:
            raise StopSearch(
                axis,
                f"node {self.node} {request.role} attempt {request.attempt} may need {getattr(wanted, axis):g} {axis}, "
                f"{getattr(limits, axis) - getattr(used, axis):g} of {getattr(limits, axis):g} are left; "
                f"raise config.budget.{axis} and run again to continue",
            )

    def make(self, request: Request) -> Record:
        """The llm_result of a request: from the record, or by asking."""
        known = self._results.get((request.role, request.attempt))
        if known is not None and not asks_again(known):
            return known
        self.context.control.check()
        self.admit(request)
        proposer = self._proposer(request)
        self.calling = True
        try:
            with self.context.gate:
                self.context.control.check()
                self._log_request(proposer, request)
                start = time.monotonic()
                answer, error = self._answer(proposer, request)
                latency_s = round(time.monotonic() - start, 3)
        finally:
            self.calling = False
        stops = error is not None and (error.kind in STOPPING or self._never_answered(proposer, error))
        record = self._log_result(proposer, request, answer, error, stops, latency_s)
        if stops:
            self.admit(request)
            raise StopSearch(_stop_reason(proposer, error), _advice(error))
        return record

    def text(self, result: Record) -> str:
        """What was answered."""
        text = result["text"]
        return text if isinstance(text, str) else self.context.journal.log.blobs.get(text["blob"])

    def _log_request(self, proposer: Proposer, request: Request) -> None:
        journal = self.context.journal
        journal.append(
            Kind.LLM_REQUEST,
            node=self.node,
            role=request.role,
            attempt=request.attempt,
            prompt_sha=journal.log.put(request.prompt),
            backend=proposer.llm.backend,
            model=proposer.llm.model,
            params=_params(request),
        )

    def _answer(self, proposer: Proposer, request: Request) -> tuple[Completion, LLMError | None]:
        """The answer, or an empty one with the error that came instead."""
        try:
            return self._ask(proposer, request), None
        except LLMError as error:
            return Completion("", "error", error.usage, proposer.llm.model, error.request_id), error

    def _ask(self, proposer: Proposer, request: Request) -> Completion:
        left = self.context.clock.left().wall_s
        deadline_s = proposer.options.deadline_s if left is None else min(proposer.options.deadline_s, max(left, 0.0))
        k = 64 * request.node + 8 * (request.role is Role.ANALYZE) + request.attempt
        return retry.call(
            proposer.llm,
            request,
            deadline_s=deadline_s,
            rng=generator(self.context.seed, Stream.PROMPT, k),
            sleep=self._sleep,
            on_retry=self._warn_retry,
            may_retry=lambda spent: self._may_retry(proposer, request, spent),
        )

    def _may_retry(self, proposer: Proposer, request: Request, spent: Usage) -> bool:
        usd = 0.0 if proposer.free else cost(spent, proposer.price())
        try:
            self.admit(request, Budget(0, 0, 0, spent.tokens, usd))
        except StopSearch:
            return False
        return True

    def _never_answered(self, proposer: Proposer, error: LLMError) -> bool:
        """Whether this model has not answered once and `error` is about how it is called, not what it was asked."""
        if proposer.free or error.kind not in (ErrorKind.BAD_REQUEST, ErrorKind.MALFORMED):
            return False
        return (proposer.llm.backend, proposer.llm.model) not in _answered(self.context.journal.log.records)

    def _sleep(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self.context.control.check()
            time.sleep(min(left, 0.5))

    def _warn_retry(self, number: int, error: LLMError, delay_s: float) -> None:
        text = f"node {self.node}: {error} (try {number}); trying again in {delay_s:.1f} s"
        self.context.journal.append(Kind.WARNING, node=self.node, code="llm_retry", text=text)

    def _log_result(
        self, proposer: Proposer, request: Request, answer: Completion, error, stops: bool, latency_s: float
    ) -> Record:
        usd = 0.0 if proposer.free else cost(answer.usage, proposer.price(answer.model))
        return self.context.journal.append(
            Kind.LLM_RESULT,
            node=self.node,
            role=request.role,
            attempt=request.attempt,
            text=self.context.journal.log.store(answer.text),
            usage=dataclasses.asdict(answer.usage),
            usd=usd,
            stop_reason=answer.stop_reason,
            model=answer.model,
            latency_s=latency_s,
            request_id=answer.request_id,
            error=None if error is None else {"kind": error.kind, "message": _advice(error), "stops": stops},
        )

    def _proposer(self, request: Request) -> Proposer:
        return self.context.proposers[request.operator]


def _answered(records: Sequence[Record]) -> set[tuple[str, str]]:
    """(backend, model) of every proposer that has answered, were it by a refusal."""
    asked, found = {}, set()
    for record in list(records):
        if record["kind"] == Kind.LLM_REQUEST:
            asked[record["node"], record["role"], record["attempt"]] = (record["backend"], record["model"])
        elif record["kind"] == Kind.LLM_RESULT:
            error = record["error"]
            if not error or error["kind"] in (ErrorKind.REFUSED, ErrorKind.CONTEXT_LENGTH):
                found.add(asked.get((record["node"], record["role"], record["attempt"])))
    return found


def _params(request: Request) -> dict[str, Any]:
    sampling = dataclasses.asdict(request.sampling)
    return {"max_tokens": request.max_tokens, **sampling, "extra": dict(request.extra)}


def _stop_reason(proposer: Proposer, error: LLMError) -> str:
    """A control that has nothing left to propose has done its work, as a policy that says so."""
    if error.kind is ErrorKind.AUTH:
        return "auth"
    return "policy" if proposer.free and error.kind is ErrorKind.EXHAUSTED else "error"


def _advice(error: LLMError) -> str:
    return str(error) if not error.fix or error.fix in str(error) else f"{error}; {error.fix}"


def asks_again(result: Record) -> bool:
    """Whether a result is only the error that ended its session, so that the next one asks again."""
    error = result["error"]
    return bool(error) and (error["kind"] in STOPPING or error.get("stops", False))


def replay_lines(records: Sequence[Record], blobs: Blobs) -> Iterator[str]:
    """One JSON line per answered call: node, operator, attempt, and all that the replay backend gives back."""
    operators = {record["node"]: record["operator"] for record in records if record["kind"] == Kind.ACTION}
    prompts = {(r["node"], r["role"], r["attempt"]): r["prompt_sha"] for r in records if r["kind"] == Kind.LLM_REQUEST}
    answers = {(r["node"], r["role"], r["attempt"]): r for r in records if r["kind"] == Kind.LLM_RESULT}
    for (node, role, attempt), record in sorted(answers.items()):
        line = {
            "node": node,
            "operator": "analyze" if role == Role.ANALYZE else operators[node],
            "role": role,
            "attempt": attempt,
            "completion": resolve(record["text"], blobs),
            "usage": record["usage"],
            "stop_reason": record["stop_reason"],
            "model": record["model"],
            "request_id": record["request_id"],
            "prompt_sha": prompts[node, role, attempt],
            "error": record["error"],
        }
        yield json.dumps(line, sort_keys=True)  # ASCII: it passes through any terminal unchanged
