"""Who votes on a pattern, and with what weight: rankings of scored patterns, and the selectors that narrow them."""

import dataclasses
import math
from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from fractions import Fraction
from typing import Protocol

from aira_jax.compose import dims as dims_lib
from aira_jax.compose import kmeans
from aira_jax.compose.flops import as_pattern
from aira_jax.core import rounding as rounding_lib
from aira_jax.patterns import Pattern, validate


@dataclasses.dataclass(frozen=True)
class Voter:
    """A scored pattern. `rank` is 1 for the best of its ranking; `weight` is what its vote counts."""

    pattern: Pattern
    score: float
    rank: int
    weight: Fraction = Fraction(1)


Voters = tuple[Voter, ...]  # best first


@dataclasses.dataclass(frozen=True)
class Ranking:
    """All scored patterns of one data set. `preset` and `space` are None where they are not known."""

    voters: Voters
    preset: str | None = None
    space: int | str | None = None


class Selector(Protocol):
    """Keeps some voters of one data set, or changes their weights; raises ValueError where it cannot."""

    def select(self, voters: Voters) -> Voters: ...


@dataclasses.dataclass(frozen=True)
class TopK:
    """The first k."""

    k: int = 20

    def select(self, voters: Voters) -> Voters:
        if not 1 <= self.k <= len(voters):
            raise ValueError(f"the top {self.k} of {len(voters)} patterns: choose k from 1 to {len(voters)}")
        return voters[: self.k]


@dataclasses.dataclass(frozen=True)
class KMeansTop:
    """The best cluster of optimal one-dimensional k-means on the scores (k = 3 in the paper, 5 in Composer)."""

    clusters: int = 3

    def select(self, voters: Voters) -> Voters:
        scores = [rounding_lib.rational(v.score, "score") for v in voters]
        return voters[: kmeans.cluster_sizes(scores, self.clusters)[0]]


@dataclasses.dataclass(frozen=True)
class RankDecay:
    """Weights exp(-decay (r - 1)) for the first n voters r = 1..n, or for all where there are fewer."""

    decay: float = 0.5
    n: int = 20

    def __post_init__(self):
        if not 0 <= self.decay < math.inf or self.n < 1:
            raise ValueError(f"{self}: decay must be a finite number >= 0 and n at least 1")

    def select(self, voters: Voters) -> Voters:
        decayed = ((v, Fraction(math.exp(-self.decay * i))) for i, v in enumerate(voters[: self.n]))
        return tuple(dataclasses.replace(v, weight=v.weight * w) for v, w in decayed if w)


def rank(
    patterns: Sequence[Pattern | str],
    scores: Sequence[float],
    *,
    higher_is_better: bool = True,
    weights: Sequence[float] | None = None,
    presets: Sequence[str] | None = None,
    spaces: Sequence[int] | None = None,
) -> Ranking:
    """Best first; equal scores in the order of the canonical strings.

    Raises ValueError for no patterns, unequal lengths (of the arguments or of the patterns), a score that is not
    finite, a weight that is not positive, mixed presets or spaces, and a primitive outside the space.
    """
    if len(patterns) == 0:
        raise ValueError("no patterns: give at least one pattern with its score")
    columns = {"scores": scores, "weights": weights, "presets": presets, "spaces": spaces}
    for name, column in columns.items():
        if column is not None and len(column) != len(patterns):
            raise ValueError(f"{len(patterns)} patterns and {len(column)} {name}: give one per pattern")
    preset = one_kind("presets", presets or ())
    space = one_kind("spaces", spaces or ())
    voters = [
        Voter(
            as_pattern(pattern),
            _finite(score, f"score of pattern {i}"),
            rank=0,
            weight=Fraction(1) if weights is None else rounding_lib.positive(weights[i - 1], f"weight of pattern {i}"),
        )
        for i, (pattern, score) in enumerate(zip(patterns, scores, strict=True), 1)
    ]
    check_lengths([v.pattern for v in voters])
    if space is not None:
        for v in voters:
            validate(v.pattern, primitives=dims_lib.primitives(space))
    sign = -1 if higher_is_better else 1
    voters.sort(key=lambda v: (sign * v.score, v.pattern.canonical()))
    ranked = tuple(dataclasses.replace(v, rank=r) for r, v in enumerate(voters, 1))
    return Ranking(ranked, preset=preset, space=space)


def check_lengths(patterns: Sequence[Pattern]) -> None:
    """Raises ValueError unless all patterns have as many layers as the first."""
    for i, pattern in enumerate(patterns, 1):
        if len(pattern) != len(patterns[0]):
            raise ValueError(
                f"pattern {i} ({pattern}) has {len(pattern)} layers, pattern 1 ({patterns[0]}) has {len(patterns[0])}: "
                "aggregate patterns of one length only"
            )


def one_kind(what: str, values: Iterable[Hashable]) -> Hashable | None:
    """The value that all of `values` share, None if there is none; ValueError for a mixture."""
    found = Counter(values)
    if len(found) > 1:
        listed = ", ".join(f"{n} of {value}" for value, n in found.most_common())
        raise ValueError(f"mixed {what} ({listed}): their scores cannot be compared, so take each alone")
    return next(iter(found), None)


def _finite(score: float, what: str) -> float:
    if not math.isfinite(score):
        raise ValueError(f"{what} is {score}: leave out patterns whose evaluation failed")
    return float(score)
