"""What a provider's HTTP answer means for the search: one table from status and words to LLMError."""

import email.utils
import os
import re
import time
import urllib.parse
from collections.abc import Mapping

from aira_jax.llm.base import ErrorKind, LLMError, Usage

CONNECT_S = 30.0
CHARS_PER_TOKEN = 4
SHOWN_CHARS = 2000
_TOO_LONG = re.compile(
    r"prompt is too long|context[ _](window|length|size)|maximum context|too many (input )?tokens|input is too long"
    r"|exceed\w* (the )?(model'?s )?context",
    re.IGNORECASE,
)
_AUTH, _TIMEOUT, _BUSY = frozenset({401, 402, 403}), frozenset({408}), frozenset({409})


def error(
    status: int,
    message: str,
    *,
    key: str,
    key_env: str,
    headers: Mapping[str, str] | None = None,
    usage: Usage | None = None,
    request_id: str | None = None,
) -> LLMError:
    """The error of an HTTP status >= 400. `key` is blotted out of the message; `key_env` is named in the mend."""
    kind, retryable, fix = classify(status, message, key_env)
    text = scrub(f"HTTP {status}: {message}", key)
    wish = retry_after_s(headers or {})
    return LLMError(kind, text, retryable=retryable, fix=fix, retry_after_s=wish, usage=usage, request_id=request_id)


def classify(status: int, message: str, key_env: str) -> tuple[ErrorKind, bool, str]:
    """(kind, whether another try can help, what the user can do)."""
    if status in _AUTH:
        name = key_env or "the key variable (config.llm.key_env)"
        return ErrorKind.AUTH, False, f"check {name} and the account behind it, then run the same command to resume"
    if status == 429:
        return ErrorKind.RATE_LIMIT, True, "wait, or lower config.workers.n"
    if status in _TIMEOUT:
        return ErrorKind.TIMEOUT, True, "try again later"
    if status in _BUSY or status >= 500:
        return ErrorKind.OVERLOADED, True, "the provider is overloaded or failing; try again later"
    if status == 413 or _TOO_LONG.search(message):
        return ErrorKind.CONTEXT_LENGTH, False, "lower config.memory.max_chars"
    if status == 404:
        return ErrorKind.BAD_REQUEST, False, "check config.llm.model and config.llm.base_url"
    return ErrorKind.BAD_REQUEST, False, "check config.llm (model, max_tokens, temperature, top_p, extra)"


def broken(problem: str, *, key: str, usage: Usage | None = None, timed_out: bool = False) -> LLMError:
    """No answer, or only a part of one, arrived: a connection that failed, was cut, or took too long."""
    fix = "raise config.llm.deadline_s" if timed_out else "check the network and config.llm.base_url"
    return LLMError(ErrorKind.TIMEOUT, scrub(problem, key), retryable=True, fix=fix, usage=usage)


def malformed(problem: str, *, key: str, usage: Usage | None = None) -> LLMError:
    """An answer arrived that is not in the provider's own format."""
    fix = "check that config.llm.base_url speaks the API of config.llm.backend"
    return LLMError(ErrorKind.MALFORMED, scrub(problem, key), fix=fix, usage=usage)


def key(key_env: str) -> str:
    """The API key in the environment variable `key_env`. Raises LLMError(AUTH) naming it when it is not set."""
    value = os.environ.get(key_env, "").strip()
    if not value:
        fix = f"set {key_env} in the environment, then run the same command to resume"
        raise LLMError(ErrorKind.AUTH, f"no API key: the environment variable {key_env} is not set", fix=fix)
    return value


def checked_url(url: str, name: str) -> str:
    """`url` itself. Raises ValueError when it is given but is no http address."""
    try:
        parts = urllib.parse.urlsplit(url)
        valid = parts.scheme in ("http", "https") and parts.hostname and (parts.port is None or parts.port > 0)
    except ValueError:
        valid = False
    if url and not valid:
        raise ValueError(f"{name}={url!r} is no address; it must look like https://host/v1 or http://127.0.0.1:8000/v1")
    return url


def clean(text: str) -> str:
    """`text` with U+FFFD for lone surrogates, which JSON can carry but UTF-8 cannot."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def scrub(text: str, key: str) -> str:
    """`text` without the key, and not longer than a screen."""
    shown = text.replace(key, "[key]") if key else text
    return shown if len(shown) <= SHOWN_CHARS else f"{shown[:SHOWN_CHARS]} [...]"


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Seconds that a retry-after header asks for: a number, or a date. None without one that can be read."""
    wish = headers.get("retry-after")
    if wish is None:
        return None
    if re.fullmatch(r"\s*\d+(\.\d+)?\s*", wish):
        return float(wish)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(wish).timestamp() - time.time())
    except ValueError:
        return None
