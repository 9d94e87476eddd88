"""The back-off loop, on a clock of its own."""

import dataclasses

import fake_server as fake
import numpy as np
import pytest

from aira_jax import llm
from aira_jax.core.operators import Operator
from aira_jax.llm import retry
from aira_jax.llm.base import Completion, Context, ErrorKind, LLMError, Request, Role, Usage

REQUEST = Request(Operator.DRAFT, 0, Role.PROPOSE, 0, "s", "u", 10, Context("T", 0, False))


class Clock:
    def __init__(self):
        self.now, self.sleeps = 100.0, []

    def sleep(self, seconds):
        self.sleeps.append(seconds)
        self.now += seconds

    def __call__(self):
        return self.now


class Script:
    """Raises the errors in order, then answers."""

    backend = model = "script"

    def __init__(self, *errors):
        self.errors, self.requests = list(errors), []

    def complete(self, request):
        self.requests.append(request)
        if self.errors:
            raise self.errors.pop(0)
        return Completion("ok", "end_turn", Usage(output=1), "script")


def busy(**fields):
    return LLMError(ErrorKind.OVERLOADED, "busy", retryable=True, **fields)


def run(script, clock, *, deadline_s=1800.0, request=REQUEST, seed=0, **kw):
    rng = np.random.default_rng(seed)
    return retry.call(script, request, deadline_s=deadline_s, rng=rng, sleep=clock.sleep, clock=clock, **kw)


def test_waits_double_with_jitter_up_to_the_cap_and_the_eighth_error_is_raised():
    clock, script = Clock(), Script(*[busy() for _ in range(9)])
    with pytest.raises(LLMError, match="busy"):
        run(script, clock)
    assert len(script.requests) == 8
    for wait, full in zip(clock.sleeps, [2, 4, 8, 16, 32, 60, 60], strict=True):
        assert full / 2 <= wait < full


def test_the_jitter_comes_from_the_generator_alone():
    def waits(seed):
        clock = Clock()
        run(Script(busy(), busy(), busy()), clock, seed=seed)
        return clock.sleeps

    assert waits(1) == waits(1) != waits(2)


def test_retry_after_is_honoured():
    clock = Clock()
    assert run(Script(busy(retry_after_s=17.0)), clock).text == "ok"
    assert clock.sleeps == [17.0]


def test_an_error_that_no_retry_can_mend_is_raised_at_once():
    clock = Clock()
    with pytest.raises(LLMError, match="bad"):
        run(Script(LLMError(ErrorKind.BAD_REQUEST, "bad")), clock)
    assert clock.sleeps == []


@pytest.mark.parametrize("deadline_s, tries", [(0.5, 1), (4.0, 2), (1800.0, 8)])
def test_a_wait_that_would_pass_the_deadline_is_not_begun(deadline_s, tries):
    clock, script = Clock(), Script(*[busy() for _ in range(9)])
    with pytest.raises(LLMError):
        run(script, clock, deadline_s=deadline_s)
    assert len(script.requests) == tries
    assert clock.now <= 100.0 + deadline_s


def test_a_long_retry_after_is_not_waited_for_past_the_deadline():
    clock = Clock()
    with pytest.raises(LLMError):
        run(Script(busy(retry_after_s=3600.0)), clock)
    assert clock.sleeps == []


def test_each_call_is_bounded_by_what_is_left():
    clock, script = Clock(), Script(busy(retry_after_s=30.0))
    run(script, clock, deadline_s=100.0)
    assert [request.timeout_s for request in script.requests] == [100.0, 70.0]
    run(script, clock, deadline_s=100.0, request=dataclasses.replace(REQUEST, timeout_s=5.0))
    assert script.requests[-1].timeout_s == 5.0


def test_failed_tries_are_billed_with_the_answer():
    script = Script(busy(usage=Usage(input=100, output=7)), busy(usage=Usage(input=100)))
    assert run(script, Clock()).usage == Usage(input=200, output=8)


def test_failed_tries_are_billed_with_the_last_error():
    script = Script(busy(usage=Usage(input=100)), LLMError(ErrorKind.REFUSED, "no", usage=Usage(output=3)))
    with pytest.raises(LLMError) as caught:
        run(script, Clock())
    assert caught.value.usage == Usage(input=100, output=3)


def test_each_retry_is_reported_before_its_wait():
    told, clock = [], Clock()
    run(Script(busy(), busy()), clock, on_retry=lambda i, error, delay: told.append((i, str(error), delay)))
    assert told == [(0, "busy", clock.sleeps[0]), (1, "busy", clock.sleeps[1])]


def test_rate_limit_server_errors_and_a_cut_stream_end_in_an_answer(monkeypatch):
    monkeypatch.setenv("ANTHROPIC_API_KEY", "k")
    script = [
        fake.anthropic_error(429, "rate_limit_error", "slow", retry_after="9"),
        fake.anthropic_error(500, "api_error", "oops"),
        fake.anthropic_error(529, "overloaded_error", "busy"),
        fake.Reply(chunks=fake.sse(*fake.anthropic_events("half")[:7]), headers={"content-type": "text/event-stream"}),
        fake.anthropic("whole"),
    ]
    clock = Clock()
    with fake.serve(script) as server:
        proposer = llm.make(llm.Options(backend="anthropic", model="claude-opus-4-6", base_url=server.url))
        completion = run(proposer, clock)
    assert completion.text == "whole"
    assert clock.sleeps[0] == 9.0
    assert len(server.calls) == 5
    assert completion.usage.input == 2 * 1200  # the cut stream was billed too
