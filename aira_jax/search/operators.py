"""Draft, improve, debug, crossover, analyze: from a place in the tree to a request, and from an answer to a verdict."""

import dataclasses
import enum
from collections.abc import Mapping, Sequence
from typing import Protocol

from aira_jax.llm.base import Operator, Request, Sampling
from aira_jax.search.memory import MemoryKind
from aira_jax.search.tree import Action, Node


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
        """For one more try after a prompt that was longer than the model's context."""
        raise NotImplementedError


@dataclasses.dataclass(frozen=True)
class CallOptions:
    """How one operator calls its model."""

    max_tokens: int = 16_000
    sampling: Sampling = Sampling()
    extra: Mapping[str, object] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Compute:
    """The machine as the prompt describes it. `packages` are "name version" lines, sorted (see installed_packages)."""

    devices: str  # for example "1 x NVIDIA H200 (141 GB)" or "CPU only"
    cpus: int
    ram_gb: float
    packages: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Remaining:
    """What is left of the budget: steps, and the wall-clock as a fraction of its limit. None = unlimited."""

    steps: int | None = None
    wall: float | None = None


@dataclasses.dataclass(frozen=True)
class Brief:
    """What all prompts of a run share. `task` is an aira_jax.tasks.loader.Task; nothing here may hold a test score."""

    task: "object"
    seed: int
    profile: str
    fitness: Fitness
    compute: Compute
    data_overview: str
    prompt: PromptOptions = PromptOptions()
    memory: MemoryOptions = MemoryOptions()
    calls: Mapping[Operator, CallOptions] = dataclasses.field(default_factory=dict)  # absent operator: CallOptions()


class View(Protocol):
    """The tree as an action may see it (aira_jax.search.tree.Tree): nodes in id order, pending ones included."""

    nodes: Sequence[Node]


@dataclasses.dataclass(frozen=True)
class Analysis:
    """The verdict on an execution. `metric` is the number that the candidate printed (self-reported fitness only)."""

    is_bug: bool
    summary: str
    metric: float | None


UNAVAILABLE = Analysis(is_bug=True, summary="analysis unavailable", metric=None)


def installed_packages() -> tuple[str, ...]:
    """ "name version" of every distribution that this interpreter can import, sorted without regard to case."""
    raise NotImplementedError


def build_request(
    brief: Brief,
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
    """
    raise NotImplementedError


def analyze_request(
    brief: Brief, view: View, subject: Node, *, attempt: int = 0, errors: Sequence[str] = ()
) -> Request:
    """The request that judges the execution of `subject`: a node with files, head, tail, failure_class and message
    filled in, status still None. Its id is the request's node, its role Role.ANALYZE."""
    raise NotImplementedError


def parse_analysis(text: str) -> Analysis:
    """Reads `{"is_bug": bool, "summary": str, "metric": number or null}`, bare or in a fence, after optional thinking.

    Raises AnswerError with a message for the model; after config.llm.max_parse_retries the caller takes UNAVAILABLE.
    """
    raise NotImplementedError


def rule_summary(subject: Node, parents: Sequence[Node], *, metric: str, lower_is_better: bool) -> str:
    """The summary of a node without a model: failure class and last traceback line, or metric and change to parent.

    `subject` has its final status, fitness, failure_class, message and output.
    """
    raise NotImplementedError
