"""A kernel from outside the package, made by the recipe: implementations, an `Op`, one public function.

T tokens, K channels.
"""

import functools
import logging

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kernels_pallas import cases, chosen
from kernels_pallas.common import dispatch
from kernels_pallas.common.dispatch import Choice, Impl, Op
from kernels_pallas.common.errors import activation_dtype, bind
from kernels_pallas.common.numerics import wide
from kernels_pallas.common.specs import NormSpec


def reference(x, slope):
    return jnp.where(x > 0, x, slope * x)


@jax.custom_vjp
def written_by_hand(x, slope):
    return jnp.maximum(x, 0) + slope * jnp.minimum(x, 0)


def forward(x, slope):
    return written_by_hand(x, slope), (x, slope)


def backward(saved, dout):
    x, slope = saved
    dslope = jnp.sum((dout * jnp.minimum(x, 0)).astype(wide(x.dtype)), axis=0)
    return dout * jnp.where(x > 0, 1, slope), dslope.astype(slope.dtype)


written_by_hand.defvjp(forward, backward)

OP = Op(
    name="leaky_relu",
    supports={
        Impl.REFERENCE: lambda spec: None,
        Impl.XLA: lambda spec: "K must be even" if spec.K % 2 else None,
    },
    auto={"cpu": (Impl.XLA, Impl.REFERENCE), "gpu": (Impl.XLA,), "tpu": (Impl.XLA,)},
)


def leaky_relu(x, slope, *, impl="auto"):
    sizes: dict[str, int] = {}
    dtype = activation_dtype(OP.name, "x", x)
    bind(OP.name, "x", x, "TK", sizes)
    bind(OP.name, "slope", slope, "K", sizes)
    choice = dispatch.resolve(OP, NormSpec(**sizes, dtype=str(dtype)), impl)
    return run(x, slope, choice=choice)


@functools.partial(jax.jit, static_argnames="choice")
def run(x, slope, *, choice: Choice):
    return (reference if choice.impl is Impl.REFERENCE else written_by_hand)(x, slope)


def case(channels: int, dtype: str, seed: int) -> cases.Case:
    draws = np.random.default_rng(seed)
    arrays = {"x": draws.standard_normal((7, channels)).astype(dtype), "slope": draws.random(channels).astype(dtype)}

    def call(*, impl, chunk, x, slope):
        return {"y": leaky_relu(x, slope, impl=impl)}

    return cases.Case(OP.name, dtype, arrays, call, seed)


@pytest.mark.parametrize("impl", ["reference", "xla"])
def test_its_implementations_agree_with_float64_in_values_and_gradients(impl, seed):
    made = case(6, "float32", seed)
    assert not cases.failures(made.evaluate(impl), made.exact(), made.dtype)


def test_a_wrong_gradient_of_its_own_is_found(seed, monkeypatch):
    made = case(6, "float32", seed)
    exact = made.exact()
    exact["dx"] = -exact["dx"]
    assert any(line.startswith("dx") for line in cases.failures(made.evaluate("xla"), exact, made.dtype))


def test_it_is_chosen_by_the_one_rule_and_on_record(seed, caplog):
    with caplog.at_level(logging.INFO, "kernels_pallas"):
        case(8, "float32", seed).evaluate()
        case(5, "float32", seed).evaluate()
    picked = {row["spec"]: row["impl"] for row in chosen() if row["op"] == OP.name}
    assert {impl for spec, impl in picked.items() if "K=8" in spec} == {"xla"}
    assert {impl for spec, impl in picked.items() if "K=5" in spec} == {"reference"}


def test_a_named_implementation_that_cannot_run_says_why_and_what_can():
    with pytest.raises(ValueError, match=r"K must be even.*reference"):
        leaky_relu(jnp.ones((2, 3)), jnp.ones(3), impl="xla")
