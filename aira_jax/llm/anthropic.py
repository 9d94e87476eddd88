"""Claude models through Anthropic's SDK: streaming, a cacheable system block, and no retries of the SDK's own."""

import functools
import importlib
import os
import time
from typing import Any

from aira_jax.llm import Options, guard, http
from aira_jax.llm.base import Completion, ErrorKind, LLMError, Request, Usage

KEY_ENV, URL_ENV = "ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL"
_STATUS_OF_TYPE = {  # an error event inside of a stream has a type but no status of its own
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}


class Anthropic:
    """`complete` streams one message. The key is read from `key_env` (ANTHROPIC_API_KEY) at each call.

    Sampling parameters are sent only when set: newer models reject them. `extra` of a request goes into the body as it
    is, for example {"thinking": {"type": "adaptive"}}. `base_url` "" means ANTHROPIC_BASE_URL, else the SDK's default.
    """

    backend = "anthropic"

    def __init__(self, opts: Options):
        if not opts.model:
            raise ValueError("config.llm.model is empty; name a model, for example claude-opus-4-6")
        self.model = opts.model
        self._key_env, self._deadline_s = opts.key_env or KEY_ENV, opts.deadline_s
        self._base_url = http.checked_url(opts.base_url, "config.llm.base_url") or http.checked_url(
            os.environ.get(URL_ENV, ""), URL_ENV
        )

    def complete(self, request: Request) -> Completion:
        """One message. Raises LLMError; a connection that breaks or a stream that is cut can be tried again."""
        import anthropic

        key = http.key(self._key_env)
        seconds = self._deadline_s if request.timeout_s is None else min(self._deadline_s, request.timeout_s)
        transport = _transport()
        timeout = anthropic.Timeout(seconds, connect=min(http.CONNECT_S, seconds))
        reading = _Reading(request, key, self._key_env, seconds)
        try:
            client = _client(key, self._base_url)
        except Exception as error:  # noqa: BLE001 - what the SDK raises on a bad proxy or address is not listed
            raise http.unusable(error, key=key) from None
        try:
            with client.messages.stream(**self._params(request), timeout=timeout) as stream:
                reading.follow(stream)
        except LLMError:
            raise
        except (anthropic.APITimeoutError, transport.TimeoutException):
            raise reading.broken(f"no answer within {seconds:.0f} s", timed_out=True) from None
        except (anthropic.APIConnectionError, transport.HTTPError) as error:
            cause = error.__cause__ or error
            if isinstance(cause, transport.DecodingError):
                raise reading.malformed(cause) from None
            raise reading.broken(f"connection failed: {type(cause).__name__}: {cause}") from None
        except anthropic.APIStatusError as error:
            raise reading.status(error) from None
        except Exception as error:  # noqa: BLE001 - the SDK accumulates events of strangers without validating them
            raise reading.malformed(error) from None
        return reading.completion()

    def _params(self, request: Request) -> dict[str, Any]:
        sampling = {"temperature": request.sampling.temperature, "top_p": request.sampling.top_p}
        params = {
            "model": self.model,
            "max_tokens": request.max_tokens,
            "messages": [{"role": "user", "content": request.user}],
            "extra_body": {name: value for name, value in sampling.items() if value is not None} | dict(request.extra),
        }
        if request.system:
            block = {"type": "text", "text": request.system, "cache_control": {"type": "ephemeral"}}
            params["system"] = [block]
        return params


@functools.lru_cache(maxsize=8)
def _client(key: str, base_url: str):
    """One SDK client, and so one pool of connections, for all calls with this key to this address."""
    import anthropic

    client = guard.client_class(anthropic.DefaultHttpxClient, _transport())
    return anthropic.Anthropic(api_key=key, base_url=base_url or None, max_retries=0, http_client=client())


def _transport():
    """The HTTP library that this version of the SDK is built on (httpx or its successor); its errors pass through."""
    import anthropic

    return importlib.import_module(anthropic.DefaultHttpxClient.__base__.__module__.partition(".")[0])


class _Reading:
    """One answer while it arrives: what of it is there, and what an interruption means."""

    def __init__(self, request: Request, key: str, key_env: str, seconds: float):
        self.request, self.key, self.key_env, self.seconds = request, key, key_env, seconds
        self.message, self.request_id, self.whole = None, None, False
        self.started = time.monotonic()

    def follow(self, stream) -> None:
        """Reads to the end of the message. Raises what the SDK raises, and LLMError after `seconds`."""
        self.request_id = stream.request_id
        for event in stream:
            if event.type == "message_start" or self.message is not None:
                self.message = stream.current_message_snapshot
            if event.type == "message_stop":
                self.whole = True
            if time.monotonic() - self.started > self.seconds:
                raise self.broken(f"the answer did not end within {self.seconds:.0f} s", timed_out=True)

    def completion(self) -> Completion:
        """The answer. Raises LLMError when the stream ended before it, or when the model refused."""
        if self.message is None or not self.whole or not isinstance(self.message.stop_reason, str):
            raise self.broken("the stream ended before the message did")
        stop_reason, usage = self.message.stop_reason, _usage(self.message, self.request)
        if stop_reason == "refusal":
            fix = "rephrase the task, or use another model"
            raise LLMError(ErrorKind.REFUSED, "the model refused to answer", fix=fix, usage=usage)
        if stop_reason == "model_context_window_exceeded":
            fix = "lower config.memory.max_chars"
            raise LLMError(ErrorKind.CONTEXT_LENGTH, "the model's context window is full", fix=fix, usage=usage)
        latency_s = time.monotonic() - self.started
        return Completion(_text(self.message), stop_reason, usage, self.message.model, self.request_id, latency_s)

    def malformed(self, error: Exception) -> LLMError:
        problem = f"this is no answer of the Messages API: {type(error).__name__}: {error}"
        return http.malformed(problem, key=self.key, usage=self._usage_so_far())

    def status(self, error) -> LLMError:
        """The meaning of an HTTP status, or of an error event, which comes with status 200."""
        body = error.body if isinstance(error.body, dict) else {}
        detail = body.get("error") if isinstance(body.get("error"), dict) else {}
        status = error.status_code if error.status_code >= 300 else _STATUS_OF_TYPE.get(detail.get("type"), 500)
        return http.error(
            status,
            str(detail.get("message") or error.message),
            key=self.key,
            key_env=self.key_env,
            headers=error.response.headers,
            usage=self._usage_so_far(),
            request_id=error.response.headers.get("request-id"),
        )

    def broken(self, problem: str, *, timed_out: bool = False) -> LLMError:
        return http.broken(problem, key=self.key, usage=self._usage_so_far(), timed_out=timed_out)

    def _usage_so_far(self) -> Usage:
        """What a message that was cut has cost: output is counted by the server only at its end, so it is estimated."""
        if self.message is None:
            return Usage()
        usage, shown = _usage(self.message, self.request), http.estimate(_text(self.message))
        return usage + Usage(output=max(0, shown - usage.output), estimated=True)


def _text(message) -> str:
    return http.clean("".join(block.text for block in message.content if block.type == "text"))


def _usage(message, request: Request) -> Usage:
    """Tokens by class. `input_tokens` leaves out what was read from or written to the cache.

    What cannot be true (no prompt at all, no output for a text) is estimated from characters, and marked.
    """
    usage = message.usage

    def count(holder, name: str) -> int:
        return http.count(getattr(holder, name, None)) or 0

    written = getattr(usage, "cache_creation", None)
    write_5m, write_1h = count(written, "ephemeral_5m_input_tokens"), count(written, "ephemeral_1h_input_tokens")
    if not write_5m + write_1h:
        write_5m = count(usage, "cache_creation_input_tokens")
    asked, read = count(usage, "input_tokens"), count(usage, "cache_read_input_tokens")
    output = count(usage, "output_tokens")
    uncounted, text = asked + read + write_5m + write_1h == 0, _text(message)
    return Usage(
        input=http.estimate(request.system + request.user) if uncounted else asked,
        output=output or http.estimate(text),
        cache_read=read,
        cache_write_5m=write_5m,
        cache_write_1h=write_1h,
        reasoning=count(getattr(usage, "output_tokens_details", None), "thinking_tokens"),
        estimated=uncounted or (not output and bool(text)),
    )
