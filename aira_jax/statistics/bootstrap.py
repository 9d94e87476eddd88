"""Statistics of repeated runs with their 95 % intervals. Equal data give equal intervals.

Means have the interval of Student's t (Welch's where strata differ in spread), rates that of Wilson (combined by
Newcombe's method), interquartile means a percentile bootstrap within strata. A stratum is an agent on a task, its
values are its seeds. With fewer than 3 values in a stratum there is no interval: it would say more than such runs know.

R replicates, K strata, N values of the largest stratum; shorter ones end in NaN.
"""

import enum
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

REPLICATES = 10_000
LEVEL = 0.05
SEED = 0
MIN_VALUES = 3  # of a stratum, for an interval
NORMAL = 1.959963984540054  # the quantile of the normal distribution that leaves LEVEL / 2 above it

Strata = Sequence[Sequence[float]]
Interval = tuple[float | None, float | None]


class Aggregate(enum.StrEnum):
    """MEAN, RATE (of values 0 and 1): of the strata's means, so that strata weigh alike. IQM: of all values, without
    the outer quarters."""

    MEAN = "mean"
    RATE = "rate"
    IQM = "iqm"


@dataclass(frozen=True)
class Estimate:
    """A statistic of `n` values with its 95 % interval; None for the ends where a stratum has fewer than 3 values."""

    value: float
    low: float | None
    high: float | None
    n: int


def estimate(strata: Strata, aggregate: Aggregate = Aggregate.MEAN, *, hierarchical: bool = False) -> Estimate | None:
    """The statistic and its interval; None where a stratum is empty.

    `hierarchical` takes the strata for a sample as well: the interval is that of a mean of the strata's means.
    """
    if not strata or not all(len(values) for values in strata):
        return None
    x_KN, strata = padded(strata), list(map(sorted, strata))
    n = sum(map(len, strata))
    if aggregate is Aggregate.IQM:
        value = float(iqm(x_KN.reshape(-1)))
        return Estimate(value, *_iqm_interval(x_KN), n)
    means = [float(np.mean(values)) for values in strata]
    value = float(np.mean(means))
    if hierarchical:
        return Estimate(value, *mean_interval([means], [1.0]), n)
    weights = [1 / len(strata)] * len(strata)
    return Estimate(value, *_interval(strata, weights, aggregate), n)


def difference(
    a: Strata, b: Strata, aggregate: Aggregate = Aggregate.MEAN, *, hierarchical: bool = False
) -> Estimate | None:
    """Mean of a minus mean of b, whose strata are the same tasks in the same order. None where a stratum is empty.

    Seeds vary independently on both sides; tasks (`hierarchical`) are the same on both, so their differences are taken.
    """
    if len(a) != len(b):
        raise ValueError(f"{len(a)} strata against {len(b)}: both sides need the same tasks")
    if not a or not all(len(values) for values in (*a, *b)):
        return None
    padded((*a, *b))
    a, b = (list(map(sorted, side)) for side in (a, b))
    gaps = [float(np.mean(x) - np.mean(y)) for x, y in zip(a, b, strict=True)]
    value, n = float(np.mean(gaps)), sum(map(len, (*a, *b)))
    if hierarchical:
        return Estimate(value, *mean_interval([gaps], [1.0]), n)
    weights = [1 / len(a)] * len(a) + [-1 / len(b)] * len(b)
    return Estimate(value, *_interval([*a, *b], weights, aggregate), n)


def _interval(strata: Strata, weights: Sequence[float], aggregate: Aggregate) -> Interval:
    return (rate_interval if aggregate is Aggregate.RATE else mean_interval)(strata, weights)


def mean_interval(strata: Strata, weights: Sequence[float]) -> Interval:
    """The interval of a weighted sum of the strata's means, by Student's t.

    Variances are the strata's own; degrees of freedom by Welch and Satterthwaite, n - 1 for a single stratum.
    """
    from scipy.special import stdtrit

    if min(map(len, strata)) < MIN_VALUES:
        return None, None
    value = sum(w * float(np.mean(values)) for w, values in zip(weights, strata, strict=True))
    variances = [w * w * float(np.var(values, ddof=1)) / len(values) for w, values in zip(weights, strata, strict=True)]
    total = math.fsum(variances)
    if total == 0:
        return value, value
    freedom = total**2 / math.fsum(v * v / (len(s) - 1) for v, s in zip(variances, strata, strict=True))
    half = float(stdtrit(freedom, 1 - LEVEL / 2)) * math.sqrt(total)
    return value - half, value + half


def rate_interval(strata: Strata, weights: Sequence[float]) -> Interval:
    """The interval of a weighted sum of rates: Wilson's for one, combined by Newcombe's method for several.

    Source: Wilson 1927; Newcombe 1998 (the distances of the ends from their rates add up in squares).
    """
    if min(map(len, strata)) < MIN_VALUES:
        return None, None
    value, below, above = 0.0, 0.0, 0.0
    for w, values in zip(weights, strata, strict=True):
        rate = float(np.mean(values))
        low, high = wilson(rate, len(values))
        down, up = (rate - low, high - rate) if w > 0 else (high - rate, rate - low)
        value, below, above = value + w * rate, below + (w * down) ** 2, above + (w * up) ** 2
    return value - math.sqrt(below), value + math.sqrt(above)


def wilson(rate: float, n: int) -> tuple[float, float]:
    """The interval of a rate of n trials: [0.57, 1] for 5 of 5."""
    z2 = NORMAL**2
    middle = (rate + z2 / (2 * n)) / (1 + z2 / n)
    half = NORMAL / (1 + z2 / n) * math.sqrt(rate * (1 - rate) / n + z2 / (4 * n * n))
    return max(0.0, middle - half), min(1.0, middle + half)


def _iqm_interval(x_KN: np.ndarray) -> Interval:
    if np.isfinite(x_KN).sum(-1).min() < MIN_VALUES:
        return None, None
    drawn_RKN = draw(x_KN, np.random.default_rng(SEED))
    low, high = np.quantile(iqm(drawn_RKN.reshape(REPLICATES, -1)), [LEVEL / 2, 1 - LEVEL / 2])
    return float(low), float(high)


def padded(strata: Strata) -> np.ndarray:
    """float64 [K, N]: a stratum a row, ascending, so that the order in which runs were found changes no draw."""
    x_KN = np.full((len(strata), max(map(len, strata))), np.nan)
    for row, values in zip(x_KN, strata, strict=True):
        row[: len(values)] = np.sort(np.asarray(values, float))
    if np.isfinite(x_KN).sum() != sum(map(len, strata)):
        raise ValueError("a value is not finite: decide first what an invalid run counts")
    return x_KN


def draw(x_KN: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """float64 [R, K, N]: every stratum, with as many values drawn from it as it has."""
    n_K1 = np.isfinite(x_KN).sum(-1)[:, None]
    places_RKN = (rng.random((REPLICATES, *x_KN.shape)) * n_K1).astype(np.intp)
    drawn_RKN = x_KN[np.arange(len(x_KN))[:, None], places_RKN]
    return np.where(np.arange(x_KN.shape[-1]) < n_K1, drawn_RKN, np.nan)


def iqm(x_RN: np.ndarray) -> np.ndarray:
    """Interquartile mean along the last axis, NaN left out: floor(n / 4) values are cut at either end.

    Source: Agarwal et al. 2021, arXiv 2108.13264.
    """
    x_RN = np.sort(np.asarray(x_RN, float), axis=-1)  # NaN last
    n_R1 = np.isfinite(x_RN).sum(-1, keepdims=True)
    cut_R1 = n_R1 // 4
    place_N = np.arange(x_RN.shape[-1])
    kept = (place_N >= cut_R1) & (place_N < n_R1 - cut_R1)
    return np.where(kept, x_RN, 0.0).sum(-1) / kept.sum(-1)
