"""Intervals and means: expected figures, invariance, and what is refused."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from aira_jax.statistics import bootstrap
from aira_jax.statistics.bootstrap import Aggregate, Estimate
from aira_jax.statistics.scores import Yardstick

values = st.lists(st.floats(-10, 10), min_size=1, max_size=8)


SIMULATED = [(3, "normal"), (5, "normal"), (10, "normal"), (5, "uniform"), (10, 0.97), (10, 0.5)]


def rate(valid, runs=10):
    return [1.0] * valid + [0.0] * (runs - valid)


def test_two_tasks_of_ten_seeds():
    found = bootstrap.estimate([rate(7), rate(3)], Aggregate.RATE)
    assert (found.value, found.n) == (pytest.approx(0.5), 20)
    assert (found.low, found.high) == (pytest.approx(0.3205, abs=1e-4), pytest.approx(0.6795, abs=1e-4))


def test_five_of_five_valid_runs_are_no_certainty():
    found = bootstrap.estimate([rate(5, 5)], Aggregate.RATE)
    assert (found.low, found.high) == (pytest.approx(0.5655, abs=1e-4), 1.0)  # Wilson 1927


def test_the_interval_of_a_mean_is_students():
    found = bootstrap.estimate([[0.1, 0.2, 0.6]])
    assert (found.low, found.high) == pytest.approx(stats.t(2, 0.3, stats.sem([0.1, 0.2, 0.6])).interval(0.95))


@pytest.mark.parametrize("runs, values", SIMULATED)
def test_intervals_hold_the_truth_as_often_as_they_say(runs, values):
    """Simulated; the percentile bootstrap had .74 with 3 runs, .86 with 5, and .28 for a rate of .97 with 10."""
    rng = np.random.default_rng(7)
    if isinstance(values, float):
        truth, aggregate, draws = values, Aggregate.RATE, rng.binomial(1, values, (2000, runs))
    else:
        truth, aggregate = 0.5, Aggregate.MEAN
        draws = 0.5 + (rng.normal(size=(2000, runs)) if values == "normal" else rng.uniform(-1, 1, (2000, runs)))
    found = [bootstrap.estimate([drawn], aggregate) for drawn in draws]
    assert 0.93 <= np.mean([e.low <= truth <= e.high for e in found]) <= 0.99


def test_the_interval_of_a_difference_of_rates_holds_the_truth_too():
    rng = np.random.default_rng(3)
    sides = rng.binomial(1, [[[0.9]], [[0.6]]], (2, 2000, 10))
    found = [bootstrap.difference([a], [b], Aggregate.RATE) for a, b in zip(*sides, strict=True)]
    assert 0.93 <= np.mean([e.low <= 0.3 <= e.high for e in found]) <= 0.99


def test_the_rate_of_an_agent_is_the_mean_of_its_tasks():
    assert bootstrap.estimate([rate(10), rate(7), rate(0)]).value == pytest.approx(0.566667, abs=1e-6)
    assert bootstrap.estimate([rate(1, 1), rate(0, 9)]).value == pytest.approx(0.5)


def test_the_interquartile_mean_cuts_a_quarter_at_either_end():
    assert bootstrap.iqm([0, 0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.9]) == pytest.approx(0.25)
    assert bootstrap.iqm([5, 1, 3]) == pytest.approx(3)  # too few to cut
    assert bootstrap.iqm([0, 0, 0, 1, 5, 6, 100]) == pytest.approx(2.4)  # one of seven at either end
    assert bootstrap.iqm([[9, 1, 2, 3, np.nan]]) == pytest.approx([2.5])


def test_invalid_runs_stay_in_the_mean_as_zero():
    scale = Yardstick(1.0, 0.6379, 0.10, 1e-3)
    seeds = [scale.normalised(score) for score in (0.4415, 0.3637, 0.17, None, float("nan"))]
    assert bootstrap.estimate([seeds]).value == pytest.approx(0.198761, abs=1e-6)
    assert np.mean(seeds[:3]) == pytest.approx(0.331268, abs=1e-6)  # what leaving them out would claim


@pytest.mark.parametrize(
    "greedy, both", [(0.257, 0.154), (0.259, 0.155), (0.199, 0.119), (0.178, 0.107), (0.197, 0.118), (0.179, 0.107)]
)
def test_twelve_agents_and_eight_that_never_succeed(greedy, both):
    strata = [[greedy] * 2] * 12 + [[0.0] * 3] * 8
    assert bootstrap.estimate(strata).value == pytest.approx(both, abs=1e-3)


@settings(max_examples=20)
@given(st.lists(values, min_size=1, max_size=3), st.randoms(use_true_random=False))
def test_the_order_of_runs_changes_nothing(strata, random):
    shuffled = [random.sample(stratum, len(stratum)) for stratum in strata]
    for aggregate in Aggregate:
        if aggregate is Aggregate.RATE:
            strata, shuffled = ([[float(x > 0) for x in s] for s in side] for side in (strata, shuffled))
        assert bootstrap.estimate(shuffled, aggregate) == bootstrap.estimate(strata, aggregate)


def test_a_hierarchical_interval_is_that_of_the_means_of_the_tasks():
    strata = [[0.1, 0.1, 0.1], [0.9, 0.9, 0.9], [0.5, 0.4, 0.6]]
    found = bootstrap.estimate(strata, hierarchical=True)
    assert (found.low, found.high) == pytest.approx(stats.t(2, 0.5, stats.sem([0.1, 0.9, 0.5])).interval(0.95))
    assert bootstrap.estimate(strata[:2], hierarchical=True) == Estimate(0.5, None, None, 6)


def test_unequal_numbers_of_seeds_are_drawn_as_they_are():
    """All replicates of a task with two seeds are means of two of them."""
    x_KN = bootstrap.padded([[0.0, 1.0], [5.0] * 7])
    drawn_RKN = bootstrap.draw(x_KN, np.random.default_rng(0))
    assert set(np.unique(np.nanmean(drawn_RKN[:, 0], axis=-1))) == {0.0, 0.5, 1.0}
    assert (np.isfinite(drawn_RKN).sum(-1) == [2, 7]).all()


@pytest.mark.parametrize("aggregate", Aggregate)
def test_fewer_than_three_runs_have_no_interval(aggregate):
    found = bootstrap.estimate([[1.0, 0.0, 1.0], [0.0, 1.0]], aggregate)
    assert (found.low, found.high) == (None, None)
    assert bootstrap.estimate([[1.0, 0.0, 1.0]] * 2, aggregate).low is not None


def test_an_empty_cell_has_no_statistic():
    assert bootstrap.estimate([[0.5], []]) is None
    assert bootstrap.estimate([]) is None


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_values_that_are_not_finite_are_refused(bad):
    with pytest.raises(ValueError, match="not finite"):
        bootstrap.estimate([[0.1, bad]])


def test_a_difference_is_that_of_the_means_and_changes_its_sign_with_its_sides():
    a, b = [[0.6, 0.7, 0.8]], [[0.1, 0.2, 0.3]]
    forth, back = bootstrap.difference(a, b), bootstrap.difference(b, a)
    assert forth.value == pytest.approx(0.5)
    assert back.value == -forth.value
    assert forth.low > 0 > back.high


def test_the_sides_of_a_difference_vary_independently():
    same = [list(np.linspace(0, 1, 10))]
    found = bootstrap.difference(same, same)
    assert found.value == 0
    assert found.high - found.low > 0.3  # pairs would give none


def test_hierarchical_differences_draw_the_same_tasks_on_both_sides():
    a, b = [[0.1, 0.1], [0.9, 0.9], [0.3]], [[0.0, 0.0], [0.8, 0.8], [0.2]]
    found = bootstrap.difference(a, b, hierarchical=True)
    assert (found.low, found.high) == (pytest.approx(0.1), pytest.approx(0.1))


def test_sides_over_different_tasks_are_refused():
    with pytest.raises(ValueError, match="same tasks"):
        bootstrap.difference([[1.0, 2.0]], [])


def test_equal_data_give_equal_intervals():
    found = [bootstrap.estimate([[0.1, 0.5, 0.6], [0.2, 0.3]]) for _ in range(2)]
    assert all(a == b for a, b in itertools.pairwise(found))
