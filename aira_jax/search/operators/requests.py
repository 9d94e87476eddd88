"""Draft, improve, debug, crossover, analyze: from a place in the tree to a request, and from an answer to a verdict."""

import dataclasses
import enum
import importlib.metadata
import math
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from aira_jax.core.operators import Operator
from aira_jax.llm.base import Context, Evaluated, Request, Role, Sampling, Space
from aira_jax.proxies.fidelity import Signal
from aira_jax.search.log.tree import Action, Node
from aira_jax.search.operators import memory, prompts
from aira_jax.search.operators.memory import MemoryKind
from aira_jax.search.operators.prompts import Complexity, document, section

MAX_TOKENS, MAX_TOKENS_LARGE, LARGE_ARTIFACT_BYTES = 16_000, 32_000, 20_000
HALF_OF_UNBOUNDED = 12_000


class Fitness(enum.StrEnum):
    """Who measures: the task's own evaluator, or the candidate's printed word (the protocol of the paper)."""

    EVALUATOR = "evaluator"
    SELF_REPORTED = "self_reported"


@dataclasses.dataclass(frozen=True)
class PromptOptions:
    """config.prompt."""

    show_budget: bool = True
    complexity: bool = False
    allow_edits: bool = True


@dataclasses.dataclass(frozen=True)
class MemoryOptions:
    """config.memory. `max_chars` 0 means no bound."""

    draft: MemoryKind = MemoryKind.SIMPLE
    improve: MemoryKind = MemoryKind.SIMPLE
    debug: MemoryKind = MemoryKind.ANCESTRAL
    crossover: MemoryKind = MemoryKind.LINEAGE
    max_chars: int = 24_000

    def halved(self) -> "MemoryOptions":
        """For one more try after a prompt that was longer than the model's context; no bound becomes 12,000."""
        bound = max(1, self.max_chars // 2) if self.max_chars else HALF_OF_UNBOUNDED
        return dataclasses.replace(self, max_chars=bound)


@dataclasses.dataclass(frozen=True)
class CallOptions:
    """How one operator calls its model. The default `max_tokens` doubles for artifacts above 20 kB."""

    max_tokens: int = MAX_TOKENS
    sampling: Sampling = Sampling()
    extra: Mapping[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Compute:
    """The machine as the prompt describes it. `packages` are "name version", sorted (see installed_packages)."""

    devices: str  # for example "1 x NVIDIA H200, 141 GB each" or "no accelerator"
    cpus: int
    ram_gb: float
    packages: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Remaining:
    """What is left of the budget: steps, and the wall-clock as a fraction of its limit. None = unlimited."""

    steps: int | None = None
    wall: float | None = None


class Task(Protocol):
    """The part of aira_jax.tasks.task.Task that prompts tell of."""

    name: str
    metric: str
    lower_is_better: bool
    optimum: float | None
    artifact: str
    editable: Sequence[str]
    starter: Mapping[str, str]
    executes_candidate: bool
    entry: str | None
    profiles: Mapping[str, Mapping[str, Any]]
    limits: Any
    description: str
    interface: str
    space: Space | None


@dataclasses.dataclass(frozen=True)
class PromptContext:
    """What all prompts of a run share. Nothing here may hold a test score.

    `version` is that of the run's start. From 2 on, prompts tell earlier patterns and the score of every problem, and
    packages only where candidates are code.
    """

    task: Task
    seed: int
    profile: str
    fitness: Fitness
    compute: Compute
    data_overview: str
    prompt: PromptOptions = PromptOptions()
    memory: MemoryOptions = MemoryOptions()
    calls: Mapping[Operator, CallOptions] = dataclasses.field(default_factory=dict)  # absent operator: CallOptions()
    version: int = prompts.PROMPT_VERSION
    signal: Signal = Signal.METRIC

    @property
    def lower_steers(self) -> bool:
        """Whether less of what steers the search is better; losses always are."""
        return self.signal is not Signal.METRIC or self.task.lower_is_better

    @property
    def steering(self) -> str:
        """What steers the search, by name."""
        return self.task.metric if self.signal is Signal.METRIC else f"signal ({self.signal})"


class View(Protocol):
    """The tree as an action may see it (aira_jax.search.log.tree.Tree): nodes in id order, pending ones included."""

    nodes: Sequence[Node]


def installed_packages() -> tuple[str, ...]:
    """ "name version" of every distribution that this interpreter can import, sorted without regard to case."""
    found = {f"{dist.name} {dist.version}" for dist in importlib.metadata.distributions()}
    return tuple(sorted(found, key=lambda line: (line.lower(), line)))


def build_request(
    shared: PromptContext,
    view: View,
    action: Action,
    *,
    node: int,
    attempt: int = 0,
    errors: Sequence[str] = (),
    remaining: Remaining = Remaining(),
) -> Request:
    """The request that proposes the candidate of `node` (draft, improve, debug, crossover).

    Only nodes of `view` with an id below `node` are used, and of those only what the search knows. `errors` are the
    messages of the AnswerErrors of attempts 0 .. attempt-1. Pure: no clock, no environment, no random draw.

    The system text is the same for all four operators and for the whole run, so that a provider's cache can keep it;
    what changes from call to call stands at the end of the user text.
    """
    seen = tuple(view.nodes[:node])
    parents = [seen[id] for id in action.parents]
    sections = [
        section("step", prompts.INSTRUCTIONS[action.operator]),
        section("earlier_designs", _memory(shared, seen, action)),
        *_parents(shared, action.operator, parents),
        section("ambition", _ambition(shared, view, action, node)),
        section("budget", _budget(shared, remaining)),
        section("once_more", prompts.retry(errors)),
    ]
    return _request(shared, action.operator, Role.PROPOSE, node, attempt, _system(shared), sections, seen, parents)


def analyze_request(
    shared: PromptContext, view: View, subject: Node, *, attempt: int = 0, errors: Sequence[str] = ()
) -> Request:
    """The request that judges the execution of `subject`: a node with files, head, tail, failure_class and message
    filled in, status still None. Its id is the request's node, its role Role.ANALYZE."""
    system = document([prompts.ANALYST, *_about_task(shared), section("answer_format", _verdict_format(shared))])
    sections = [
        section("step", prompts.INSTRUCTIONS[Operator.ANALYZE]),
        section("candidate_files", prompts.files(subject.files)),
        section("failure_report", _failure(subject)),
        section("output", _output(subject)),
        section("once_more", prompts.retry(errors)),
    ]
    seen = tuple(view.nodes[: subject.id])
    parents = [seen[id] for id in subject.parents]
    return _request(shared, Operator.ANALYZE, Role.ANALYZE, subject.id, attempt, system, sections, seen, parents)


def _request(
    shared: PromptContext,
    operator: Operator,
    role: Role,
    node: int,
    attempt: int,
    system: str,
    sections: Sequence[str],
    seen: Sequence[Node],
    parents: Sequence[Node],
) -> Request:
    call = shared.calls.get(operator, CallOptions())
    context = Context(
        task=shared.task.name,
        seed=shared.seed,
        lower_is_better=shared.lower_steers,
        space=shared.task.space,
        parents=tuple(Evaluated(n.id, n.files, n.steering) for n in parents),
        history=tuple(Evaluated(n.id, n.files, n.steering) for n in seen if n.is_good),
        tried=tuple(Evaluated(n.id, n.files, n.steering) for n in seen if n.files and not n.pending),
        pending={n.id: n.saw for n in seen if n.pending},
    )
    return Request(
        operator=operator,
        node=node,
        role=role,
        attempt=attempt,
        system=system,
        user=document(sections),
        max_tokens=_max_tokens(call, parents[0].files if parents else shared.task.starter, role),
        context=context,
        sampling=call.sampling,
        extra=call.extra,
    )


def _max_tokens(call: CallOptions, files: Mapping[str, str], role: Role) -> int:
    large = role is Role.PROPOSE and any(len(text.encode()) > LARGE_ARTIFACT_BYTES for text in files.values())
    return MAX_TOKENS_LARGE if large and call.max_tokens == MAX_TOKENS else call.max_tokens


def _system(shared: PromptContext) -> str:
    task, machine = shared.task, shared.compute
    compute = f"{machine.devices}; {machine.cpus} CPU cores; {machine.ram_gb:.0f} GB of memory."
    packages = ", ".join(sorted(machine.packages, key=lambda line: (line.lower(), line)))
    imports = task.executes_candidate or shared.version < 2
    installed = f"\nInstalled packages: {packages or 'none listed'}." if imports else ""
    return document(
        [
            prompts.ROLE,
            section("rules", prompts.RULES + prompts.IMPORTS * imports),
            *_about_task(shared),
            section("starter_files", prompts.files(task.starter) if task.starter else ""),
            section("compute", compute + installed),
            section("data", shared.data_overview),
            section("answer_format", prompts.answer_format(task.artifact, edits=shared.prompt.allow_edits)),
        ]
    )


def _about_task(shared: PromptContext) -> list[str]:
    return [
        section("task", shared.task.description),
        section("fitness", _measured(shared)),
        section("artifact", _contract(shared)),
    ]


def _measured(shared: PromptContext) -> str:
    task = shared.task
    direction = "lower" if task.lower_is_better else "higher"
    best = f" The optimum is {task.optimum:g}." if task.optimum is not None and math.isfinite(task.optimum) else ""
    if shared.fitness is Fitness.SELF_REPORTED:
        who = prompts.SELF_REPORTED.format(entry=task.entry, metric=task.metric, artifact=task.artifact)
    else:
        who = prompts.CODE_IS_TRAINED if task.executes_candidate else prompts.DATA_IS_TRAINED
    protocol = ", ".join(f"{key}={value}" for key, value in sorted(task.profiles.get(shared.profile, {}).items()))
    profile = f"Profile {shared.profile}{f': {protocol}' if protocol else ''}."
    metric = f"Metric: {task.metric}, {direction} is better.{best}"
    steered = "" if shared.signal is Signal.METRIC else f"\n{prompts.SIGNALS[shared.signal]}"
    return f"{metric}{steered}\n{who}\n{profile}"


def _contract(shared: PromptContext) -> str:
    task = shared.task
    limits = dataclasses.asdict(task.limits) if dataclasses.is_dataclass(task.limits) else dict(task.limits)
    bounds = ", ".join(f"{name} {value:g}" for name, value in sorted(limits.items()) if value is not None)
    writable = list(dict.fromkeys([task.artifact, *task.editable]))
    lines = [
        f"Artifact: {task.artifact}",
        f"You may write: {', '.join(writable)}",
        "Read-only: everything else, the folder data/ included",
        f"Limits of one evaluation: {bounds or 'none beyond the budget'}",
    ]
    return "\n".join(lines) + f"\n\n{task.interface}"


def _verdict_format(shared: PromptContext) -> str:
    return prompts.analysis_format(shared.task.metric, self_reported=shared.fitness is Fitness.SELF_REPORTED)


def _memory(shared: PromptContext, seen: Sequence[Node], action: Action) -> str:
    kind = MemoryKind(getattr(shared.memory, action.operator))
    bound, lower = shared.memory.max_chars, shared.lower_steers
    designs = shared.version >= 2
    return memory.select(kind, seen, action.parents, max_chars=bound, lower_is_better=lower, designs=designs)


def _parents(shared: PromptContext, operator: Operator, parents: Sequence[Node]) -> list[str]:
    tags = ("parent_a", "parent_b") if len(parents) == 2 else ("parent",)[: len(parents)]
    sections = []
    for tag, parent in zip(tags, parents, strict=True):
        fitness = "none" if parent.fitness is None else f"{parent.fitness:.6g}"
        signal = "" if parent.signal is None else f" {shared.steering}: {parent.signal:.6g}."
        about = f"Node {parent.id}. {shared.task.metric} on validation: {fitness}.{signal}"
        scores = memory.problems(parent, shared.task.lower_is_better) if shared.version >= 2 else ""
        told = "\n".join(filter(None, [about, scores, parent.summary]))
        sections += [section(tag, told), section(f"{tag}_files", prompts.files(parent.files))]
        if operator is Operator.DEBUG:
            sections.append(section(f"{tag}_failure_report", _failure(parent)))
        sections.append(section(f"{tag}_output", _output(parent)))
    return sections


def _failure(node: Node) -> str:
    if node.failure_class is None:
        return ""
    return f"Class: {node.failure_class}\n{node.message}"


def _output(node: Node) -> str:
    output = prompts.output(node.head, node.tail)
    return prompts.fenced(output) if output.strip() else "(none)"


def complexity(view: View, action: Action, node: int) -> Complexity:
    """The hint for `node`, by the number of earlier children of its parent (of earlier drafts for a draft)."""
    earlier = view.nodes[:node]
    if action.parents:
        tries = sum(action.parents[0] in other.parents for other in earlier)
    else:
        tries = sum(other.operator is Operator.DRAFT for other in earlier)
    return Complexity.SIMPLE if tries < 2 else Complexity.NORMAL if tries < 4 else Complexity.COMPLEX


def _ambition(shared: PromptContext, view: View, action: Action, node: int) -> str:
    if not shared.prompt.complexity or action.operator not in (Operator.DRAFT, Operator.IMPROVE):
        return ""
    return prompts.COMPLEXITY[complexity(view, action, node)]


def _budget(shared: PromptContext, remaining: Remaining) -> str:
    return prompts.budget(remaining.steps, remaining.wall) if shared.prompt.show_budget else ""
