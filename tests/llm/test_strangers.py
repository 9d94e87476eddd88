"""Answers of servers that fail, cheat or stall, on both backends: what they cost, and what they show."""

import base64
import gzip
import json
import time
import tracemalloc
import urllib.parse
import zlib

import fake_server as fake
import pytest

from aira_jax import llm
from aira_jax.core.operators import Operator
from aira_jax.llm import guard, http
from aira_jax.llm.base import Context, ErrorKind, LLMError, Request, Role

KEY = "sk-secret/with+signs=="
REQUEST = Request(Operator.DRAFT, 0, Role.PROPOSE, 0, "system text", "user text", 100, Context("T", 0, False))
BACKENDS = ("openai_compat", "anthropic")


@pytest.fixture(autouse=True)
def _key(monkeypatch):
    monkeypatch.setenv("TEST_KEY", KEY)


def ask(backend, script, *, deadline_s=20.0, path=""):
    with fake.serve(script if callable(script) else [script]) as server:
        opts = llm.Options(
            backend=backend, model="m", base_url=server.url + path, key_env="TEST_KEY", deadline_s=deadline_s
        )
        return llm.make(opts).complete(REQUEST)


def fail(backend, script, **kw):
    with pytest.raises(LLMError) as caught:
        ask(backend, script, **kw)
    return caught.value


def chat(**fields):
    return fake.Reply(body=json.dumps({"model": "m", **fields}).encode())


def choice(**fields):
    return {"finish_reason": "stop", "message": {"content": "text of the answer"}, **fields}


HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    "raw",
    [
        (HEAD, *[b"x-slow: 1\r\n"] * 100),
        (HEAD + b"connection: close\r\n\r\n", *[b": ping\n\n"] * 100),
        (HEAD + b"connection: close\r\n\r\n", *[b"data: endless "] * 100),
    ],
    ids=["trickled headers", "comments", "one endless line"],
)
def test_a_connection_is_shut_at_its_deadline_whatever_drips_in(backend, raw):
    pytest.importorskip("anthropic")  # its import takes seconds, which are no part of a deadline
    started = time.monotonic()
    error = fail(backend, fake.Reply(raw=raw, drip_s=0.1), deadline_s=0.5)
    assert time.monotonic() - started < 5  # of the ten seconds that the server takes
    assert (error.kind, error.retryable) == (ErrorKind.TIMEOUT, True)


@pytest.mark.parametrize("backend", BACKENDS)
def test_an_endless_body_is_cut_off(backend, monkeypatch):
    monkeypatch.setattr(guard, "MAX_BYTES", 1000)
    error = fail(backend, fake.Reply(body=b"data: " + b"x" * 2000, headers={"content-type": "text/event-stream"}))
    assert error.kind is ErrorKind.MALFORMED
    assert "larger than 1000 bytes" in str(error)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("coding, pack", [("gzip", gzip.compress), ("deflate", zlib.compress)])
def test_a_compressed_bomb_is_cut_off_before_it_fills_memory(backend, coding, pack, monkeypatch):
    monkeypatch.setattr(guard, "MAX_BYTES", 4 * 2**20)
    bomb = pack(bytes(10 * guard.MAX_BYTES))
    headers = {"content-encoding": coding, "content-type": "text/event-stream"}
    tracemalloc.start()
    error = fail(backend, fake.Reply(body=bomb, headers=headers))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert error.kind is ErrorKind.MALFORMED
    assert peak < 3 * guard.MAX_BYTES


def test_a_compressed_answer_is_read():
    packed = gzip.compress(chat(choices=[choice()]).body)
    assert ask("openai_compat", fake.Reply(body=packed, headers={"content-encoding": "gzip"})).text


def test_an_unknown_coding_is_refused():
    assert "'br' was not asked for" in str(fail("openai_compat", fake.Reply(headers={"content-encoding": "br"})))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_refused_and_named(backend, status):
    calls = []

    def script(call):
        calls.append(call)
        return fake.Reply(status, headers={"location": "http://user:pw@127.0.0.1:9/v1?key=k"})

    error = fail(backend, script)
    assert (error.kind, error.retryable) == (ErrorKind.BAD_REQUEST, False)
    assert "redirected to http://127.0.0.1:9/v1, which is not followed" in str(error)
    assert [call.path for call in calls][1:] == []


@pytest.mark.parametrize(
    "fields, kind, retryable",
    [
        ({"error": {"code": 429, "message": "slow down"}}, ErrorKind.RATE_LIMIT, True),
        ({"error": {"code": 502, "message": "bad gateway"}}, ErrorKind.OVERLOADED, True),
        ({"error": {"code": "rate_limit_exceeded", "message": "m"}}, ErrorKind.RATE_LIMIT, True),
        ({"error": {"type": "authentication_error", "message": "m"}}, ErrorKind.AUTH, False),
        ({"error": "something"}, ErrorKind.OVERLOADED, True),
        ({"choices": None}, ErrorKind.OVERLOADED, True),
        ({"choices": []}, ErrorKind.OVERLOADED, True),
        ({"choices": [choice(error={"code": 503, "message": "m"})]}, ErrorKind.OVERLOADED, True),
        ({"choices": [choice(finish_reason="error")]}, ErrorKind.OVERLOADED, True),
        ({"choices": [choice(finish_reason="abort")]}, ErrorKind.OVERLOADED, True),
        ({"choices": [choice(finish_reason="cancelled")]}, ErrorKind.OVERLOADED, True),
    ],
)
def test_an_error_in_an_answer_of_status_200_is_what_it_names(fields, kind, retryable):
    error = fail("openai_compat", chat(**fields))
    assert (error.kind, error.retryable) == (kind, retryable)


@pytest.mark.parametrize(
    "usage",
    [
        "many",
        [1],
        {"prompt_tokens": "9", "completion_tokens": {}},
        {"prompt_tokens": -1_000_000, "completion_tokens": -5},
        {"prompt_tokens": 0, "completion_tokens": 0},
        {"prompt_tokens": 1e30, "completion_tokens": 10**30},
        {"prompt_tokens": True, "completion_tokens": None, "prompt_tokens_details": 3},
    ],
)
def test_bad_usage_never_throws_an_answer_away_and_is_estimated(usage):
    got = ask("openai_compat", chat(choices=[choice()], usage=usage))
    assert got.text == "text of the answer"
    assert (got.usage.input, got.usage.output, got.usage.estimated) == (5, 5, True)


def test_what_the_total_says_beyond_its_parts_is_charged_as_output():
    usage = {"prompt_tokens": 10, "completion_tokens": 20, "total_tokens": 930}
    got = ask("openai_compat", chat(choices=[choice()], usage=usage)).usage
    assert (got.input, got.output, got.tokens, got.estimated) == (10, 920, 930, False)


def test_more_cached_tokens_than_the_prompt_has_are_not_believed():
    usage = {"prompt_tokens": 10, "completion_tokens": 20, "prompt_tokens_details": {"cached_tokens": 500}}
    assert ask("openai_compat", chat(choices=[choice()], usage=usage)).usage.tokens == 30


def test_negative_counts_of_the_messages_api_never_lower_the_ledger():
    reply = fake.anthropic(
        "text of the answer", usage={"input_tokens": -(10**6), "output_tokens": -5}, output_tokens=-7
    )
    got = ask("anthropic", reply).usage
    assert (got.input, got.output, got.estimated) == (5, 5, True)


@pytest.mark.parametrize(
    "status, message, kind, retryable",
    [
        (413, "Request too large on tokens per minute (TPM): Limit 6000", ErrorKind.RATE_LIMIT, True),
        (413, "Request entity too large", ErrorKind.CONTEXT_LENGTH, False),
        (
            400,
            "The input token count (2000000) exceeds the maximum number of tokens allowed",
            ErrorKind.CONTEXT_LENGTH,
            False,
        ),
        (429, "insufficient_quota You exceeded your current quota", ErrorKind.AUTH, False),
        (425, "too early", ErrorKind.OVERLOADED, True),
        (499, "client closed request", ErrorKind.TIMEOUT, True),
    ],
)
def test_statuses_whose_words_decide(status, message, kind, retryable):
    assert http.classify(status, message, "KEY")[:2] == (kind, retryable)


def test_an_error_body_that_is_a_list_is_read():
    body = json.dumps([{"error": {"code": 400, "message": "exceeds the maximum number of tokens allowed"}}]).encode()
    assert fail("openai_compat", fake.Reply(400, body)).kind is ErrorKind.CONTEXT_LENGTH


@pytest.mark.parametrize("status", [400, 404])
def test_a_wrong_model_is_told_the_models_that_the_server_lists(status):
    def script(call):
        if call.path == "/models":
            return fake.Reply(body=json.dumps({"data": [{"id": "mm"}, {"id": "other"}]}).encode())
        return fake.openai_error(status, "model_not_found", "no such model")

    assert fail("openai_compat", script).fix == "unknown config.llm.model 'm' (did you mean \"mm\"?); valid: mm, other"


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("variable, value", [("NO_PROXY", "localhost,127.0.0.1,[::1]"), ("ALL_PROXY", "socks9://h:1")])
def test_a_proxy_variable_that_the_library_refuses_is_a_named_error(backend, variable, value, monkeypatch):
    from aira_jax.llm import anthropic, openai_compat

    monkeypatch.setenv(variable, value)
    openai_compat._client.cache_clear()
    anthropic._client.cache_clear()
    try:
        error = fail(backend, lambda call: chat(choices=[choice()]))
    finally:
        openai_compat._client.cache_clear()
        anthropic._client.cache_clear()
    assert error.kind in (ErrorKind.BAD_REQUEST, ErrorKind.TIMEOUT, ErrorKind.MALFORMED)
    assert variable in error.fix


@pytest.mark.parametrize("key", ["“sk-typographic”", "sk with space", '"sk-quoted"', "sk-\x07bell", "sk-line\nbreak"])
def test_a_key_with_signs_that_no_key_has_is_refused_before_any_call(key, monkeypatch):
    monkeypatch.setenv("TEST_KEY", key)
    for backend in BACKENDS:
        calls = []
        error = fail(backend, lambda call, calls=calls: calls.append(call) or fake.Reply(500))
        assert (error.kind, calls) == (ErrorKind.AUTH, [])
        assert "TEST_KEY" in error.fix
        assert key not in str(error)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    "address", ["https://me:hunter2@host/v1", "https://host/v1?api_key=hunter2", "http://hunter2@h"]
)
def test_an_address_with_a_secret_is_refused_without_showing_it(backend, address):
    with pytest.raises(ValueError, match=r"config\.llm\.key_env") as caught:
        llm.make(llm.Options(backend=backend, model="m", base_url=address))
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "write",
    [
        str,
        lambda key: json.dumps(key)[1:-1],
        lambda key: key.replace("/", "\\/"),
        lambda key: urllib.parse.quote(key, safe=""),
        lambda key: base64.b64encode(key.encode()).decode(),
    ],
    ids=["raw", "json", "escaped slash", "address", "base64"],
)
def test_no_written_form_of_the_key_passes_the_scrubber(write):
    for backend in BACKENDS:
        error = fail(backend, fake.openai_error(400, "bad", f"your key {write(KEY)} is odd"))
        assert write(KEY) not in str(error)
        assert "[key]" in str(error)


def test_the_transport_says_nothing_of_its_own(caplog):
    with caplog.at_level("NOTSET"):
        ask("openai_compat", chat(choices=[choice()]))
    assert [record for record in caplog.records if record.name.startswith("httpx")] == []
