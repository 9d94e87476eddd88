"""Does a cheap fidelity rank patterns as an expensive one does? Rank statistics with bootstrap intervals."""

import dataclasses
import math
from collections.abc import Callable, Sequence

import numpy as np

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
    """`n` distinct patterns of attention and MLP layers, drawn as the searches without a language model draw them."""
    g = np.random.default_rng(seed)
    found: dict[Pattern, None] = {}
    while len(found) < n:
        found.setdefault(Pattern(tuple("AM"[int(g.integers(2))] for _ in range(layers))))
    return list(found)


def _stats():
    """scipy.stats, on first use: it takes as long to import as all else that --help needs."""
    from scipy import stats

    return stats


def ranks(values: Sequence[float]) -> np.ndarray:
    """Ranks from 0, ties share their mean rank."""
    return _stats().rankdata(values) - 1


def spearman(a: Sequence[float], b: Sequence[float]) -> float:
    """Spearman's rho; NaN if one side is constant."""
    return _unless_constant(_stats().spearmanr, a, b)


def kendall(a: Sequence[float], b: Sequence[float]) -> float:
    """Kendall's tau-b; NaN if one side is constant."""
    return _unless_constant(_stats().kendalltau, a, b)


def _unless_constant(statistic: Callable, a: Sequence[float], b: Sequence[float]) -> float:
    return math.nan if np.ptp(a) == 0 or np.ptp(b) == 0 else float(statistic(a, b).statistic)


def partial(a: Sequence[float], b: Sequence[float], given: Sequence[float]) -> float:
    """Spearman's rho of `a` and `b` that is left when both follow `given`; NaN if one of the three is constant or they
    leave nothing."""
    ab, ag, bg = spearman(a, b), spearman(a, given), spearman(b, given)
    left = (1 - ag**2) * (1 - bg**2)
    return (ab - ag * bg) / math.sqrt(left) if left > 1e-12 else math.nan


def variance_ratio(scores_PS: np.ndarray) -> float:
    """The variance between patterns over the variance between seeds of one, from [patterns, seeds >= 2].

    The former is that of the patterns' means without what the seeds add to it, so it is 0 or a little below where seeds
    explain everything. NaN if all seeds agree.
    """
    within = scores_PS.var(axis=1, ddof=1).mean()
    between = scores_PS.mean(axis=1).var(ddof=1) - within / scores_PS.shape[1]
    return float(between / within) if within > 0 else math.nan


def with_interval(statistic: Callable[..., float], *columns: Sequence[float]) -> Statistic:
    """`statistic` of columns with one row per pattern, resampled over the rows. Raises ValueError for fewer than 8."""
    arrays = [np.asarray(column) for column in columns]
    n = len(arrays[0])
    if n < MIN_PATTERNS:
        raise ValueError(f"{n} patterns are too few to tell: use at least {MIN_PATTERNS}")
    draws = [
        statistic(*(array[rows] for array in arrays))
        for rows in np.random.default_rng(0).integers(0, n, (_RESAMPLES, n))
    ]
    low, high = np.nanquantile(draws, [0.025, 0.975])
    return Statistic(statistic(*arrays), float(low), float(high))


def top_overlap(a: Sequence[float], b: Sequence[float], k: int) -> float:
    """Share of the k best of `a` that are among the k best of `b` (higher is better)."""
    best = [set(np.argsort(-np.asarray(v), kind="stable")[:k].tolist()) for v in (a, b)]
    return len(best[0] & best[1]) / k
