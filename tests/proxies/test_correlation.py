"""Rank statistics on cases with known answers."""

import math

import numpy as np
import pytest

from aira_jax.proxies import correlation


def test_spearman_and_kendall_of_known_rankings():
    assert correlation.spearman([1, 2, 3, 4], [10, 20, 30, 40]) == pytest.approx(1)
    assert correlation.spearman([1, 2, 3, 4], [4, 3, 2, 1]) == pytest.approx(-1)
    assert correlation.spearman([1, 2, 3, 4, 5], [1, 3, 2, 5, 4]) == pytest.approx(0.8)
    assert correlation.kendall([1, 2, 3, 4], [1, 3, 2, 4]) == pytest.approx(4 / 6)


def test_ties_share_their_rank():
    assert correlation.ranks([5, 1, 5, 0]).tolist() == [2.5, 1, 2.5, 0]
    assert correlation.kendall([1, 1, 2], [1, 2, 3]) == pytest.approx(2 / math.sqrt(2 * 3))
    assert math.isnan(correlation.spearman([1, 1, 1], [1, 2, 3]))


def test_intervals_hold_the_value_and_need_eight_patterns():
    g = np.random.default_rng(0)
    a = g.normal(size=30)
    statistic = correlation.with_interval(correlation.spearman, a, a + g.normal(size=30))
    assert 0 < statistic.low < statistic.value < statistic.high < 1
    with pytest.raises(ValueError, match="7 patterns are too few to tell"):
        correlation.with_interval(correlation.spearman, a[:7], a[:7])


def test_top_overlap():
    assert correlation.top_overlap([9, 8, 7, 1, 2], [9, 1, 7, 8, 2], 3) == pytest.approx(2 / 3)


def test_samples_are_distinct_and_repeatable():
    patterns = correlation.sample(20)
    assert len(set(patterns)) == 20
    assert patterns[:5] == correlation.sample(5)
    assert all(len(p) == 16 for p in patterns)


def test_samples_have_the_counts_of_uniform_draws():
    counts = [p.counts()["A"] for p in correlation.sample(400)]
    assert np.mean(counts) == pytest.approx(8, abs=0.4)
    assert np.std(counts) == pytest.approx(2, abs=0.3)  # of 16 fair coins; all counts alike likely would give 4


def test_what_repeats_the_counts_has_no_partial_correlation():
    g = np.random.default_rng(0)
    counts = g.integers(3, 13, 200).astype(float)
    own = g.normal(size=200)
    signal, reference = counts + g.normal(size=200), counts + g.normal(size=200)
    assert correlation.spearman(signal, reference) > 0.8
    assert abs(correlation.partial(signal, reference, counts)) < 0.2
    assert correlation.partial(counts + own, counts + own + 0.1 * g.normal(size=200), counts) > 0.9
    assert math.isnan(correlation.partial(counts, reference, counts))


def test_the_variance_ratio_is_that_of_the_draws():
    g = np.random.default_rng(0)
    scores = 3 * g.normal(size=(4000, 1)) + g.normal(size=(4000, 2))
    assert correlation.variance_ratio(scores) == pytest.approx(9, rel=0.1)
    assert correlation.variance_ratio(g.normal(size=(4000, 2))) == pytest.approx(0, abs=0.1)
    assert math.isnan(correlation.variance_ratio(np.ones((9, 2))))
