"""Exact rounding of rational numbers; no float takes part."""

import difflib
import enum
import math
import numbers
from fractions import Fraction


class Rounding(enum.StrEnum):
    """How a rational becomes an integer. `round` is accepted as another word for `nearest`."""

    CEIL = "ceil"
    NEAREST = "nearest"  # halves go up
    FLOOR = "floor"

    @classmethod
    def _missing_(cls, value):
        return cls.NEAREST if value == "round" else None


def apply(rounding: Rounding | str, x: Fraction) -> int:
    """`x` as an integer. Unknown names of a rounding raise ValueError."""
    match choice(Rounding, rounding, "rounding"):
        case Rounding.CEIL:
            return math.ceil(x)
        case Rounding.NEAREST:
            return math.floor(x + Fraction(1, 2))
        case Rounding.FLOOR:
            return math.floor(x)


def exact(value: numbers.Real | str, what: str) -> Fraction:
    """`value` as a positive rational. A float counts as the decimal that it prints as: 1e23 is 10**23, 0.1 is 1/10."""
    try:
        x = Fraction(value if isinstance(value, Fraction) else str(value))
    except (ValueError, ZeroDivisionError) as error:
        raise ValueError(f"{what} {value!r} is no finite number: give one such as 2e19") from error
    if x <= 0:
        raise ValueError(f"{what} {value!r} is not positive: give a number above 0")
    return x


def choice(kind: type[enum.StrEnum], value: str, what: str) -> enum.StrEnum:
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
