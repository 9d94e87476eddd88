"""Budgets and dollars."""

import pytest

from aira_jax.llm.base import Usage
from aira_jax.search.engine.budget import Budget, Price, cost, price, reservation

CALL = Usage(input=1_200, output=3_400, cache_write_5m=8_000, cache_read=21_000)


def test_a_call_costs_the_sum_of_its_five_classes():
    assert price("claude-opus-4-5", {}).usd(CALL) == pytest.approx(0.1515)
    prices = Price(input=1, cache_write_5m=2, cache_write_1h=3, cache_read=4, output=5)
    assert prices.usd(Usage(1_000_000, 10, 100, 1_000, 10_000)) == pytest.approx(1 + (50 + 400 + 2_000 + 30_000) / 1e6)


def test_an_unpriced_call_has_no_dollars_unless_it_used_nothing():
    assert cost(CALL, None) is None
    assert cost(Usage(), None) == 0.0
    assert price("unheard-of", {}) is None


def test_a_price_of_the_config_wins_and_must_be_complete():
    row = {"input": 1, "cache_write_5m": 1, "cache_write_1h": 1, "cache_read": 1, "output": 2}
    assert price("claude-opus-4-5", {"claude-opus-4-5": row}).output == 2
    with pytest.raises(ValueError, match=r"config.llm.prices\['m'\].*output"):
        price("m", {"m": {"input": 1.0}})


def test_a_reservation_is_the_most_that_a_call_can_cost():
    wanted = reservation(4_000, 1_000, price("claude-opus-4-5", {}), free=False)
    assert wanted.tokens == 2_000
    assert wanted.usd == pytest.approx((1_000 * 6.25 + 1_000 * 25) / 1e6)
    assert reservation(4_000, 1_000, None, free=True) == Budget(0, 0, 0, 0, 0.0)


def test_the_algebra_leaves_unlimited_axes_unlimited():
    limits, spent = Budget(wall_s=10.0, steps=5), Budget(4.0, 1.0, 5, 100, 0.5)
    assert limits - spent == Budget(wall_s=6.0, steps=0)
    assert limits.reached(spent) == "steps"
    assert limits.passed(spent) is None
    assert limits.min(Budget(wall_s=3.0, usd=1.0)) == Budget(wall_s=3.0, steps=5, usd=1.0)
    assert spent + Budget(1.0, 1.0, 1, 1, None) == Budget(5.0, 2.0, 6, 101, None)
