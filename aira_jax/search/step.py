"""One node of a search, from its request to its outcome: propose, parse, evaluate, analyze.

A step is straight-line code whose effects (calls, executions) are on record: run again after a crash, it takes from the
record what was done and does the rest. It sees the tree of its own view only, so its result does not depend on timing.
"""

import dataclasses
import functools
import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from aira_jax.llm import Options, retry
from aira_jax.llm.base import LLM, Completion, ErrorKind, LLMError, Operator, Request, Role
from aira_jax.rng import Stream, generator
from aira_jax.sandbox import tripwires
from aira_jax.sandbox.failures import FailureClass
from aira_jax.search import answers, operators
from aira_jax.search.budget import FREE_BACKENDS, Budget, Price, cost, price, reservation
from aira_jax.search.evaluation import Evaluator, Measurement, Outcome, Recorded, duplicate
from aira_jax.search.events import Kind, Record
from aira_jax.search.executions import Clock
from aira_jax.search.journal import Control, Journal, StopSearch
from aira_jax.search.operators import Brief, Fitness
from aira_jax.search.settings import Dedupe
from aira_jax.search.tree import Action, Node, NodeStatus, Progress, Tree

ANALYZE_RETRIES = 3
# These say nothing about the candidate: the search ends and a later session asks again.
STOPPING = (ErrorKind.AUTH, ErrorKind.RATE_LIMIT, ErrorKind.OVERLOADED, ErrorKind.TIMEOUT, ErrorKind.EXHAUSTED)


@dataclasses.dataclass(frozen=True)
class Proposer:
    """A backend with the options of one operator."""

    llm: LLM
    options: Options

    @property
    def free(self) -> bool:
        return self.options.backend in FREE_BACKENDS

    def price(self, model: str = "") -> Price | None:
        return price(model, self.options.prices) or price(self.options.model, self.options.prices)


@dataclasses.dataclass(frozen=True)
class Workshop:
    """What all steps of a run share. `gate` bounds the calls in flight; `score_inline` scores a good node on test."""

    seed: int
    brief: Brief
    proposers: Mapping[Operator, Proposer]
    evaluator: Evaluator
    journal: Journal
    control: Control
    clock: Clock
    gate: threading.Semaphore
    dedupe: Dedupe
    analyze_llm: bool
    evaluator_seeds: tuple[int, ...]
    score_inline: Callable[[Node], None] | None = None


@dataclasses.dataclass(frozen=True)
class Failed:
    """No candidate came of the calls."""

    failure_class: str
    message: str


class Step:
    """Node `node` by `action`, in its view of the tree. `calling` while a proposer is being asked."""

    def __init__(self, shop: Workshop, node: int, action: Action, view: Tree, progress: Progress):
        self.shop, self.node, self.action, self.view = shop, node, action, view
        self._progress = progress
        self._candidate_logged = progress.candidate is not None
        self.calling = False

    def run(self) -> Outcome:
        """The outcome to commit. Raises Cancelled or StopSearch when the node must stay open."""
        proposal = self._propose()
        if isinstance(proposal, Failed):
            self._log_candidate(parse_error=proposal.message)
            return self._concluded(Outcome(NodeStatus.FAILED, None, None, proposal.failure_class, proposal.message))
        twin = self._twin(proposal.files)
        self._log_candidate(proposal, twin)
        if proposal.syntax_error:
            return self._concluded(
                Outcome(NodeStatus.BUGGY, None, None, FailureClass.SYNTAX, proposal.syntax_error), proposal
            )
        if twin is not None and self.shop.dedupe is Dedupe.REUSE:
            message = f"the same candidate as node {twin.id}, whose result is reused"
            return self._concluded(dataclasses.replace(_outcome_of(twin), message=message), proposal)
        recorded = Recorded(self._progress.ends)
        measured = self.shop.evaluator.run(self.node, proposal.files, self.shop.evaluator_seeds, recorded)
        outcome = self._judge(proposal, measured)
        if self.shop.score_inline and outcome.status is NodeStatus.GOOD:
            files = {**proposal.files, **self.shop.evaluator.exported_by(measured)}
            self.shop.score_inline(dataclasses.replace(self._subject(proposal), files=files))
        return outcome

    @functools.cached_property
    def first(self) -> Request:
        """The first question of this node."""
        return self._build(self.shop.brief, 0, ())

    def reserve(self, request: Request) -> Budget:
        """The most that a call can add to the spend."""
        proposer = self._proposer(request)
        return reservation(len(request.prompt), request.max_tokens, proposer.price(), free=proposer.free)

    def admit(self, request: Request) -> None:
        """Raises StopSearch when the call could pass a limit on tokens or dollars."""
        tree, wanted = self.shop.journal.tree, self.reserve(request)
        limits, own = tree.limits, tree.nodes[self.node] if self.node < len(tree.nodes) else None
        used = self.view.promised + (Budget(0, 0, 0, own.usage.tokens, own.usd) if own else Budget(0, 0, 0, 0, 0.0))
        axis = Budget(tokens=limits.tokens, usd=limits.usd).passed(used + wanted)
        if axis:
            raise StopSearch(
                axis,
                f"node {self.node} {request.role} attempt {request.attempt} may need {getattr(wanted, axis):g} {axis}, "
                f"{getattr(limits, axis) - getattr(used, axis):g} of {getattr(limits, axis):g} are left; "
                f"raise config.budget.{axis} and run again to continue",
            )

    def _build(self, brief: Brief, attempt: int, errors: Sequence[str]) -> Request:
        limits = self.view.limits
        wall = None
        if limits.wall_s:
            left = self.shop.clock.left().wall_s or 0.0
            wall = max(0.0, min(1.0, left / limits.wall_s))
        steps = None if limits.steps is None else max(0, limits.steps - self.node)
        remaining = operators.Remaining(steps=steps, wall=wall)
        return operators.build_request(
            brief, self.view, self.action, node=self.node, attempt=attempt, errors=errors, remaining=remaining
        )

    def _propose(self) -> answers.Candidate | Failed:
        brief, errors, attempt, tries = self.shop.brief, [], 0, 0
        retries = self.shop.proposers[self.action.operator].options.max_parse_retries
        parents = [self.view.nodes[id].files for id in self.action.parents]
        while tries <= retries:
            result = self._call(self._build(brief, attempt, errors) if attempt else self.first)
            attempt += 1
            error = result["error"]
            if error and error["kind"] == ErrorKind.CONTEXT_LENGTH and brief.memory == self.shop.brief.memory:
                brief = dataclasses.replace(brief, memory=brief.memory.halved())
                continue
            if error:
                return Failed(FailureClass.LLM, error["message"])
            tries += 1
            try:
                candidate = answers.parse(
                    self._text(result),
                    parents,
                    self.shop.brief.task,
                    stop_reason=result["stop_reason"],
                    allow_edits=self.shop.brief.prompt.allow_edits,
                )
                self._refuse_twin(candidate)
                return candidate
            except answers.AnswerError as problem:
                errors.append(str(problem))
        return Failed(FailureClass.PARSE, errors[-1])

    def _refuse_twin(self, candidate: answers.Candidate) -> None:
        twin = self._twin(candidate.files) if self.shop.dedupe is Dedupe.REJECT else None
        if twin is not None:
            raise answers.AnswerError(f"this candidate equals node {twin.id}; propose another one")

    def _twin(self, files: Mapping[str, str]) -> Node | None:
        return duplicate(self._key(files), self.view)

    def _key(self, files: Mapping[str, str]) -> str:
        return self.shop.brief.task.canonical(files) or answers.candidate_sha(files)

    def _text(self, result: Record) -> str:
        text = result["text"]
        return text if isinstance(text, str) else self.shop.journal.log.blobs.get(text["blob"])

    def _call(self, request: Request) -> Record:
        """The llm_result of a request: from the record, or by asking."""
        known = self._progress.results.get((request.role, request.attempt))
        if known is not None and not _asks_again(known):
            return known
        self.shop.control.check()
        self.admit(request)
        proposer = self._proposer(request)
        self.calling = True
        try:
            with self.shop.gate:
                self.shop.control.check()
                self._log_request(proposer, request)
                start = time.monotonic()
                answer, error = self._answer(proposer, request)
                latency_s = round(time.monotonic() - start, 3)
        finally:
            self.calling = False
        record = self._log_result(proposer, request, answer, error, latency_s)
        if error is not None and error.kind in STOPPING:
            raise StopSearch(_stop_reason(proposer, error), _advice(error))
        return record

    def _log_request(self, proposer: Proposer, request: Request) -> None:
        journal = self.shop.journal
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
        left = self.shop.clock.left().wall_s
        deadline_s = proposer.options.deadline_s if left is None else min(proposer.options.deadline_s, max(left, 0.0))
        k = 64 * request.node + 8 * (request.role is Role.ANALYZE) + request.attempt
        return retry.call(
            proposer.llm,
            request,
            deadline_s=deadline_s,
            rng=generator(self.shop.seed, Stream.PROMPT, k),
            sleep=self._sleep,
            on_retry=self._warn_retry,
        )

    def _sleep(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self.shop.control.check()
            time.sleep(min(left, 0.5))

    def _warn_retry(self, number: int, error: LLMError, delay_s: float) -> None:
        text = f"node {self.node}: {error} (try {number}); trying again in {delay_s:.1f} s"
        self.shop.journal.append(Kind.WARNING, node=self.node, code="llm_retry", text=text)

    def _log_result(self, proposer: Proposer, request: Request, answer: Completion, error, latency_s: float) -> Record:
        usd = 0.0 if proposer.free else cost(answer.usage, proposer.price(answer.model))
        return self.shop.journal.append(
            Kind.LLM_RESULT,
            node=self.node,
            role=request.role,
            attempt=request.attempt,
            text=self.shop.journal.log.store(answer.text),
            usage=dataclasses.asdict(answer.usage),
            usd=usd,
            stop_reason=answer.stop_reason,
            model=answer.model,
            latency_s=latency_s,
            request_id=answer.request_id,
            error=None if error is None else {"kind": error.kind, "message": _advice(error)},
        )

    def _log_candidate(
        self, candidate: answers.Candidate | None = None, twin: Node | None = None, parse_error: str | None = None
    ) -> None:
        if self._candidate_logged:
            return
        journal = self.shop.journal
        files = candidate.files if candidate else {}
        for text in tripwires.scan(files, self.shop.brief.task.exclusive):
            journal.append(Kind.WARNING, node=self.node, code="tripwire", text=text)
        journal.append(
            Kind.CANDIDATE,
            node=self.node,
            plan=candidate.plan if candidate else "",
            files={path: journal.log.store(text) for path, text in files.items()},
            sha=candidate.sha if candidate else None,
            key=self._key(files) if candidate else None,
            edit_mode=self._edit_mode(candidate) if candidate else None,
            parse_error=parse_error,
            duplicate_of=twin.id if twin else None,
        )

    def _edit_mode(self, candidate: answers.Candidate) -> answers.EditMode:
        free = self.shop.proposers[self.action.operator].free
        return answers.EditMode.CONTROL if free else candidate.edit_mode

    def _judge(self, candidate: answers.Candidate, measured: Measurement) -> Outcome:
        self_reported = self.shop.evaluator.fitness is Fitness.SELF_REPORTED
        if not self_reported and not self.shop.analyze_llm:
            return self._concluded(measured.outcome(), candidate)
        by_rule = self.shop.proposers[Operator.ANALYZE].free
        analysis = self._read(measured) if by_rule else self._analyze(candidate, measured)
        outcome = measured.judged(analysis) if self_reported else measured.outcome()
        self._log_analysis("rule" if by_rule else "llm", outcome, analysis.summary, analysis.metric)
        return outcome

    def _read(self, measured: Measurement) -> operators.Analysis:
        """The verdict where no model can give one: the last number that the candidate printed behind the metric."""
        metric = self.shop.brief.task.metric
        value = printed_metric("".join(end["head"] + end["tail"] for end in measured.ends[:1]), metric)
        summary = f"printed {metric} {value:g}" if value is not None else f"printed no line `{metric}: <number>`"
        return operators.Analysis(is_bug=value is None, summary=summary, metric=value)

    def _analyze(self, candidate: answers.Candidate, measured: Measurement) -> operators.Analysis:
        failed = measured.outcome() if measured.last["status"] != "ok" else None
        told = next((end for end in measured.ends if end["phase"] == "candidate"), measured.last)
        end = told if failed is None else measured.last
        subject = dataclasses.replace(
            self._subject(candidate),
            head=end["head"],
            tail=end["tail"],
            failure_class=failed.failure_class if failed else None,
            message=failed.message if failed else "",
        )
        errors: list[str] = []
        for attempt in range(1 + ANALYZE_RETRIES):
            request = operators.analyze_request(
                self.shop.brief, self.view, subject, attempt=attempt, errors=tuple(errors)
            )
            result = self._call(request)
            if result["error"]:
                errors.append(result["error"]["message"])
                continue
            try:
                return operators.parse_analysis(self._text(result))
            except answers.AnswerError as problem:
                errors.append(str(problem))
        return operators.UNAVAILABLE

    def _concluded(self, outcome: Outcome, candidate: answers.Candidate | None = None) -> Outcome:
        """`outcome`, after a summary of it by rule went on record."""
        task = self.shop.brief.task
        subject = dataclasses.replace(
            self._subject(candidate),
            status=outcome.status,
            fitness=outcome.fitness,
            failure_class=outcome.failure_class,
            message=outcome.message,
        )
        parents = [self.view.nodes[id] for id in self.action.parents]
        summary = operators.rule_summary(subject, parents, metric=task.metric, lower_is_better=task.lower_is_better)
        self._log_analysis("rule", outcome, summary, None)
        return outcome

    def _log_analysis(self, source: str, outcome: Outcome, summary: str, metric: float | None) -> None:
        if self._progress.analysis is None:
            self.shop.journal.append(
                Kind.ANALYSIS,
                node=self.node,
                source=source,
                is_buggy=outcome.status is not NodeStatus.GOOD,
                summary=summary,
                reported_metric=metric,
            )

    def _subject(self, candidate: answers.Candidate | None) -> Node:
        """This node as far as it is known, built from the view and the record alone."""
        known = self.shop.journal.tree.nodes[self.node]
        files, plan = (candidate.files, candidate.plan) if candidate else ({}, "")
        return dataclasses.replace(known, files=files, plan=plan)

    def _proposer(self, request: Request) -> Proposer:
        return self.shop.proposers[request.operator]


def printed_metric(output: str, metric: str) -> float | None:
    """The last number printed as `<metric>: <number>`."""
    found = re.findall(rf"{re.escape(metric)}\s*[:=]\s*([-+]?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?)", output)
    return float(found[-1]) if found else None


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


def _asks_again(result: Record) -> bool:
    return bool(result["error"]) and result["error"]["kind"] in STOPPING


def _outcome_of(node: Node) -> Outcome:
    return Outcome(node.status, node.fitness, node.fitness_source, node.failure_class, node.message)
