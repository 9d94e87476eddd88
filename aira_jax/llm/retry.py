"""The harness's own back-off around one call of a proposer; the retries of SDKs are switched off."""

import dataclasses
import time
from collections.abc import Callable

import numpy as np

from aira_jax.llm.base import LLM, Completion, ErrorKind, LLMError, Request, Usage

TRIES = 8
FIRST_S, CAP_S = 2.0, 60.0


def call(
    llm: LLM,
    request: Request,
    *,
    deadline_s: float,
    rng: np.random.Generator,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
    on_retry: Callable[[int, LLMError, float], None] | None = None,
    may_retry: Callable[[Usage], bool] = lambda spent: True,
) -> Completion:
    """Calls until an answer, an error that no retry can mend, 8 tries, or `deadline_s` seconds from now.

    Waits 2 s x 2^i (at most 60 s) times a jitter in [0.5, 1) drawn from `rng`, or at least what the server's
    retry-after asks for. A wait that would pass the deadline is not begun. `on_retry(try, error, delay_s)` is told
    before each wait. The usage of failed tries is added to what is returned or raised. Raises the last LLMError.
    `may_retry(spent)` is asked before each further try. Another exception becomes an LLMError of kind
    BAD_REQUEST.
    `rng` shifts waits only, never a decision.
    """
    end = clock() + deadline_s
    spent = Usage()
    for i in range(TRIES):
        left = end - clock()
        timeout = left if request.timeout_s is None else min(left, request.timeout_s)
        try:
            completion = _complete(llm, dataclasses.replace(request, timeout_s=timeout))
            return dataclasses.replace(completion, usage=spent + completion.usage)
        except LLMError as error:
            spent = error.usage = spent + error.usage
            delay = _delay(i, error, rng)
            if not error.retryable or i == TRIES - 1 or clock() + delay >= end or not may_retry(spent):
                raise
            if on_retry is not None:
                on_retry(i, error, delay)
        sleep(delay)
    raise AssertionError("the loop returns or raises")


def _complete(llm: LLM, request: Request) -> Completion:
    try:
        return llm.complete(request)
    except LLMError:
        raise
    except Exception as error:
        problem = f"{llm.backend} failed: {type(error).__name__}"  # its text may hold a key
        raise LLMError(ErrorKind.BAD_REQUEST, problem, fix="check config.llm") from error


def _delay(i: int, error: LLMError, rng: np.random.Generator) -> float:
    """Seconds to wait after try `i`."""
    backoff = min(CAP_S, FIRST_S * 2**i) * (0.5 + 0.5 * rng.random())
    return backoff if error.retry_after_s is None else max(error.retry_after_s, 0.0)
