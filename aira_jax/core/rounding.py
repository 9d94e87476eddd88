"""Exact rounding of rational numbers; no float takes part."""

import enum
import math
import numbers
from fractions import Fraction

from aira_jax.core import choices


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
    match choices.member(Rounding, rounding, "rounding"):
        case Rounding.CEIL:
            return math.ceil(x)
        case Rounding.NEAREST:
            return math.floor(x + Fraction(1, 2))
        case Rounding.FLOOR:
            return math.floor(x)


def rational(value: float | str | Fraction, what: str) -> Fraction:
    """`value` without rounding. A float counts as the decimal that it prints as: 1e23 is 10**23, 0.1 is 1/10."""
    if isinstance(value, numbers.Rational):
        return Fraction(value)
    try:
        return Fraction(repr(float(value)))
    except ValueError as error:
        raise ValueError(f"{what} {value!r} is no finite number") from error


def positive(value: float | str | Fraction, what: str) -> Fraction:
    """`rational`, which must be above 0."""
    x = rational(value, what)
    if x <= 0:
        raise ValueError(f"{what} {value!r} is not positive: give a number above 0")
    return x
