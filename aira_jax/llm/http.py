"""What a provider's HTTP answer means for the search: one table from status and words to LLMError."""

import email.utils
import math
import os
import re
import time
import urllib.parse
from collections.abc import Mapping
from typing import Any

from aira_jax.core.text import secret_forms, without
from aira_jax.llm.base import ErrorKind, LLMError, Usage

CONNECT_S = 30.0
CHARS_PER_TOKEN = 4
MOST_TOKENS = 10**9  # a larger count is a fault of the server's
SHOWN_CHARS = 2000
_TOO_LONG = re.compile(
    r"prompt is too long|context[ _](window|length|size)|maximum context|too many (input )?tokens|input is too long"
    r"|exceed\w* (the )?(model'?s )?context|exceed\w* the maximum number of (input )?tokens",
    re.IGNORECASE,
)
_PER_MINUTE = re.compile(r"tokens per (minute|day)|\b[TR]PM\b|rate.?limit", re.IGNORECASE)
_UNPAID = re.compile(r"insufficient_quota|billing|credit balance", re.IGNORECASE)
_AUTH, _TIMEOUT, _BUSY = frozenset({401, 402, 403}), frozenset({408, 499}), frozenset({409, 425})
_WORDS = {  # of an error in the body of an answer with status 200, longest match first
    "insufficient_quota": 429,
    "rate_limit": 429,
    "resource_exhausted": 429,
    "authentication": 401,
    "api_key": 401,
    "permission": 403,
    "not_found": 404,
    "invalid": 400,
    "context_length": 400,
    "timeout": 504,
    "overloaded": 529,
}


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
    """The error of an HTTP status >= 300. `key` is blotted out of the message; `key_env` is named in the mend."""
    headers = headers or {}
    if 300 <= status < 400:
        message = f"redirected to {without_secrets(headers.get('location', 'nowhere'))}, which is not followed"
    kind, retryable, fix = classify(status, message, key_env)
    text = scrub(f"HTTP {status}: {message}", key)
    wish = retry_after_s(headers)
    return LLMError(kind, text, retryable=retryable, fix=fix, retry_after_s=wish, usage=usage, request_id=request_id)


def classify(status: int, message: str, key_env: str) -> tuple[ErrorKind, bool, str]:
    """(kind, whether another try can help, what the user can do)."""
    if 300 <= status < 400:
        return ErrorKind.BAD_REQUEST, False, "set config.llm.base_url to the address that answers itself"
    if status in _AUTH or (status == 429 and _UNPAID.search(message)):
        name = key_env or "the key variable (config.llm.key_env)"
        return ErrorKind.AUTH, False, f"check {name} and the account behind it, then run the same command to resume"
    if status == 429 or (status == 413 and _PER_MINUTE.search(message)):
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


def unusable(problem: Exception, *, key: str) -> LLMError:
    """No call could be made: a proxy variable, an address or a key that the HTTP library refuses."""
    fix = "check config.llm.base_url and the environment's HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY"
    told = "" if type(problem).__name__ == "InvalidURL" else f": {problem}"  # that text quotes parts of a password
    text = scrub(f"the call cannot be made: {type(problem).__name__}{told}", key)
    return LLMError(ErrorKind.BAD_REQUEST, text, fix=fix)


def status_named(error: Mapping[str, Any]) -> int:
    """The HTTP status that an error body names by number or word; 502 when it names none."""
    for name in ("code", "status", "type"):
        value = error.get(name)
        if isinstance(value, int | str) and re.fullmatch(r"[45]\d\d", str(value)):
            return int(value)
    words = " ".join(str(error.get(name)) for name in ("code", "status", "type")).lower()
    return next((status for word, status in _WORDS.items() if word in words), 502)


def count(value: Any) -> int | None:
    """A server's count of tokens, None for what is no count: nothing, no whole number, negative, or absurd."""
    return value if type(value) is int and 0 <= value <= MOST_TOKENS else None


def estimate(text: str) -> int:
    """Tokens of a text whose tokens nobody counted: a quarter of its characters, rounded up."""
    return math.ceil(len(text) / CHARS_PER_TOKEN)


def key(key_env: str) -> str:
    """The API key in the environment variable `key_env`.

    Raises LLMError(AUTH) naming the variable when it is not set or holds what no key can hold.
    """
    value = os.environ.get(key_env, "").strip()
    if not value:
        fix = f"set {key_env} in the environment, then run the same command to resume"
        raise LLMError(ErrorKind.AUTH, f"no API key: the environment variable {key_env} is not set", fix=fix)
    if not re.fullmatch(r"[!-~]+", value) or value[0] in "\"'":
        problem = f"the environment variable {key_env} holds white space, quotes or other signs that no key has"
        raise LLMError(ErrorKind.AUTH, problem, fix=f"set {key_env} to the bare key, then run the same command")
    return value


def checked_url(url: str, name: str) -> str:
    """`url` itself. Raises ValueError when it is given but is no http address, or holds a user name, password or query.

    Addresses stand in logs and reports; a key belongs into the variable that config.llm.key_env names.
    """
    try:
        parts = urllib.parse.urlsplit(url)
        valid = parts.scheme in ("http", "https") and parts.hostname and (parts.port is None or parts.port > 0)
    except ValueError:
        valid = False
    if not url:
        return url
    if "@" in url or (valid and (parts.query or parts.fragment)):
        raise ValueError(
            f"{name}={without_secrets(url)!r} was given with a user name, a password or a query; give the bare address "
            "and name the variable that holds the key by config.llm.key_env"
        )
    if not valid or not url.isprintable() or " " in url:
        problem = f"{name}={without_secrets(url)!r} is no address"
        raise ValueError(f"{problem}; it must look like https://host/v1 or http://127.0.0.1:8000/v1")
    return url


def without_secrets(url: str) -> str:
    """The address without user name, password, query and fragment."""
    scheme, slashes, rest = url.partition("//")
    if not slashes:
        scheme, rest = "", url
    return f"{scheme}{slashes}{re.split(r'[?#]', rest.rpartition('@')[2], maxsplit=1)[0]}"


def clean(text: str) -> str:
    """`text` with U+FFFD for lone surrogates, which JSON can carry but UTF-8 cannot."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def scrub(text: str, key: str) -> str:
    """`text` without the key in any of its written forms, and not longer than a screen."""
    text = without(text, secret_forms(key), "[key]")
    return text if len(text) <= SHOWN_CHARS else f"{text[:SHOWN_CHARS]} [...]"


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
