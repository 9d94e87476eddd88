"""Names that users write: the known one that they may have meant, and an error that lists all."""

import difflib
import enum
from collections.abc import Iterable

SIMILAR = 0.5


def hint(word: object, known: Iterable[str]) -> str:
    """` (did you mean "x"?)` with the nearest known name, or nothing when none is near."""
    near = difflib.get_close_matches(str(word), list(known), n=1, cutoff=SIMILAR)
    return f' (did you mean "{near[0]}"?)' if near else ""


def refusal(problem: str, word: object, known: Iterable[str]) -> str:
    """`problem` in one line with the nearest known name to `word`, then all of them."""
    known = list(known)
    return f"{problem}{hint(word, known)}; valid: {', '.join(known) or 'none'}"


def unknown(what: str, value: object, known: Iterable[str]) -> str:
    """The refusal of a name: `unknown task 'MAD' (did you mean "MAD2"?); valid: MAD2, MAD3`."""
    return refusal(f"unknown {what} {value!r}", value, known)


def among(what: str, value: str, known: Iterable[str]) -> str:
    """`value`, which must be one of `known`. Raises ValueError, worded by `unknown`."""
    if value not in known:
        raise ValueError(unknown(what, value, known))
    return value


def member(kind: type[enum.StrEnum], value: object, what: str) -> enum.StrEnum:
    """The member of `kind` that `value` names. Raises ValueError, worded by `unknown`."""
    try:
        return kind(value)
    except ValueError:
        raise ValueError(unknown(what, value, kind)) from None
