"""What the search asks of a proposer and what it gets back: one protocol for language models, controls and replay."""

import dataclasses
import enum
import hashlib
from collections.abc import Mapping
from typing import Any, Protocol

from aira_jax.core.operators import Operator


class Role(enum.StrEnum):
    """Who speaks within a node: the proposer of the candidate, or the analyst of its outcome."""

    PROPOSE = "propose"
    ANALYZE = "analyze"


class ErrorKind(enum.StrEnum):
    AUTH = "auth"
    RATE_LIMIT = "rate_limit"
    OVERLOADED = "overloaded"
    TIMEOUT = "timeout"
    CONTEXT_LENGTH = "context_length"
    REFUSED = "refused"
    BAD_REQUEST = "bad_request"
    MALFORMED = "malformed"
    EXHAUSTED = "exhausted"


class LLMError(Exception):
    """A call that gave no answer.

    `fix` tells the user what to do; `retry_after_s` is the server's own wish; `usage` is what the call was billed all
    the same (a refused or a cut answer), zero if nothing is known.
    """

    def __init__(
        self,
        kind: ErrorKind,
        message: str,
        *,
        retryable: bool = False,
        fix: str = "",
        retry_after_s: float | None = None,
        usage: "Usage | None" = None,
        request_id: str | None = None,
    ):
        super().__init__(message)
        self.kind, self.retryable, self.fix, self.retry_after_s = kind, retryable, fix, retry_after_s
        self.usage, self.request_id = usage or Usage(), request_id


@dataclasses.dataclass(frozen=True)
class Usage:
    """Tokens of one call. `input` leaves out what was read from or written to a cache; all are counted once.

    `reasoning` is the part of `output` that was spent on thinking (informative). `estimated` marks counts made from
    characters because the server sent none.
    """

    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write_5m: int = 0
    cache_write_1h: int = 0
    reasoning: int = 0
    estimated: bool = False

    @property
    def tokens(self) -> int:
        return self.input + self.output + self.cache_read + self.cache_write_5m + self.cache_write_1h

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            input=self.input + other.input,
            output=self.output + other.output,
            cache_read=self.cache_read + other.cache_read,
            cache_write_5m=self.cache_write_5m + other.cache_write_5m,
            cache_write_1h=self.cache_write_1h + other.cache_write_1h,
            reasoning=self.reasoning + other.reasoning,
            estimated=self.estimated or other.estimated,
        )


class Space(Protocol):
    """A task's `space.py`: how a control proposer moves through the candidates. Files are {relative path: text}.

    A space of patterns also names its aira_jax.tasks.compose.space.PatternSpace as SPACE; other controls search that.
    """

    def sample(self, rng) -> dict[str, str]: ...

    def mutate(self, files: Mapping[str, str], rng) -> dict[str, str]: ...

    def crossover(self, a: Mapping[str, str], b: Mapping[str, str], rng) -> dict[str, str]: ...


@dataclasses.dataclass(frozen=True)
class Evaluated:
    """A candidate as a proposer may see it: its node, its files, and its fitness (None when it has none)."""

    node: int
    files: Mapping[str, str]
    fitness: float | None


@dataclasses.dataclass(frozen=True)
class Context:
    """The request in structured form, for backends that do not read prose."""

    task: str
    seed: int
    lower_is_better: bool
    space: Space | None = None
    parents: tuple[Evaluated, ...] = ()
    history: tuple[Evaluated, ...] = ()  # every good node in view, in id order
    tried: tuple[Evaluated, ...] = ()  # every committed node in view that has files, good or not, in id order
    pending: Mapping[int, tuple[int, ...]] = dataclasses.field(default_factory=dict)
    # earlier nodes whose outcome is not in view, each with the nodes whose outcomes it saw


@dataclasses.dataclass(frozen=True)
class Sampling:
    """Sampling parameters; None is not sent, because newer models reject what they do not know."""

    temperature: float | None = None
    top_p: float | None = None


@dataclasses.dataclass(frozen=True)
class Request:
    """One question. `system` is static and cacheable, `user` volatile; `attempt` counts from 0 within node and role.

    `timeout_s` bounds the call (None: the backend's own deadline); it is no part of the question.
    """

    operator: Operator
    node: int
    role: Role
    attempt: int
    system: str
    user: str
    max_tokens: int
    context: Context
    sampling: Sampling = Sampling()
    extra: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    timeout_s: float | None = None

    @property
    def prompt(self) -> str:
        """The whole prompt as one text, in the order in which the model reads it: what a run keeps as a blob."""
        return f"{self.system}\n\n{self.user}"

    @property
    def prompt_sha(self) -> str:
        """sha256 of `prompt` as UTF-8, which is also the name of its blob."""
        return hashlib.sha256(self.prompt.encode("utf-8", "replace")).hexdigest()


@dataclasses.dataclass(frozen=True)
class Completion:
    """An answer. `stop_reason` is "end_turn" when it is whole, "max_tokens" when it was cut, else the server's word."""

    text: str
    stop_reason: str
    usage: Usage
    model: str
    request_id: str | None = None
    latency_s: float = 0.0


class LLM(Protocol):
    """A proposer. `complete` makes exactly one call and raises LLMError; retrying is the harness's business."""

    backend: str
    model: str

    def complete(self, request: Request) -> Completion: ...
