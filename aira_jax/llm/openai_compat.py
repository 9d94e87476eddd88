"""Any server that speaks the chat-completions protocol, through httpx: one POST a call, with or without a key."""

import functools
import json
import math
import time
from typing import Any

from aira_jax.llm import Options, http
from aira_jax.llm.base import Completion, ErrorKind, LLMError, Request, Usage

_STOP_REASONS = {"stop": "end_turn", "length": "max_tokens"}


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
        self._url = http.checked_url(opts.base_url, "config.llm.base_url").rstrip("/") + "/chat/completions"
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
            with _client().stream(
                "POST", self._url, json=self._body(request), headers=headers, timeout=timeout
            ) as response:
                body = _read(response, started + seconds)
        except httpx.TimeoutException:
            raise http.broken(f"no answer within {seconds:.0f} s", key=key, timed_out=True) from None
        except httpx.HTTPError as error:
            raise http.broken(f"connection failed: {type(error).__name__}: {error}", key=key) from None
        request_id = response.headers.get("x-request-id")
        if response.status_code >= 400:
            raise http.error(
                response.status_code,
                _message(body),
                key=key,
                key_env=self._key_env,
                headers=response.headers,
                request_id=request_id,
            )
        return self._completion(body, request, key, request_id, time.monotonic() - started)

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

    def _completion(
        self, body: bytes, request: Request, key: str, request_id: str | None, latency_s: float
    ) -> Completion:
        try:
            data = json.loads(body)
            choice = data["choices"][0]
            message, finish = choice["message"], choice.get("finish_reason")
            text = http.clean(_text(message.get("content")))
            usage = _usage(data.get("usage"), request, text)
        except (ValueError, TypeError, AttributeError, LookupError) as error:
            shown = body[:200].decode("utf-8", "replace")
            problem = f"this is no chat completion ({type(error).__name__}: {error}): {shown!r}"
            raise http.malformed(problem, key=key) from None
        if finish == "content_filter" or message.get("refusal"):
            fix = "rephrase the task, or use another model"
            raise LLMError(
                ErrorKind.REFUSED, "the model refused to answer", fix=fix, usage=usage, request_id=request_id
            )
        stop_reason = _STOP_REASONS.get(finish, str(finish or "end_turn"))
        model = data["model"] if isinstance(data.get("model"), str) else self.model
        return Completion(text, stop_reason, usage, model, request_id or data.get("id"), latency_s)


@functools.cache
def _client():
    import httpx

    return httpx.Client()


def _read(response, end: float) -> bytes:
    """The whole body. Raises httpx.ReadTimeout when it is not there at `end`, however steadily it drips."""
    import httpx

    chunks = []
    for chunk in response.iter_bytes():
        chunks.append(chunk)
        if time.monotonic() > end:
            raise httpx.ReadTimeout("the answer did not end in time", request=response.request)
    return b"".join(chunks)


def _message(body: bytes) -> str:
    """The words of an error body: its error.message (with error.code), else the body."""
    text = body.decode("utf-8", "replace")
    try:
        error = json.loads(text).get("error")
    except (ValueError, AttributeError):
        return text
    if not isinstance(error, dict):
        return str(error or text)
    return " ".join(str(error[name]) for name in ("code", "message") if error.get(name)) or text


def _text(content: Any) -> str:
    """The answer: a string, or a list of parts of which those of type text count. None is an empty answer."""
    if content is None or isinstance(content, str):
        return content or ""
    return "".join(part["text"] for part in content if part["type"] == "text")


def _usage(data: Any, request: Request, text: str) -> Usage:
    """The server's counts; what it left out is a quarter of the characters, rounded up, and marked as estimated."""
    data = data or {}
    prompt, output = data.get("prompt_tokens"), data.get("completion_tokens")
    cached = (data.get("prompt_tokens_details") or {}).get("cached_tokens") or 0
    reasoning = (data.get("completion_tokens_details") or {}).get("reasoning_tokens") or 0
    return Usage(
        input=max(0, (_tokens(request.system + request.user) if prompt is None else int(prompt)) - int(cached)),
        output=_tokens(text) if output is None else int(output),
        cache_read=int(cached),
        reasoning=int(reasoning),
        estimated=prompt is None or output is None,
    )


def _tokens(text: str) -> int:
    return math.ceil(len(text) / http.CHARS_PER_TOKEN)
