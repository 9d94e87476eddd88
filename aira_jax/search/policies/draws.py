"""The randomness of a policy."""

from typing import Protocol


class Draws(Protocol):
    """What a policy may draw from (a numpy Generator has both)."""

    def random(self) -> float: ...

    def integers(self, high: int) -> int: ...
