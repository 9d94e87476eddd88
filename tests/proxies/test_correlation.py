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
    assert all(len(p) == 16 and 2 <= p.counts()["A"] <= 14 for p in patterns)
