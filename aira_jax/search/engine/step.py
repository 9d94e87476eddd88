"""One node of a search, from its request to its outcome: propose, parse, evaluate, analyze.

A step is straight-line code whose effects (calls, executions) are on record: run again after a crash, it takes from the
record what was done and does the rest. It sees the tree of its own view only, so its result does not depend on timing.
"""

import dataclasses
import functools
import math
import re
import time
from collections.abc import Callable, Mapping, Sequence

from aira_jax.core.failures import Failure
from aira_jax.core.operators import Operator
from aira_jax.llm.base import ErrorKind, Request
from aira_jax.sandbox import tripwires
from aira_jax.search.engine.calls import Calls
from aira_jax.search.engine.context import RunContext
from aira_jax.search.engine.evaluation import Measurement, Outcome, Recorded, duplicate
from aira_jax.search.log.events import Kind
from aira_jax.search.log.tree import Action, Node, NodeStatus, Progress, Tree
from aira_jax.search.operators import analysis, answers, requests
from aira_jax.search.operators.requests import Fitness, PromptContext
from aira_jax.search.settings import Dedupe

ANALYZE_RETRIES = 3
POLL_S = 0.05
_NUMBER = re.compile(r"([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)(?!\w|[.,]\d|\s*%)")


@dataclasses.dataclass(frozen=True)
class Failed:
    """No candidate came of the calls."""

    failure_class: str
    message: str


class Step:
    """Node `node` by `action`, in its view of the tree."""

    def __init__(self, context: RunContext, node: int, action: Action, view: Tree, progress: Progress):
        self.context, self.node, self.action, self.view = context, node, action, view
        self._progress = progress
        self._candidate_logged = progress.candidate is not None
        self.calls = Calls(context, node, view, progress)

    def run(self) -> Outcome:
        """The outcome to commit. Raises Cancelled or StopSearch when the node must stay open."""
        proposal = self._propose()
        if isinstance(proposal, Failed):
            self._log_candidate(parse_error=proposal.message)
            return self._concluded(Outcome(NodeStatus.FAILED, None, None, proposal.failure_class, proposal.message))
        twin = self._twin(proposal.files)
        reused = twin if self.context.dedupe is not Dedupe.RERUN else None
        ahead = () if reused else self._equal_ahead(proposal.files)
        self._log_candidate(proposal, twin.id if twin else next(iter(ahead), None))
        if proposal.syntax_error:
            return self._concluded(
                Outcome(NodeStatus.BUGGY, None, None, Failure.SYNTAX, proposal.syntax_error), proposal
            )
        if reused := reused or self._reusable(ahead):
            message = f"the same candidate as node {reused.id}, whose result is reused"
            return self._concluded(dataclasses.replace(_outcome_of(reused), message=message), proposal)
        recorded = Recorded(self._progress.ends)
        measured = self.context.evaluator.run(self.node, proposal.files, self.context.evaluator_seeds, recorded)
        outcome = self._judge(proposal, measured)
        if self.context.score_inline and outcome.status is NodeStatus.GOOD:
            files = {**proposal.files, **self.context.evaluator.exported_by(measured)}
            self.context.score_inline(dataclasses.replace(self._subject(proposal), files=files))
        return outcome

    @functools.cached_property
    def first(self) -> Request:
        """The first question of this node."""
        return self._build(self.context.prompts, 0, ())

    def _build(self, prompts: PromptContext, attempt: int, errors: Sequence[str]) -> Request:
        limits = self.view.limits
        wall = None
        if limits.wall_s:
            left = self.context.clock.left().wall_s or 0.0
            wall = max(0.0, min(1.0, left / limits.wall_s))
        steps = None if limits.steps is None else max(0, limits.steps - self.node)
        remaining = requests.Remaining(steps=steps, wall=wall)
        return requests.build_request(
            prompts, self.view, self.action, node=self.node, attempt=attempt, errors=errors, remaining=remaining
        )

    def _propose(self) -> answers.Candidate | Failed:
        prompts, errors, attempt, tries = self.context.prompts, [], 0, 0
        retries = self.context.proposers[self.action.operator].options.max_parse_retries
        parents = [self.view.nodes[id].files for id in self.action.parents]
        while tries <= retries:
            result = self.calls.make(self._build(prompts, attempt, errors) if attempt else self.first)
            attempt += 1
            error = result["error"]
            if error and error["kind"] == ErrorKind.CONTEXT_LENGTH and prompts.memory == self.context.prompts.memory:
                prompts = dataclasses.replace(prompts, memory=prompts.memory.halved())
                continue
            if error:
                return Failed(Failure.LLM, error["message"])
            tries += 1
            try:
                candidate = answers.parse(
                    self.calls.text(result),
                    parents,
                    self.context.prompts.task,
                    stop_reason=result["stop_reason"],
                    allow_edits=self.context.prompts.prompt.allow_edits,
                )
                self._refuse_twin(candidate)
                return candidate
            except answers.AnswerError as problem:
                errors.append(str(problem))
        return Failed(Failure.PARSE, errors[-1])

    def _refuse_twin(self, candidate: answers.Candidate) -> None:
        twin = self._twin(candidate.files) if self.context.dedupe is Dedupe.REJECT else None
        if twin is not None:
            raise answers.AnswerError(f"this candidate equals node {twin.id}; propose another one")

    def _twin(self, files: Mapping[str, str]) -> Node | None:
        return duplicate(self._key(files), self.view)

    def _equal_ahead(self, files: Mapping[str, str]) -> tuple[int, ...]:
        """The earlier nodes that this one must take for pending and that have the same candidate.

        Waits until all pending ones have a candidate, so that the answer does not depend on who is faster.
        """
        if self._candidate_logged and self._progress.candidate.get("duplicate_of") is None:
            return ()
        ahead = [node.id for node in self.view.pending]
        tree = self._await(lambda tree: all(id not in tree.progress or tree.progress[id].candidate for id in ahead))
        return tuple(id for id in ahead if tree.nodes[id].key == self._key(files))

    def _reusable(self, ahead: Sequence[int]) -> Node | None:
        """The first good one of equal nodes, once it is committed; None where this node must be evaluated after all."""
        for id in ahead:
            twin = self._await(lambda tree, id=id: not tree.nodes[id].pending).nodes[id]
            if twin.is_good and self.context.dedupe is not Dedupe.RERUN:
                return twin
        return None

    def _await(self, reached: Callable[[Tree], bool]) -> Tree:
        """The tree of the run once it is so far. Raises Cancelled."""
        while not reached(tree := self.context.journal.tree):
            self.context.control.check()
            time.sleep(POLL_S)
        return tree

    def _key(self, files: Mapping[str, str]) -> str:
        return self.context.prompts.task.canonical(files) or answers.candidate_sha(files)

    def _log_candidate(
        self, candidate: answers.Candidate | None = None, twin: int | None = None, parse_error: str | None = None
    ) -> None:
        if self._candidate_logged:
            return
        journal = self.context.journal
        files = candidate.files if candidate else {}
        for text in tripwires.scan(files, self.context.prompts.task.exclusive):
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
            duplicate_of=twin,
        )

    def _edit_mode(self, candidate: answers.Candidate) -> answers.EditMode:
        free = self.context.proposers[self.action.operator].free
        return answers.EditMode.CONTROL if free else candidate.edit_mode

    def _judge(self, candidate: answers.Candidate, measured: Measurement) -> Outcome:
        self_reported = self.context.evaluator.fitness is Fitness.SELF_REPORTED
        if not self_reported and not self.context.analyze_llm:
            return self._concluded(measured.outcome(self.context.prompts.signal), candidate)
        by_rule = self.context.proposers[Operator.ANALYZE].free
        verdict = self._read(measured) if by_rule else self._analyze(candidate, measured)
        outcome = measured.judged(verdict) if self_reported else measured.outcome(self.context.prompts.signal)
        self._log_analysis("rule" if by_rule else "llm", outcome, verdict.summary, verdict.metric)
        return outcome

    def _read(self, measured: Measurement) -> analysis.Analysis:
        """The verdict where no model can give one: the last number that the candidate printed behind the metric."""
        metric = self.context.prompts.task.metric
        output = "\n".join(text for end in measured.ends[:1] for text in (end["head"], end["tail"]))
        value = printed_metric(output, metric)
        summary = f"printed {metric} {value:g}" if value is not None else f"printed no line `{metric}: <number>`"
        return analysis.Analysis(is_bug=value is None, summary=summary, metric=value)

    def _analyze(self, candidate: answers.Candidate, measured: Measurement) -> analysis.Analysis:
        failed = measured.outcome(self.context.prompts.signal) if measured.last["status"] != "ok" else None
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
            request = requests.analyze_request(
                self.context.prompts, self.view, subject, attempt=attempt, errors=tuple(errors)
            )
            result = self.calls.make(request)
            if result["error"]:
                errors.append(result["error"]["message"])
                continue
            try:
                return analysis.parse_analysis(self.calls.text(result))
            except answers.AnswerError as problem:
                errors.append(str(problem))
        return analysis.UNAVAILABLE

    def _concluded(self, outcome: Outcome, candidate: answers.Candidate | None = None) -> Outcome:
        """`outcome`, after a summary of it by rule went on record."""
        prompts = self.context.prompts
        subject = dataclasses.replace(
            self._subject(candidate),
            status=outcome.status,
            fitness=outcome.fitness,
            signal=outcome.signal,
            failure_class=outcome.failure_class,
            message=outcome.message,
        )
        parents = [self.view.nodes[id] for id in self.action.parents]
        summary = analysis.rule_summary(subject, parents, metric=prompts.steering, lower_is_better=prompts.lower_steers)
        self._log_analysis("rule", outcome, summary, None)
        return outcome

    def _log_analysis(self, source: str, outcome: Outcome, summary: str, metric: float | None) -> None:
        if self._progress.analysis is None:
            self.context.journal.append(
                Kind.ANALYSIS,
                node=self.node,
                source=source,
                is_buggy=outcome.status is not NodeStatus.GOOD,
                summary=summary,
                reported_metric=metric,
            )

    def _subject(self, candidate: answers.Candidate | None) -> Node:
        """This node as far as it is known, built from the view and the record alone."""
        known = self.context.journal.tree.nodes[self.node]
        files, plan = (candidate.files, candidate.plan) if candidate else ({}, "")
        return dataclasses.replace(known, files=files, plan=plan)


def printed_metric(output: str, metric: str) -> float | None:
    """The number of the last line `<metric>: <number>`, which may begin with `validation`.

    None where that line holds no finite number, or a percentage, whatever earlier lines say.
    """
    lines = re.findall(rf"^[ \t]*(?:validation[ \t]+)?{re.escape(metric)}[ \t]*[:=][ \t]*(.*)$", output, re.MULTILINE)
    number = _NUMBER.match(lines[-1]) if lines else None
    return float(number[1]) if number and math.isfinite(float(number[1])) else None


def _outcome_of(node: Node) -> Outcome:
    return Outcome(node.status, node.fitness, node.fitness_source, node.failure_class, node.message, node.signal)
