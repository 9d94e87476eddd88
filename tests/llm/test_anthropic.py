"""The Anthropic backend against a real HTTP server: what it sends, what it reads, and what every failure becomes."""

import dataclasses
import json
import traceback

import fake_server as fake
import pytest

from aira_jax import llm
from aira_jax.core.operators import Operator
from aira_jax.llm.base import Context, ErrorKind, LLMError, Request, Role, Sampling, Usage

KEY = "sk-ant-secret-0123456789"
REQUEST = Request(
    operator=Operator.DRAFT,
    node=0,
    role=Role.PROPOSE,
    attempt=0,
    system="the static part",
    user="the question",
    max_tokens=16_000,
    context=Context(task="T", seed=0, lower_is_better=False),
)


@pytest.fixture(autouse=True)
def _environment(monkeypatch):
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    monkeypatch.delenv("ANTHROPIC_BASE_URL", raising=False)


def backend(server, **fields):
    return llm.make(llm.Options(backend="anthropic", model="claude-opus-4-6", base_url=server.url, **fields))


def ask(reply, request=REQUEST, **fields):
    with fake.serve([reply]) as server:
        return backend(server, **fields).complete(request), server.calls[0]


def sent_key(call):
    """The key of a call; SDK versions differ in the header that carries it."""
    return call.headers.get("x-api-key") or call.headers["authorization"].removeprefix("Bearer ")


def fail(reply, request=REQUEST, **fields) -> LLMError:
    with fake.serve([reply]) as server, pytest.raises(LLMError) as caught:
        backend(server, **fields).complete(request)
    assert len(server.calls) == 1
    printed = "".join(traceback.format_exception(caught.value))
    assert KEY not in printed + caught.value.fix + repr(vars(caught.value))
    return caught.value


def test_a_streamed_message_is_read_without_its_thoughts():
    completion, _ = ask(fake.anthropic("Plan.\n```\nx\n```"))
    assert completion.text == "Plan.\n```\nx\n```"
    assert (completion.stop_reason, completion.model) == ("end_turn", "claude-opus-4-6")
    assert completion.request_id == "req_7"
    assert completion.latency_s > 0


def test_usage_has_a_class_for_every_kind_of_token():
    completion, _ = ask(fake.anthropic("ok"))
    assert completion.usage == Usage(1200, 3400, cache_read=21000, cache_write_5m=8000, cache_write_1h=500)


def test_cache_writes_without_a_breakdown_count_as_five_minutes():
    usage = {"input_tokens": 7, "output_tokens": 1, "cache_creation_input_tokens": 30}
    completion, _ = ask(fake.anthropic("ok", usage=usage, output_tokens=9))
    assert completion.usage == Usage(7, 9, cache_write_5m=30)


def test_the_reasoning_part_of_the_output_is_kept():
    events = fake.anthropic_events("ok")
    events[-2]["usage"]["output_tokens_details"] = {"thinking_tokens": 2900}
    completion, _ = ask(fake.Reply(chunks=fake.sse(*events), headers={"content-type": "text/event-stream"}))
    assert (completion.usage.output, completion.usage.reasoning) == (3400, 2900)


def test_the_request_carries_the_cacheable_system_block_and_no_sampling_by_default():
    _, call = ask(fake.anthropic("ok"))
    assert call.path == "/v1/messages"
    assert sent_key(call) == KEY
    assert call.body == {
        "model": "claude-opus-4-6",
        "max_tokens": 16_000,
        "stream": True,
        "system": [{"type": "text", "text": "the static part", "cache_control": {"type": "ephemeral"}}],
        "messages": [{"role": "user", "content": "the question"}],
    }


def test_sampling_and_extra_are_sent_when_set():
    extra = {"thinking": {"type": "adaptive"}, "metadata": {"user_id": "u"}}
    _, call = ask(fake.anthropic("ok"), dataclasses.replace(REQUEST, sampling=Sampling(temperature=0.6), extra=extra))
    assert call.body["temperature"] == 0.6
    assert "top_p" not in call.body
    assert {name: call.body[name] for name in extra} == extra


def test_temperature_and_top_p_together_are_refused_before_any_call():
    with pytest.raises(ValueError, match="not both"):
        llm.options({"backend": "anthropic", "model": "m", "temperature": 0.6, "top_p": 0.95})


def test_the_address_of_the_environment_is_honoured(monkeypatch):
    with fake.serve([fake.anthropic("ok")]) as server:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", server.url)
        proposer = llm.make(llm.Options(backend="anthropic", model="claude-opus-4-6"))
        assert proposer.complete(REQUEST).text == "ok"


def test_a_missing_key_is_an_auth_error_that_names_the_variable(monkeypatch):
    monkeypatch.delenv("ANTHROPIC_API_KEY")
    proposer = llm.make(llm.Options(backend="anthropic", model="m", base_url="http://127.0.0.1:9"))
    with pytest.raises(LLMError, match="ANTHROPIC_API_KEY") as caught:
        proposer.complete(REQUEST)
    assert (caught.value.kind, caught.value.retryable) == (ErrorKind.AUTH, False)
    assert "ANTHROPIC_API_KEY" in caught.value.fix
    assert "resume" in caught.value.fix


def test_another_key_variable_can_be_named(monkeypatch):
    monkeypatch.setenv("MY_KEY", "other")
    _, call = ask(fake.anthropic("ok"), key_env="MY_KEY")
    assert sent_key(call) == "other"


@pytest.mark.parametrize(
    "status, kind, expected, retryable",
    [
        (400, "invalid_request_error", ErrorKind.BAD_REQUEST, False),
        (401, "authentication_error", ErrorKind.AUTH, False),
        (402, "billing_error", ErrorKind.AUTH, False),
        (403, "permission_error", ErrorKind.AUTH, False),
        (404, "not_found_error", ErrorKind.BAD_REQUEST, False),
        (408, "timeout_error", ErrorKind.TIMEOUT, True),
        (409, "conflict", ErrorKind.OVERLOADED, True),
        (413, "request_too_large", ErrorKind.CONTEXT_LENGTH, False),
        (429, "rate_limit_error", ErrorKind.RATE_LIMIT, True),
        (500, "api_error", ErrorKind.OVERLOADED, True),
        (503, "api_error", ErrorKind.OVERLOADED, True),
        (529, "overloaded_error", ErrorKind.OVERLOADED, True),
    ],
)
def test_every_status_has_its_kind(status, kind, expected, retryable):
    error = fail(fake.anthropic_error(status, kind, f"about {KEY} it is"))
    assert (error.kind, error.retryable) == (expected, retryable)
    assert str(error) == f"HTTP {status}: about [key] it is"
    assert error.fix


@pytest.mark.parametrize(
    "message, kind",
    [
        ("prompt is too long: 210000 tokens > 200000 maximum", ErrorKind.CONTEXT_LENGTH),
        ("input length and `max_tokens` exceed context limit: 190000 + 16000 > 200000", ErrorKind.CONTEXT_LENGTH),
        ("This model's maximum context length is 4096 tokens.", ErrorKind.CONTEXT_LENGTH),
        ("max_tokens: 64000 exceeds the maximum of 32000 output tokens", ErrorKind.BAD_REQUEST),
        ("temperature: this model does not support sampling parameters", ErrorKind.BAD_REQUEST),
    ],
)
def test_a_prompt_that_is_too_long_is_told_from_other_bad_requests(message, kind):
    error = fail(fake.anthropic_error(400, "invalid_request_error", message))
    assert (error.kind, error.retryable) == (kind, False)


@pytest.mark.parametrize(
    "header, least, most", [("7", 7, 7), ("0.5", 0.5, 0.5), ("Wed, 21 Oct 2015 07:28:00 GMT", 0, 0)]
)
def test_retry_after_is_carried(header, least, most):
    error = fail(fake.anthropic_error(429, "rate_limit_error", "slow down", retry_after=header))
    assert least <= error.retry_after_s <= most


def test_retry_after_that_cannot_be_read_is_none():
    error = fail(fake.anthropic_error(429, "rate_limit_error", "slow down", retry_after="soon"))
    assert error.retry_after_s is None


@pytest.mark.parametrize("events", [1, 5, 8, 10])
@pytest.mark.parametrize("cut", [True, False])
def test_a_cut_stream_can_be_tried_again_and_was_billed(events, cut):
    chunks = fake.sse(*fake.anthropic_events("x" * 400)[:events])
    error = fail(fake.Reply(chunks=chunks, headers={"content-type": "text/event-stream"}, cut=cut))
    assert (error.kind, error.retryable) == (ErrorKind.TIMEOUT, True)
    assert error.usage.input == 1200
    assert error.usage.estimated
    assert error.usage.output >= (100 if events >= 8 else 1)


def test_an_error_event_inside_the_stream_has_the_meaning_of_its_type():
    broken = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    chunks = fake.sse(*fake.anthropic_events("x")[:6], broken)
    error = fail(fake.Reply(chunks=chunks, headers={"content-type": "text/event-stream"}))
    assert (error.kind, error.retryable) == (ErrorKind.OVERLOADED, True)
    assert error.usage.input == 1200


def test_an_empty_body_can_be_tried_again():
    error = fail(fake.Reply(headers={"content-type": "text/event-stream"}))
    assert (error.kind, error.retryable, error.usage.tokens) == (ErrorKind.TIMEOUT, True, 0)


NO_BLOCK = {"type": "content_block_delta", "index": 3, "delta": {"type": "text_delta", "text": "x"}}


@pytest.mark.parametrize(
    "body",
    [
        b"event: message_start\ndata: {not json\n\n",
        b'event: message_start\ndata: {"type": "message_start"}\n\n',
        b"event: message_start\ndata: []\n\n",
        b"".join(fake.sse(fake.anthropic_events("x")[0], NO_BLOCK)),
    ],
)
def test_a_stream_that_is_no_messages_api_is_malformed(body):
    error = fail(fake.Reply(body=body, headers={"content-type": "text/event-stream"}))
    assert (error.kind, error.retryable) == (ErrorKind.MALFORMED, False)


def test_an_empty_answer_is_a_completion_that_the_parser_will_refuse():
    completion, _ = ask(fake.anthropic(""))
    assert (completion.text, completion.usage.output) == ("", 3400)


def test_a_refusal_is_an_error_that_was_billed():
    error = fail(fake.anthropic("no", stop_reason="refusal"))
    assert (error.kind, error.retryable, error.usage.output) == (ErrorKind.REFUSED, False, 3400)


def test_a_full_context_window_is_a_context_length_error():
    assert fail(fake.anthropic("x", stop_reason="model_context_window_exceeded")).kind is ErrorKind.CONTEXT_LENGTH


def test_a_cut_answer_keeps_its_stop_reason():
    assert ask(fake.anthropic("half", stop_reason="max_tokens"))[0].stop_reason == "max_tokens"


def test_a_server_that_is_not_there_can_be_tried_again():
    proposer = llm.make(llm.Options(backend="anthropic", model="m", base_url=f"http://127.0.0.1:{fake.closed_port()}"))
    with pytest.raises(LLMError) as caught:
        proposer.complete(REQUEST)
    assert (caught.value.kind, caught.value.retryable) == (ErrorKind.TIMEOUT, True)


def test_a_stream_that_drips_past_the_deadline_is_given_up():
    events = fake.anthropic_events("x" * 40)
    slow = fake.Reply(chunks=fake.sse(*events), headers={"content-type": "text/event-stream"}, drip_s=0.1)
    error = fail(slow, dataclasses.replace(REQUEST, timeout_s=0.35))
    assert (error.kind, error.retryable) == (ErrorKind.TIMEOUT, True)
    assert "0 s" in str(error)


def test_a_server_that_never_answers_is_given_up():
    error = fail(fake.Reply(body=b"x", drip_s=1.0), dataclasses.replace(REQUEST, timeout_s=0.3))
    assert (error.kind, error.retryable) == (ErrorKind.TIMEOUT, True)


def test_a_model_and_a_real_address_are_needed(monkeypatch):
    with pytest.raises(ValueError, match=r"config.llm.model is empty"):
        llm.make(llm.Options(backend="anthropic"))
    with pytest.raises(ValueError, match=r"config.llm.base_url='127.0.0.1:80' is no address"):
        llm.make(llm.Options(backend="anthropic", model="m", base_url="127.0.0.1:80"))
    monkeypatch.setenv("ANTHROPIC_BASE_URL", "localhost")
    with pytest.raises(ValueError, match=r"ANTHROPIC_BASE_URL='localhost' is no address"):
        llm.make(llm.Options(backend="anthropic", model="m"))


def test_nothing_that_the_search_keeps_holds_the_key():
    completion, call = ask(fake.anthropic("ok"))
    assert KEY not in repr(completion) + repr(REQUEST) + json.dumps(call.body)
