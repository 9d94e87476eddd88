"""A way back against differences of the forward pass."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lra import derivative


@dataclasses.dataclass(frozen=True)
class Toy:
    """Logits tanh(x W) V; `rule` changes the gradient that comes back."""

    rule: object

    def forward(self, params, batch_stats, inputs, key):
        def logits(params):
            return jnp.tanh(inputs[0].astype(float) @ params["w"]) @ params["v"]

        logits_BC, pull = jax.vjp(logits, params)
        return logits_BC, batch_stats, lambda cotangent_BC: self.rule(pull(cotangent_BC)[0])


@pytest.fixture(scope="module")
def case():
    draws = np.random.default_rng(0)
    params = {
        name: jnp.asarray(draws.normal(size=shape), jnp.float32) for name, shape in (("w", (5, 8)), ("v", (8, 3)))
    }
    return params, {}, (jnp.asarray(draws.integers(0, 3, (16, 5))),), jnp.asarray(draws.integers(0, 3, 16))


def flipped(grads):
    return {"w": -grads["w"], "v": grads["v"]}


def rescaled(grads):
    return {"w": grads["w"] * jnp.geomspace(0.05, 20, 8), "v": grads["v"]}


@pytest.mark.parametrize("rule, off", [(lambda g: g, False), (flipped, True), (rescaled, True)])
@pytest.mark.parametrize("seed", range(3))
def test_the_derivative_is_told_from_maps_of_it(case, rule, off, seed):
    found = derivative.error(Toy(rule), *case, jax.random.key(seed))
    assert found > derivative.TOLERATED if off else found < 0.01


def test_no_gradient_is_no_error_and_one_that_is_no_number_is_a_whole_one(case):
    assert derivative.error(Toy(lambda g: jax.tree.map(jnp.zeros_like, g)), *case, jax.random.key(0)) == 0
    assert derivative.error(Toy(lambda g: jax.tree.map(lambda a: a * jnp.nan, g)), *case, jax.random.key(0)) == 1
