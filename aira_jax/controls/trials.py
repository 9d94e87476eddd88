"""What a proposer knows and what it says: a region of patterns, the trials so far, the next pattern."""

import dataclasses
import enum
import itertools
from collections.abc import Collection, Iterable, Iterator, Sequence

from aira_jax.controls import moves
from aira_jax.patterns import Pattern

SMALL = 729  # regions of at most so many patterns (3 to the 6th) are enumerated
_DRAWS = 32


class Method(enum.StrEnum):
    """How patterns are found. MUTATE and the incremental searches follow Composer (arXiv 2510.00379)."""

    RANDOM = "random"
    MUTATE = "mutate"
    BO = "bo"
    END_INCREMENTAL = "end_incremental"
    MIDDLE_INCREMENTAL = "middle_incremental"
    EXHAUSTIVE = "exhaustive"


@dataclasses.dataclass(frozen=True)
class Options:
    """`per_round` layers are searched at a time, with `trials` evaluations over all rounds (incremental methods).

    `force` lets EXHAUSTIVE enumerate more than 729 patterns. BO begins with `initial` distinct uniform draws.
    """

    per_round: int = 4
    trials: int = 100
    force: bool = False
    initial: int = 8


DEFAULTS = Options()


@dataclasses.dataclass(frozen=True)
class Trial:
    """An evaluated pattern. `quality` is signed so that more is better; None: its evaluation failed."""

    pattern: Pattern
    quality: float | None


@dataclasses.dataclass(frozen=True)
class Proposal:
    """The next pattern, why, and the pattern that it was made from, if any."""

    pattern: Pattern
    rationale: str
    parent: Pattern | None = None


class Exhausted(ValueError):
    """There is nothing left to propose: the search is complete."""


@dataclasses.dataclass(frozen=True)
class Region:
    """All patterns of `layers` layers of `primitives`."""

    primitives: tuple[str, ...]
    layers: int

    @property
    def size(self) -> int:
        return len(self.primitives) ** self.layers

    def __iter__(self) -> Iterator[Pattern]:
        """Every pattern once, in the order of `primitives`."""
        return map(Pattern, itertools.product(self.primitives, repeat=self.layers))

    def __contains__(self, pattern: Pattern) -> bool:
        return len(pattern) == self.layers and set(pattern.layers) <= set(self.primitives)

    def sample(self, rng) -> Pattern:
        """A uniform draw."""
        return Pattern(tuple(self.primitives[int(rng.integers(len(self.primitives)))] for _ in range(self.layers)))

    def mutate(self, pattern: Pattern, rng) -> Pattern:
        """A pattern that differs by one layer, by two swapped layers or by a copied block."""
        return Pattern(moves.mutate(pattern.layers, self.primitives, rng))

    def cross(self, head: Pattern, tail: Pattern, rng) -> Pattern:
        """The beginning of one pattern and the end of another; it may be one of the two."""
        return Pattern(moves.cross(head.layers, tail.layers, rng))


def known(trials: Iterable[Trial], pending: Iterable[Pattern]) -> set[Pattern]:
    """What must not be proposed again."""
    return {*(trial.pattern for trial in trials), *pending}


def fresh(region: Region, taken: Collection[Pattern], rng) -> Pattern:
    """A uniform draw among what is not taken. Raises Exhausted when all is taken."""
    for _ in range(_DRAWS):
        pattern = region.sample(rng)
        if pattern not in taken:
            return pattern
    left = [pattern for pattern in region if pattern not in taken]
    if not left:
        raise Exhausted(f"all {region.size} patterns of {region.layers} layers were proposed: the search is complete")
    return left[int(rng.integers(len(left)))]


def best(trials: Sequence[Trial], n: int) -> list[Trial]:
    """The n best trials with a quality, the earliest first among equals."""
    return sorted((t for t in trials if t.quality is not None), key=lambda t: -t.quality)[:n]
