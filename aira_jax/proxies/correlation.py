"""Does a cheap fidelity rank patterns as an expensive one does? Rank statistics with bootstrap intervals."""

import dataclasses
import math
from collections.abc import Callable, Sequence

import numpy as np
from scipy import stats

from aira_jax.patterns import Pattern

MIN_PATTERNS = 8
_RESAMPLES = 2000


@dataclasses.dataclass(frozen=True)
class Statistic:
    """A value and its bootstrap 95 % interval over patterns."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.2f} [{self.low:.2f}, {self.high:.2f}]"


def sample(n: int, layers: int = 16, seed: int = 0) -> list[Pattern]:
    """`n` distinct patterns of attention and MLP layers; 2 to layers - 2 are attention, all counts alike likely."""
    g = np.random.default_rng(seed)
    found: dict[Pattern, None] = {}
    while len(found) < n:
        tokens = ["A"] * int(g.integers(2, layers - 1))
        tokens += ["M"] * (layers - len(tokens))
        found.setdefault(Pattern(tuple(g.permutation(tokens).tolist())))
    return list(found)


def ranks(values: Sequence[float]) -> np.ndarray:
    """Ranks from 0, ties share their mean rank."""
    return stats.rankdata(values) - 1


def spearman(a: Sequence[float], b: Sequence[float]) -> float:
    """Spearman's rho; NaN if one side is constant."""
    return _unless_constant(stats.spearmanr, a, b)


def kendall(a: Sequence[float], b: Sequence[float]) -> float:
    """Kendall's tau-b; NaN if one side is constant."""
    return _unless_constant(stats.kendalltau, a, b)


def _unless_constant(statistic: Callable, a: Sequence[float], b: Sequence[float]) -> float:
    return math.nan if np.ptp(a) == 0 or np.ptp(b) == 0 else float(statistic(a, b).statistic)


def with_interval(
    statistic: Callable[[Sequence[float], Sequence[float]], float], a: Sequence[float], b: Sequence[float]
) -> Statistic:
    """`statistic` of paired values, resampled over the pairs. Raises ValueError for fewer than eight pairs."""
    a, b = np.asarray(a), np.asarray(b)
    if len(a) < MIN_PATTERNS:
        raise ValueError(f"{len(a)} patterns are too few to tell: use at least {MIN_PATTERNS}")
    g = np.random.default_rng(0)
    draws = [statistic(a[rows], b[rows]) for rows in g.integers(0, len(a), (_RESAMPLES, len(a)))]
    low, high = np.nanquantile(draws, [0.025, 0.975])
    return Statistic(statistic(a, b), float(low), float(high))


def top_overlap(a: Sequence[float], b: Sequence[float], k: int) -> float:
    """Share of the k best of `a` that are among the k best of `b` (higher is better)."""
    best = [set(np.argsort(-np.asarray(v), kind="stable")[:k].tolist()) for v in (a, b)]
    return len(best[0] & best[1]) / k
