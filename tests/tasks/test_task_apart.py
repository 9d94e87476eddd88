"""A scoring in a process of its own: what it answers, and the names of its ends."""

import math
import os
import pickle
import signal
import time

import pytest

from aira_jax.core.failures import Failure
from aira_jax.tasks import apart
from aira_jax.tasks.evaluation import CandidateError, EvaluatorError, SubmissionError


def refuse():
    raise CandidateError(Failure.SHAPE, "three", {"rank": 3})


def test_it_answers_what_the_function_returns_or_raises():
    assert apart.call(math.hypot, 3.0, 4.0, limit_s=60) == 5
    with pytest.raises(CandidateError, match="three") as found:
        apart.call(refuse, limit_s=60)
    assert (found.value.failure, found.value.extra) == (Failure.SHAPE, {"rank": 3})


def test_a_function_that_hangs_is_a_timeout():
    started = time.monotonic()
    with pytest.raises(CandidateError, match="not done within") as found:
        apart.call(time.sleep, 600, limit_s=0.5)
    assert found.value.failure is Failure.TIMEOUT
    assert time.monotonic() - started < 60


def test_a_crash_is_the_candidates_and_any_other_end_ours():
    with pytest.raises(CandidateError, match="signal 11") as found:
        apart.call(signal.raise_signal, signal.SIGSEGV, limit_s=60)
    assert found.value.failure is Failure.EXIT
    with pytest.raises(EvaluatorError, match="exit code 7"):
        apart.call(os._exit, 7, limit_s=60)


@pytest.mark.parametrize("kind", [SubmissionError, CandidateError])
def test_errors_keep_their_class_and_details_on_the_way(kind):
    error = kind(failure=Failure.NAN, message="no number", extra={"row": 1})
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), str(copy), copy.failure, copy.extra) == (kind, "no number", Failure.NAN, {"row": 1})
