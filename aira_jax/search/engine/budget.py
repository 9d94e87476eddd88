"""What a run may spend and has spent: one algebra over wall-clock, device time, steps, tokens and dollars."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from aira_jax.llm import prices
from aira_jax.llm.base import Usage

AXES = ("wall_s", "device_s", "steps", "tokens", "usd")
CHARS_PER_TOKEN = 4


@dataclasses.dataclass(frozen=True)
class Budget:
    """Seconds, device-seconds, steps, tokens, US dollars. None: unlimited as a limit, unknown as a spend."""

    wall_s: float | None = None
    device_s: float | None = None
    steps: int | None = None
    tokens: int | None = None
    usd: float | None = None

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> "Budget":
        """The axes among `values`; other keys are ignored."""
        return cls(**{axis: values.get(axis) for axis in AXES})

    def to_json(self) -> dict[str, float | int | None]:
        return dataclasses.asdict(self)

    def __sub__(self, spent: "Budget") -> "Budget":
        """What is left, axis by axis; an unlimited axis stays unlimited."""
        return self._zip(spent, lambda a, b: None if a is None else a - (b or 0))

    def __add__(self, other: "Budget") -> "Budget":
        return self._zip(other, lambda a, b: None if a is None or b is None else a + b)

    def min(self, other: "Budget") -> "Budget":
        """The tighter limit, axis by axis."""
        return self._zip(other, lambda a, b: b if a is None else a if b is None else min(a, b))

    def reached(self, spent: "Budget") -> str | None:
        """The first axis on which `spent` is at or above this limit, or None."""
        for axis in AXES:
            limit, used = getattr(self, axis), getattr(spent, axis)
            if limit is not None and used is not None and used >= limit:
                return axis
        return None

    def passed(self, spent: "Budget") -> str | None:
        """The first axis on which `spent` would lie above this limit, or None (for reservations)."""
        for axis in AXES:
            limit, used = getattr(self, axis), getattr(spent, axis)
            if limit is not None and used is not None and used > limit:
                return axis
        return None

    def _zip(self, other: "Budget", combine) -> "Budget":
        return Budget(*(combine(getattr(self, axis), getattr(other, axis)) for axis in AXES))


@dataclasses.dataclass(frozen=True)
class Price:
    """US dollars per million tokens, one figure per class of tokens."""

    input: float
    cache_write_5m: float
    cache_write_1h: float
    cache_read: float
    output: float

    def usd(self, usage: Usage) -> float:
        """Dollars of one call."""
        return (
            usage.input * self.input
            + usage.cache_write_5m * self.cache_write_5m
            + usage.cache_write_1h * self.cache_write_1h
            + usage.cache_read * self.cache_read
            + usage.output * self.output
        ) / 1e6


def price(model: str, overrides: Mapping[str, Any]) -> Price | None:
    """The price of `model`: config.llm.prices, else the list price, else None. ValueError for a malformed entry."""
    row = prices.of(model, overrides)
    return None if row is None else Price(**row)


def cost(usage: Usage, model_price: Price | None) -> float | None:
    """Dollars of a call; None when tokens were used and no price is known."""
    if model_price is None:
        return 0.0 if usage.tokens == 0 else None
    return model_price.usd(usage)


def reservation(prompt_chars: int, max_tokens: int, model_price: Price | None, *, free: bool) -> Budget:
    """The most that one call can cost: every prompt token at the dearest input class, and a full answer."""
    if free:
        return Budget(0, 0, 0, 0, 0.0)
    prompt_tokens = math.ceil(prompt_chars / CHARS_PER_TOKEN)
    if model_price is None:
        return Budget(0, 0, 0, prompt_tokens + max_tokens, None)
    dearest = max(model_price.input, model_price.cache_write_5m)
    usd = (prompt_tokens * dearest + max_tokens * model_price.output) / 1e6
    return Budget(0, 0, 0, prompt_tokens + max_tokens, usd)
