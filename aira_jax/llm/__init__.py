"""Proposers: one protocol, language models, controls without a model, and replay of recorded answers."""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

from aira_jax.core import choices
from aira_jax.core.operators import Operator
from aira_jax.llm.base import LLM

CONTROLS = (
    "control.random",
    "control.evolution",
    "control.mutate",
    "control.bo",
    "control.end_incremental",
    "control.middle_incremental",
    "control.exhaustive",
)
BACKENDS = ("anthropic", "openai_compat", *CONTROLS, "replay")
OUTSIDE = "control.PATH.py:FUNCTION"
PROPOSERS = (Operator.DRAFT, Operator.IMPROVE, Operator.DEBUG, Operator.CROSSOVER, Operator.ANALYZE)


@dataclasses.dataclass(frozen=True)
class Options:
    """config.llm, resolved for one operator."""

    backend: str = "control.random"
    model: str = ""
    base_url: str = ""  # anthropic: "" = ANTHROPIC_BASE_URL, else the official service
    key_env: str = ""  # "" = ANTHROPIC_API_KEY for anthropic, no key for openai_compat
    max_tokens: int = 16_000
    temperature: float | None = None
    top_p: float | None = None
    extra: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    max_parse_retries: int = 3
    deadline_s: float = 1800.0
    prices: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    path: str = ""  # replay: the JSONL file
    check_prompt: bool = False  # replay: a prompt that differs from the recorded one is an error
    max_tokens_field: str = "max_tokens"  # openai_compat: or "max_completion_tokens"
    layers: int = 0  # control: layers of a pattern, 0 = as many as the task has (Compose tasks)
    per_round: int = 4  # control.*_incremental: layers searched at a time
    trials: int = 100  # control.*_incremental: evaluations over all rounds
    force: bool = False  # control.exhaustive: also more than 729 patterns
    initial: int = 8  # control.bo: distinct uniform draws before its model proposes; fewer than the budget's steps


FIELDS = tuple(field.name for field in dataclasses.fields(Options))


def options(config: Mapping[str, Any], operator: Operator | None = None) -> Options:
    """`config` (config.llm, a mapping or ConfigDict) with the overrides under config.llm.<operator> laid on top.

    A None in an override leaves the common value. Raises ValueError for an unknown key or backend or a bad value,
    naming the nearest match and what is valid.
    """
    common = {key: value for key, value in config.items() if key not in PROPOSERS}
    override = (config.get(str(operator)) if operator else None) or {}
    merged = common | {key: value for key, value in override.items() if value is not None}
    for key in merged:
        if key not in FIELDS:
            raise ValueError(choices.refusal(f"config.llm.{key} is no option", key, FIELDS))
    opts = Options(**merged)
    _check(opts)
    return opts


def is_control(backend: str) -> bool:
    """Whether a backend proposes without a model, and so for nothing."""
    return backend.startswith("control.")


def short(backend: str) -> str:
    """What a run calls a backend: control.f for the function f of a control from outside."""
    return f"control.{backend.rpartition(':')[2]}" if is_control(backend) and ":" in backend else backend


def _check(opts: Options) -> None:
    if short(opts.backend) == opts.backend:
        choices.among("config.llm.backend", opts.backend, (*BACKENDS, OUTSIDE))
    if opts.max_tokens < 1:
        raise ValueError(f"config.llm.max_tokens={opts.max_tokens} must be at least 1")
    if opts.max_parse_retries < 0:
        raise ValueError(f"config.llm.max_parse_retries={opts.max_parse_retries} must not be negative")
    if not opts.deadline_s > 0:
        raise ValueError(f"config.llm.deadline_s={opts.deadline_s} must be positive")
    for name, least in (("layers", 0), ("per_round", 1), ("trials", 1), ("initial", 2)):
        if getattr(opts, name) < least:
            raise ValueError(f"config.llm.{name}={getattr(opts, name)} must be at least {least}")
    if opts.temperature is not None and opts.temperature < 0:
        raise ValueError(f"config.llm.temperature={opts.temperature} must not be negative")
    if opts.top_p is not None and not 0 < opts.top_p <= 1:
        raise ValueError(f"config.llm.top_p={opts.top_p} must lie in (0, 1]")
    if opts.backend == "anthropic" and opts.temperature is not None and opts.top_p is not None:
        raise ValueError("config.llm: Anthropic models take temperature or top_p, not both; set one of them to None")
    fields = ("max_tokens", "max_completion_tokens")
    choices.among("config.llm.max_tokens_field", opts.max_tokens_field, fields)


def make(opts: Options, *, workers: int = 1, replay_cursor: Iterable[tuple[int, str, int]] = ()) -> LLM:
    """The proposer that `opts` names. `replay_cursor`: the (node, operator, attempt) keys whose llm_result is logged
    already, in any order; the replay backend goes on behind them.

    Raises ValueError for bad options (no model, damaged replay file with its line, workers > 1 with a replay file
    without keys). A missing API key is no error here: the first call raises LLMError(ErrorKind.AUTH).
    """
    _check(opts)
    match opts.backend:
        case "anthropic":
            from aira_jax.llm.anthropic import Anthropic

            return Anthropic(opts)
        case "openai_compat":
            from aira_jax.llm.openai_compat import OpenAICompat

            return OpenAICompat(opts)
        case "replay":
            from aira_jax.llm.replay import Replay

            return Replay(opts, workers=workers, cursor=replay_cursor)
        case _:
            from aira_jax.llm.control import Control

            return Control(opts)
