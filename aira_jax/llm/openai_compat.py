"""Any server that speaks the chat-completions protocol, through httpx: one POST a call, with or without a key."""

import functools
import json
import time
from typing import Any

from aira_jax.core import choices
from aira_jax.llm import Options, guard, http
from aira_jax.llm.base import Completion, ErrorKind, LLMError, Request, Usage

_STOP_REASONS = {"stop": "end_turn", "eos": "end_turn", "length": "max_tokens", None: "end_turn"}
_BROKEN_OFF = ("error", "abort", "aborted", "cancelled", "canceled")
LISTING_S = 5.0


class OpenAICompat:
    """`complete` posts to `base_url`/chat/completions.

    `key_env` "" means no key is sent (local servers); a variable that is named but not set is an error. Sampling
    parameters are sent only when set; `extra` of a request goes into the body as it is. Tokens that the server does not
    count are estimated from characters and marked so.
    """

    backend = "openai_compat"

    def __init__(self, opts: Options):
        if not opts.model:
            raise ValueError("config.llm.model is empty; name a model that the server offers")
        if not opts.base_url:
            raise ValueError(
                "config.llm.base_url is empty; openai_compat needs an address such as http://127.0.0.1:8000/v1"
            )
        self.model = opts.model
        self._base_url = http.checked_url(opts.base_url, "config.llm.base_url").rstrip("/")
        self._key_env, self._deadline_s, self._max_tokens_field = opts.key_env, opts.deadline_s, opts.max_tokens_field

    def complete(self, request: Request) -> Completion:
        """One answer. Raises LLMError."""
        import httpx

        key = http.key(self._key_env) if self._key_env else ""
        seconds = self._deadline_s if request.timeout_s is None else min(self._deadline_s, request.timeout_s)
        timeout = httpx.Timeout(seconds, connect=min(http.CONNECT_S, seconds))
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        started = time.monotonic()
        try:
            address = f"{self._base_url}/chat/completions"
            with _client().stream(
                "POST", address, json=self._body(request), headers=headers, timeout=timeout
            ) as response:
                body = response.read()
        except httpx.TimeoutException:
            raise http.broken(f"no answer within {seconds:.0f} s", key=key, timed_out=True) from None
        except httpx.DecodingError as error:
            raise http.malformed(str(error), key=key) from None
        except httpx.HTTPError as error:
            raise http.broken(f"connection failed: {type(error).__name__}: {error}", key=key) from None
        except Exception as error:  # noqa: BLE001 - what the library raises on a bad proxy, address or body is not listed
            raise http.unusable(error, key=key) from None
        request_id = response.headers.get("x-request-id")
        if response.status_code >= 300:
            raise self._error(response.status_code, _message(body), key, response.headers, request_id)
        return self._completion(body, request, key, response.headers, time.monotonic() - started)

    def _error(self, status: int, message: str, key: str, headers, request_id: str | None) -> LLMError:
        error = http.error(status, message, key=key, key_env=self._key_env, headers=headers, request_id=request_id)
        if status in (400, 404) and error.kind is ErrorKind.BAD_REQUEST:
            offered = self._offered(key)
            if offered and self.model not in offered:
                error.fix = choices.unknown("config.llm.model", self.model, offered[:20])
        return error

    def _offered(self, key: str) -> list[str]:
        """The models that the server lists, none where it lists none."""
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        try:
            listed = _client().get(f"{self._base_url}/models", headers=headers, timeout=LISTING_S).json()["data"]
            return [http.clean(str(model["id"]))[:200] for model in listed]
        except Exception:  # noqa: BLE001 - a list for the message only; whatever is wrong with it, there is none
            return []

    def _body(self, request: Request) -> dict[str, Any]:
        messages = [{"role": "system", "content": request.system}] if request.system else []
        messages.append({"role": "user", "content": request.user})
        sampling = {"temperature": request.sampling.temperature, "top_p": request.sampling.top_p}
        return {
            "model": self.model,
            "messages": messages,
            self._max_tokens_field: request.max_tokens,
            **{name: value for name, value in sampling.items() if value is not None},
            **request.extra,
        }

    def _completion(self, body: bytes, request: Request, key: str, headers, latency_s: float) -> Completion:
        request_id = headers.get("x-request-id")
        data = _parsed(body, key)
        if problem := _error_within(data):
            raise self._error(http.status_named(problem), _words(problem, ""), key, headers, request_id)
        try:
            choice = data["choices"][0]
            message, finish = choice["message"], choice.get("finish_reason")
            text = http.clean(_text(message.get("content")))
            refused = finish == "content_filter" or message.get("refusal")
        except (TypeError, AttributeError, LookupError) as error:
            raise _no_completion(body, error, key) from None
        usage = _usage(data.get("usage"), request, text)
        if finish in _BROKEN_OFF:
            problem = f"the provider broke its answer off (finish_reason {finish})"
            raise LLMError(ErrorKind.OVERLOADED, problem, retryable=True, usage=usage, request_id=request_id)
        if refused:
            fix = "rephrase the task, or use another model"
            raise LLMError(
                ErrorKind.REFUSED, "the model refused to answer", fix=fix, usage=usage, request_id=request_id
            )
        finish = finish.lower() if isinstance(finish, str) else finish
        stop_reason = _STOP_REASONS.get(finish) or http.clean(str(finish))[:100]
        model = data["model"] if isinstance(data.get("model"), str) else self.model
        return Completion(text, stop_reason, usage, model, request_id or _string(data.get("id")), latency_s)


@functools.cache
def _client():
    import httpx

    return guard.client_class(httpx.Client, httpx)()


def _parsed(body: bytes, key: str) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise _no_completion(body, error, key) from None


def _no_completion(body: bytes, error: Exception, key: str) -> LLMError:
    shown = body[:200].decode("utf-8", "replace")
    return http.malformed(f"this is no chat completion ({type(error).__name__}: {error}): {shown!r}", key=key)


def _error_within(data: Any) -> dict[str, Any] | None:
    """The error that an answer of status 200 holds instead of a choice: at its top, in its choice, or by absence."""
    if not isinstance(data, dict):
        return None
    found = data.get("error")
    choice = data["choices"][0] if isinstance(data.get("choices"), list) and data["choices"] else None
    if not found and isinstance(choice, dict):
        found = choice.get("error")
    if not found and choice is None and "choices" in data:
        found = {"message": "the answer has no choice"}
    return found if isinstance(found, dict) or not found else {"message": str(found)}


def _message(body: bytes) -> str:
    """The words of an error body: its error.message (with error.code), else the body. Some send a list of one."""
    text = body.decode("utf-8", "replace")
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        return text
    data = data[0] if isinstance(data, list) and data else data
    error = data.get("error") if isinstance(data, dict) else None
    return _words(error, text) if isinstance(error, dict) else str(error or text)


def _words(error: dict[str, Any], otherwise: str) -> str:
    return " ".join(str(error[name]) for name in ("code", "message") if error.get(name)) or otherwise


def _string(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _text(content: Any) -> str:
    """The answer: a string, or a list of parts of which those of type text count. None is an empty answer."""
    if content is None or isinstance(content, str):
        return content or ""
    return "".join(part["text"] for part in content if part["type"] == "text")


def _usage(data: Any, request: Request, text: str) -> Usage:
    """The server's counts. What it left out or cannot be true is estimated from characters, and marked.

    What its total names beyond prompt and completion (thoughts, with some servers) is output.
    """
    prompt, output = _count(data, "prompt_tokens"), _count(data, "completion_tokens")
    estimated = not prompt or output is None or (not output and bool(text))
    prompt = prompt or http.estimate(request.system + request.user)
    output = output or http.estimate(text)
    beyond = 0 if estimated else max(0, (_count(data, "total_tokens") or 0) - prompt - output)
    cached = min(prompt, _count(data, "prompt_tokens_details", "cached_tokens") or 0)
    reasoning = _count(data, "completion_tokens_details", "reasoning_tokens") or 0
    return Usage(
        input=prompt - cached,
        output=output + beyond,
        cache_read=cached,
        reasoning=max(reasoning, beyond),
        estimated=estimated,
    )


def _count(data: Any, *names: str) -> int | None:
    for name in names:
        data = data.get(name) if isinstance(data, dict) else None
    return http.count(data)
