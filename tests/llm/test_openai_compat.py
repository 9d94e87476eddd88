"""The chat-completions backend against a real HTTP server."""

import dataclasses
import json
import traceback

import fake_server as fake
import pytest

from aira_jax import llm
from aira_jax.core.operators import Operator
from aira_jax.llm.base import Context, ErrorKind, LLMError, Request, Role, Sampling, Usage

KEY = "sk-local-secret-987"
REQUEST = Request(
    operator=Operator.DRAFT,
    node=0,
    role=Role.PROPOSE,
    attempt=0,
    system="static",
    user="question",
    max_tokens=500,
    context=Context(task="T", seed=0, lower_is_better=False),
)
USAGE = {
    "prompt_tokens": 1000,
    "completion_tokens": 200,
    "prompt_tokens_details": {"cached_tokens": 900},
    "completion_tokens_details": {"reasoning_tokens": 150},
}


@pytest.fixture(autouse=True)
def _environment(monkeypatch):
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LOCAL_KEY", KEY)


def backend(server, **fields):
    return llm.make(llm.Options(backend="openai_compat", model="small", base_url=f"{server.url}/v1/", **fields))


def ask(reply, request=REQUEST, **fields):
    with fake.serve([reply]) as server:
        return backend(server, **fields).complete(request), server.calls[0]


def fail(reply, request=REQUEST, **fields) -> LLMError:
    with fake.serve([reply]) as server, pytest.raises(LLMError) as caught:
        backend(server, key_env="LOCAL_KEY", **fields).complete(request)
    assert len(server.calls) == 1
    printed = "".join(traceback.format_exception(caught.value))
    assert KEY not in printed + caught.value.fix + repr(vars(caught.value))
    return caught.value


def test_the_answer_with_its_usage_is_read():
    completion, _ = ask(fake.openai("Plan.", usage=USAGE))
    assert (completion.text, completion.stop_reason) == ("Plan.", "end_turn")
    assert (completion.model, completion.request_id) == ("served-model", "req_8")
    assert completion.usage == Usage(input=100, output=200, cache_read=900, reasoning=150)


def test_the_request_has_both_messages_and_no_key_unless_named():
    _, call = ask(fake.openai("ok"))
    assert call.path == "/v1/chat/completions"
    assert "authorization" not in call.headers
    assert call.body == {
        "model": "small",
        "messages": [{"role": "system", "content": "static"}, {"role": "user", "content": "question"}],
        "max_tokens": 500,
    }


def test_key_token_field_sampling_and_extra_are_sent_when_set():
    request = dataclasses.replace(REQUEST, sampling=Sampling(0.6, 0.95), extra={"seed": 3})
    _, call = ask(fake.openai("ok"), request, key_env="LOCAL_KEY", max_tokens_field="max_completion_tokens")
    assert call.headers["authorization"] == f"Bearer {KEY}"
    assert (call.body["temperature"], call.body["top_p"], call.body["seed"]) == (0.6, 0.95, 3)
    assert call.body["max_completion_tokens"] == 500
    assert "max_tokens" not in call.body


def test_missing_usage_is_estimated_from_characters_and_flagged():
    completion, _ = ask(fake.openai("ninechars"))
    assert completion.usage == Usage(input=4, output=3, estimated=True)  # "static" + "question": 14 characters


def test_half_a_usage_is_completed_and_flagged():
    completion, _ = ask(fake.openai("ninechars", usage={"prompt_tokens": 50}))
    assert completion.usage == Usage(input=50, output=3, estimated=True)


@pytest.mark.parametrize("finish, expected", [("stop", "end_turn"), ("length", "max_tokens"), (None, "end_turn")])
def test_stop_reasons_are_in_our_words(finish, expected):
    assert ask(fake.openai("x", finish=finish))[0].stop_reason == expected


def test_parts_of_type_text_are_joined_and_reasoning_is_left_out():
    parts = [{"type": "text", "text": "a"}, {"type": "reasoning", "text": "no"}, {"type": "text", "text": "b"}]
    assert ask(fake.openai(parts, reasoning_content="hidden"))[0].text == "ab"


def test_an_empty_answer_is_a_completion_that_the_parser_will_refuse():
    assert ask(fake.openai(None, usage=USAGE))[0].text == ""


def test_a_lone_surrogate_becomes_the_replacement_character():
    assert ask(fake.openai("a\ud800b"))[0].text == "a\ufffdb"


def test_a_named_key_that_is_not_set_is_an_auth_error(monkeypatch):
    monkeypatch.delenv("LOCAL_KEY")
    proposer = llm.make(
        llm.Options(backend="openai_compat", model="m", base_url="http://127.0.0.1:9", key_env="LOCAL_KEY")
    )
    with pytest.raises(LLMError, match="LOCAL_KEY is not set") as caught:
        proposer.complete(REQUEST)
    assert caught.value.kind is ErrorKind.AUTH


@pytest.mark.parametrize(
    "status, expected, retryable",
    [
        (400, ErrorKind.BAD_REQUEST, False),
        (401, ErrorKind.AUTH, False),
        (403, ErrorKind.AUTH, False),
        (404, ErrorKind.BAD_REQUEST, False),
        (408, ErrorKind.TIMEOUT, True),
        (409, ErrorKind.OVERLOADED, True),
        (413, ErrorKind.CONTEXT_LENGTH, False),
        (429, ErrorKind.RATE_LIMIT, True),
        (500, ErrorKind.OVERLOADED, True),
        (529, ErrorKind.OVERLOADED, True),
    ],
)
def test_every_status_has_its_kind(status, expected, retryable):
    error = fail(fake.openai_error(status, "some_code", f"the key {KEY} did", retry_after="3"))
    assert (error.kind, error.retryable, error.retry_after_s) == (expected, retryable, 3)
    assert str(error) == f"HTTP {status}: some_code the key [key] did"


def test_a_prompt_that_is_too_long_is_named_so():
    error = fail(fake.openai_error(400, "context_length_exceeded", "Too long."))
    assert error.kind is ErrorKind.CONTEXT_LENGTH


@pytest.mark.parametrize("body", [b"plain words", b"[]", b'{"error": "broken"}', b"\xff"])
def test_an_error_body_in_any_form_keeps_its_status(body):
    assert fail(fake.Reply(503, body)).kind is ErrorKind.OVERLOADED


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b"[]", b"{}", b'{"choices": [{"message": null}]}', b'{"choices": [7]}'],
)
def test_an_answer_that_is_no_chat_completion_is_malformed(body):
    error = fail(fake.Reply(body=body))
    assert (error.kind, error.retryable) == (ErrorKind.MALFORMED, False)
    assert "config.llm.base_url" in error.fix


@pytest.mark.parametrize("fields", [{"finish": "content_filter"}, {"refusal": "I cannot."}])
def test_a_refusal_is_an_error_that_was_billed(fields):
    error = fail(fake.openai("", usage=USAGE, **fields))
    assert (error.kind, error.usage.output) == (ErrorKind.REFUSED, 200)


def test_a_body_that_is_cut_can_be_tried_again():
    error = fail(fake.Reply(body=json.dumps({"choices": []}).encode(), cut=True))
    assert (error.kind, error.retryable) == (ErrorKind.TIMEOUT, True)


def test_a_body_that_drips_past_the_deadline_is_given_up():
    drips = fake.Reply(chunks=(b"{",) * 10, drip_s=0.1)
    error = fail(drips, dataclasses.replace(REQUEST, timeout_s=0.35))
    assert (error.kind, error.retryable) == (ErrorKind.TIMEOUT, True)


def test_a_server_that_is_not_there_can_be_tried_again():
    url = f"http://127.0.0.1:{fake.closed_port()}"
    with pytest.raises(LLMError) as caught:
        llm.make(llm.Options(backend="openai_compat", model="m", base_url=url)).complete(REQUEST)
    assert (caught.value.kind, caught.value.retryable) == (ErrorKind.TIMEOUT, True)


@pytest.mark.parametrize(
    "fields, words",
    [
        ({"base_url": "http://h/v1"}, "config.llm.model is empty"),
        ({"model": "m"}, "config.llm.base_url is empty"),
        ({"model": "m", "base_url": "h:80/v1"}, "is no address"),
        ({"model": "m", "base_url": "http://h:x/v1"}, "is no address"),
        ({"model": "m", "base_url": "http://h", "max_tokens_field": "max"}, "max_tokens, max_completion_tokens"),
    ],
)
def test_bad_options_are_refused_before_any_call(fields, words):
    with pytest.raises(ValueError, match=words):
        llm.make(llm.Options(backend="openai_compat", **fields))
