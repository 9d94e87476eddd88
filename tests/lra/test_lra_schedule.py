"""Learning-rate factors against their closed forms, and the optimizer against plain arithmetic."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aira_jax.train import schedule
from lra import optimizer
from lra.job import Decay, Recipe, Rule
from lra.settings import defaults

DEFAULT = "constant * linear_warmup"
RSQRT = "constant * linear_warmup * rsqrt_decay"
NORMALIZED = "constant * linear_warmup * rsqrt_normalized_decay"


def rate(task: str, factors: str, t: int) -> float:
    settings = defaults(task)
    return float(schedule.schedule(factors, settings.learning_rate, settings.warmup)(t))


@pytest.mark.parametrize(
    "task, factors, t, expected",
    [
        *[("text", DEFAULT, t, value) for t, value in ((0, 0), (1, 2e-7), (250, 5e-5), (500, 1e-4), (19_999, 1e-4))],
        *[("listops", DEFAULT, t, value) for t, value in ((0, 0), (1, 1e-7), (500, 5e-5), (1000, 1e-4))],
        *[("retrieval", DEFAULT, t, value) for t, value in ((1, 1.25e-8), (4999, 6.24875e-5))],
        *[("text", RSQRT, t, value) for t, value in ((500, 4.472e-6), (19_999, 7.071e-7))],
        *[("listops", RSQRT, t, value) for t, value in ((1000, 3.162e-6), (4999, 1.414e-6))],
        ("retrieval", RSQRT, 4999, 6.986e-7),
        ("text", NORMALIZED, 19_999, 1.581e-5),
        ("listops", NORMALIZED, 4999, 4.473e-5),
    ],
)
def test_rates_of_the_published_settings(task, factors, t, expected):
    assert rate(task, factors, t) == pytest.approx(expected, rel=5e-4)


def test_decay_every_halves_and_cosine_decay_repeats():
    halving = schedule.schedule("constant * decay_every", 1.0, 1)
    assert [float(halving(t)) for t in (0, 19_999, 20_000, 40_000)] == [1.0, 1.0, 0.5, 0.25]
    cosine = schedule.schedule("constant*cosine_decay", 1.0, 1000)
    values = [float(cosine(t)) for t in (0, 1000, 51_000, 100_999, 101_000)]
    np.testing.assert_allclose(values, [1.0, 1.0, 0.5, 0.0, 1.0], atol=1e-4)


@pytest.mark.parametrize("decay, middle", [(Decay.LINEAR, 0.5), (Decay.COSINE, 0.5)])
def test_a_decay_ends_at_zero_and_begins_after_the_warm_up(decay, middle):
    at = schedule.schedule(DEFAULT, 1.0, 100, decay=decay, total=1100)
    np.testing.assert_allclose([float(at(t)) for t in (50, 100, 600, 1100)], [0.5, 1.0, middle, 0.0], atol=1e-6)


def test_an_unknown_factor_is_named_with_all_six():
    with pytest.raises(ValueError, match='did you mean "linear_warmup"') as found:
        schedule.parse("constant * linear_warmpu")
    assert all(name in str(found.value) for name in schedule.FACTORS)
    assert len(schedule.FACTORS) == 6


def moved(recipe: Recipe, updates: int, grads: dict, params: dict) -> dict:
    made = optimizer.make(defaults("listops").replace(learning_rate=1e-2, warmup=2), recipe)
    state = made.init(params)
    for _ in range(updates):
        update, state = made.update(grads, state, params)
        params = jax.tree.map(jnp.add, params, update)
    return params


def test_the_first_update_changes_nothing_and_the_second_is_adamw():
    params, grads = {"w": jnp.array([1.0, -2.0])}, {"w": jnp.array([0.5, 0.25])}
    np.testing.assert_array_equal(moved(Recipe(), 1, grads, params)["w"], params["w"])
    # a constant gradient: Adam's ratio is its sign; the rate at t = 1 is half of 1e-2
    expected = params["w"] - 0.5e-2 * (np.sign(grads["w"]) + 0.01 * params["w"])
    np.testing.assert_allclose(moved(Recipe(), 2, grads, params)["w"], expected, rtol=1e-6)


def test_rules_scale_rate_and_decay_of_the_parameters_they_find():
    params = {"ssm": {"log_step": jnp.ones(2)}, "out": {"kernel": jnp.ones(2)}}
    grads = jax.tree.map(lambda p: 0.5 * p, params)
    ruled = moved(Recipe(rules=(Rule(r"log_step$", 0.1, 0.0),)), 2, grads, params)
    plain = moved(Recipe(), 2, grads, params)
    np.testing.assert_allclose(1 - ruled["ssm"]["log_step"], 0.1 * 0.5e-2 * np.ones(2), rtol=1e-4)
    np.testing.assert_array_equal(ruled["out"]["kernel"], plain["out"]["kernel"])


def test_a_bad_rule_is_an_error():
    with pytest.raises(ValueError, match="regular expression"):
        optimizer.make(defaults("listops"), Recipe(rules=(Rule("("),)))


def test_clipping_bounds_the_norm_that_adam_sees():
    params = {"w": jnp.zeros(2)}
    made = optimizer.make(defaults("listops"), Recipe(grad_clip=1.0))
    _, state = made.update({"w": jnp.array([30.0, 40.0])}, made.init(params), params)
    np.testing.assert_allclose(jax.tree.leaves(state)[1], [0.06, 0.08], rtol=1e-5)
