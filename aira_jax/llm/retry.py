"""The harness's own back-off around one call of a proposer; the retries of SDKs are switched off."""

import time
from collections.abc import Callable

import numpy as np

from aira_jax.llm.base import LLM, Completion, LLMError, Request

TRIES = 8


def call(
    llm: LLM,
    request: Request,
    *,
    deadline_s: float,
    rng: np.random.Generator,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
    on_retry: Callable[[int, LLMError, float], None] | None = None,
) -> Completion:
    """Calls until an answer, an error that no retry can mend, 8 tries, or `deadline_s` seconds from now.

    Waits 2 s x 2^i (at most 60 s) with jitter drawn from `rng`, or what the server's retry-after asks for.
    `on_retry(try, error, delay_s)` is told before each wait. The usage of failed tries is added to what is returned
    or raised. Raises the last LLMError. `rng` shifts waits only, never a decision.
    """
    raise NotImplementedError
