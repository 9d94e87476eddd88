"""Percentile bootstrap: repetitions are resampled within strata, all replicates at once, equal draws for equal data.

R replicates, K strata (an agent on a task, say), N values of the largest stratum (its seeds); shorter ones end in NaN.
"""

import enum
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

REPLICATES = 10_000
LEVEL = 0.05
SEED = 0

Strata = Sequence[Sequence[float]]


class Aggregate(enum.StrEnum):
    """MEAN: of the strata's means, so that strata weigh alike. IQM: of all values, without the outer quarters."""

    MEAN = "mean"
    IQM = "iqm"


@dataclass(frozen=True)
class Estimate:
    """A statistic of `n` values with its 95 % interval; None for the ends where a stratum has a single value."""

    value: float
    low: float | None
    high: float | None
    n: int


def estimate(strata: Strata, aggregate: Aggregate = Aggregate.MEAN, *, hierarchical: bool = False) -> Estimate | None:
    """The statistic and its interval; None where a stratum is empty. `hierarchical` resamples the strata as well."""
    if not strata or not all(len(values) for values in strata):
        return None
    x_KN = padded(strata)
    value = float(reduce(x_KN[None], aggregate)[0])
    n = sum(map(len, strata))
    if min(map(len, strata)) < 2:
        return Estimate(value, None, None, n)
    rng = np.random.default_rng(SEED)
    drawn_RKN = draw(x_KN, choose(len(strata), rng, hierarchical=hierarchical), rng)
    return Estimate(value, *percentiles(reduce(drawn_RKN, aggregate)), n)


def difference(a: Strata, b: Strata, *, hierarchical: bool = False) -> Estimate | None:
    """Mean of a minus mean of b, whose strata are the same tasks in the same order. None where a stratum is empty.

    Seeds are resampled independently on both sides; tasks (`hierarchical`) are the same on both.
    """
    if len(a) != len(b):
        raise ValueError(f"{len(a)} strata against {len(b)}: both sides need the same tasks")
    if not a or not all(len(values) for values in (*a, *b)):
        return None
    sides = [padded(a), padded(b)]
    value = float(np.subtract(*(reduce(x_KN[None], Aggregate.MEAN)[0] for x_KN in sides)))
    n = sum(map(len, (*a, *b)))
    if min(map(len, (*a, *b))) < 2:
        return Estimate(value, None, None, n)
    rng = np.random.default_rng(SEED)
    slots_RK = choose(len(a), rng, hierarchical=hierarchical)
    means = [reduce(draw(x_KN, slots_RK, rng), Aggregate.MEAN) for x_KN in sides]
    return Estimate(value, *percentiles(means[0] - means[1]), n)


def padded(strata: Strata) -> np.ndarray:
    """float64 [K, N]: a stratum a row, ascending, so that the order in which runs were found changes no draw."""
    x_KN = np.full((len(strata), max(map(len, strata))), np.nan)
    for row, values in zip(x_KN, strata, strict=True):
        row[: len(values)] = np.sort(np.asarray(values, float))
    if np.isfinite(x_KN).sum() != sum(map(len, strata)):
        raise ValueError("a value is not finite: decide first what an invalid run counts")
    return x_KN


def choose(strata: int, rng: np.random.Generator, *, hierarchical: bool) -> np.ndarray:
    """int [R, K]: which stratum stands at each place of each replicate."""
    if hierarchical:
        return rng.integers(0, strata, (REPLICATES, strata))
    return np.broadcast_to(np.arange(strata), (REPLICATES, strata))


def draw(x_KN: np.ndarray, slots_RK: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """float64 [R, K, N]: every chosen stratum, with as many values drawn from it as it has."""
    n_RK1 = np.isfinite(x_KN).sum(-1)[slots_RK][..., None]
    places_RKN = (rng.random((*slots_RK.shape, x_KN.shape[-1])) * n_RK1).astype(np.intp)
    drawn_RKN = x_KN[slots_RK[..., None], places_RKN]
    return np.where(np.arange(x_KN.shape[-1]) < n_RK1, drawn_RKN, np.nan)


def reduce(x_RKN: np.ndarray, aggregate: Aggregate) -> np.ndarray:
    """float64 [R]: the statistic of every replicate."""
    if aggregate is Aggregate.MEAN:
        return np.nanmean(x_RKN, axis=-1).mean(axis=-1)
    return iqm(x_RKN.reshape(len(x_RKN), -1))


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


def resample(values: Sequence[float], rng: np.random.Generator) -> np.ndarray:
    """float64 [R, N]: the values of one stratum in their order, resampled."""
    x_N = np.asarray(values, float)
    return x_N[rng.integers(0, len(x_N), (REPLICATES, len(x_N)))]


def percentiles(x_R: np.ndarray) -> tuple[float, float]:
    """The ends of the 95 % interval of replicates."""
    low, high = np.quantile(x_R, [LEVEL / 2, 1 - LEVEL / 2])
    return float(low), float(high)
