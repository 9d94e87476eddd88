"""Names that users write: the member of an enum, or an error with the nearest known names."""

import difflib
import enum


def member(kind: type[enum.StrEnum], value: str, what: str) -> enum.StrEnum:
    """The member of `kind` that `value` names; otherwise a ValueError with the nearest name and the list."""
    try:
        return kind(value)
    except ValueError as error:
        raise ValueError(unknown(what, value, [str(m) for m in kind])) from error


def unknown(what: str, value: object, known: list[str]) -> str:
    """One line for an unknown name: the nearest known names, then all of them."""
    close = difflib.get_close_matches(str(value), known, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(close)}? " if close else ""
    return f"unknown {what} {value!r}: {hint}Known: {', '.join(known)}"
