"""Text from candidates and models, made safe to look at: no control characters, nothing hidden, bounded length."""

import base64
import json
import re
import urllib.parse
from collections.abc import Iterable, Sequence

_CONTROL = {code: chr(0x2400 + code) for code in range(0x20) if chr(code) not in "\n\t"} | {0x7F: "\u2421"}
_DIRECTION = dict.fromkeys([*range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x200E, 0x200F, 0x061C], "\ufffd")
_C1_AND_SURROGATES = dict.fromkeys([*range(0x80, 0xA0), *range(0xD800, 0xE000)], "\ufffd")
_VISIBLE = _CONTROL | _DIRECTION | _C1_AND_SURROGATES
_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\))")
SECRET_NAME = re.compile("key|token|secret|passw|passphrase|credential", re.IGNORECASE)  # of a variable
LEAST_SECRET_CHARS = 8  # of a line of a secret; what is shorter occurs in innocent text, too
_LINE_CHARS = 2_000  # a longer line is cut in its middle


def visible(text: str) -> str:
    """The text without colour codes and with every other control character shown as a symbol.

    Marks that reverse the direction of writing become U+FFFD: they could make shown code differ from run code.
    """
    return _ANSI.sub("", text.replace("\r\n", "\n")).translate(_VISIBLE)


def one_line(text: str, limit: int = 200) -> str:
    """The text as a single visible line of at most `limit` characters."""
    flat = " ".join(visible(text).split())
    return flat if len(flat) <= limit else flat[: limit - 1] + "…"


def cut(text: str, limit: int, whole: str) -> str:
    """At most about `limit` bytes of markup: whole lines of the head (60 %) and of the tail, the missing count between.

    The size of a line is what it takes in an HTML file in UTF-8. `whole` tells where the uncut text lies.
    """
    lines = text.replace("\r\n", "\n").split("\n")
    head = _fitting(lines, limit)
    if len(head) == len(lines):
        return "\n".join(head)
    head = _fitting(lines, 0.6 * limit)
    tail = _fitting(lines[: len(head) - 1 if head else None : -1], 0.4 * limit)[::-1]
    missing = lines[len(head) : len(lines) - len(tail)]
    note = f"[… {len(missing):,} lines ({sum(map(len, missing)):,} characters) left out here; all of it: {whole} …]"
    return "\n".join([*head, note, *tail])


def secret_forms(secret: str) -> tuple[str, ...]:
    """How a secret may stand in a text, longest first: raw, escaped (JSON, Python), in an address, in hex and base64.

    Each of its lines counts for itself, the whole in any case; base64 is found inside of longer encoded data, too.
    """
    lines = [line.strip() for line in secret.splitlines()]
    parts = {secret, *(line for line in lines if len(line) >= LEAST_SECRET_CHARS)} - {""}
    return tuple(sorted({form for part in parts for form in _written(part)}, key=len, reverse=True))


def without(text: str, forms: Iterable[str], instead: str) -> str:
    """`text` with `instead` in the place of every form."""
    for form in forms:
        text = text.replace(form, instead)
    return text


def _written(part: str) -> Iterable[str]:
    for escaped in (part, json.dumps(part)[1:-1], json.dumps(part, ensure_ascii=False)[1:-1], repr(part)[1:-1]):
        yield from (escaped, escaped.replace("/", "\\/"))
    yield from (urllib.parse.quote(part, safe=""), urllib.parse.quote(part), urllib.parse.quote_plus(part))
    if len(part) < LEAST_SECRET_CHARS:
        return
    data = part.encode("utf-8", "surrogateescape")
    yield from (data.hex(), data.hex().upper())
    for shift in range(3):  # where it begins within a group of three bytes: what depends on its neighbours is left out
        core = slice(-(-8 * shift // 6), 8 * (shift + len(data)) // 6)
        encoded = bytes(shift) + data
        yield from (encode(encoded)[core].decode() for encode in (base64.b64encode, base64.urlsafe_b64encode))


def _fitting(lines: Sequence[str], limit: float) -> list[str]:
    """As many leading lines as fit into `limit` bytes of markup, each of them visible."""
    kept, total = [], 0
    for line in lines:
        shown = _cut_line(visible(line))
        total += _markup_bytes(shown)
        if total > limit:
            return kept
        kept.append(shown)
    return kept


def _cut_line(line: str) -> str:
    if len(line) <= _LINE_CHARS:
        return line
    half = _LINE_CHARS // 2
    return f"{line[:half]} [… {len(line) - 2 * half:,} characters left out …] {line[-half:]}"


def _markup_bytes(line: str) -> int:
    return len(line.encode()) + 4 * sum(map(line.count, "&<>\"'")) + 1
