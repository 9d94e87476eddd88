"""What all steps of a run share: who proposes, who evaluates, where it is written down."""

import dataclasses
import threading
from collections.abc import Callable, Mapping

from aira_jax import llm as llms
from aira_jax.core.operators import Operator
from aira_jax.llm import Options
from aira_jax.llm.base import LLM
from aira_jax.search.engine.budget import Price, price
from aira_jax.search.engine.evaluation import Evaluator
from aira_jax.search.engine.executions import Clock
from aira_jax.search.log.journal import Control, Journal
from aira_jax.search.log.tree import Node
from aira_jax.search.operators.requests import PromptContext
from aira_jax.search.settings import Dedupe


@dataclasses.dataclass(frozen=True)
class Proposer:
    """A backend with the options of one operator."""

    llm: LLM
    options: Options

    @property
    def free(self) -> bool:
        return llms.is_control(self.options.backend)

    def price(self, model: str = "") -> Price | None:
        return price(model, self.options.prices) or price(self.options.model, self.options.prices)


@dataclasses.dataclass(frozen=True)
class RunContext:
    """What all steps of a run share. `gate` bounds the calls in flight; `score_inline` scores a good node on test."""

    seed: int
    prompts: PromptContext
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
