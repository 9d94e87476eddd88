"""Proposers: one protocol, language models, controls without a model, and replay of recorded answers."""

import dataclasses
from collections.abc import Mapping

from aira_jax.llm.base import LLM, Operator

BACKENDS = ("anthropic", "openai_compat", "control.random", "control.evolution", "replay")


@dataclasses.dataclass(frozen=True)
class Options:
    """config.llm, resolved for one operator."""

    backend: str = "control.random"
    model: str = ""
    base_url: str = ""
    key_env: str = ""  # "" = the backend's usual variable
    max_tokens: int = 16_000
    temperature: float | None = None
    top_p: float | None = None
    extra: Mapping[str, object] = dataclasses.field(default_factory=dict)
    max_parse_retries: int = 3
    deadline_s: float = 1800.0
    prices: Mapping[str, object] = dataclasses.field(default_factory=dict)
    path: str = ""  # replay: the JSONL file
    check_prompt: bool = False  # replay: a prompt that differs from the recorded one is an error
    max_tokens_field: str = "max_tokens"  # openai_compat: or "max_completion_tokens"


def options(config: Mapping[str, object], operator: Operator | None = None) -> Options:
    """`config` (config.llm, a mapping or ConfigDict) with the overrides under config.llm.<operator> laid on top.

    Raises ValueError for an unknown key or backend, naming the nearest match and the valid list.
    """
    raise NotImplementedError


def make(opts: Options, *, workers: int = 1, replay_cursor=()) -> LLM:
    """The proposer that `opts` names. `replay_cursor`: the (node, operator, attempt) keys whose llm_result is logged
    already, in any order; the replay backend goes on behind them.

    Raises ValueError for bad options (unknown backend, damaged replay file with its line, workers > 1 with a replay
    file without keys). A missing API key is no error here: the first call raises LLMError(ErrorKind.AUTH).
    """
    raise NotImplementedError
