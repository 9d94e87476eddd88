"""state_scan: golden values, every implementation against lax.associative_scan, and its gradient."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kernels_pallas import ScanSpec, cases, interpret_mode, state_scan
from kernels_pallas.cases import rms_error
from kernels_pallas.common import backends
from kernels_pallas.state_scan import pallas_matrix, pallas_triton

ALL = ("reference", "xla", "pallas_triton", "pallas_tpu")
GOLDEN = {  # (reverse, exclusive): out, final
    (False, False): ([5, 3.25, 3, 7], 7),
    (False, True): ([8, 5, 3.25, 3], 7),
    (True, False): ([2.375, 2.75, 3, 12], 2.375),
    (True, True): ([2.75, 3, 12, 8], 2.375),
}


FLAGS = tuple(GOLDEN)


@functools.partial(jax.jit, static_argnames="impl")
def run(decay, states, initial, impl: str):
    return [
        state_scan(decay, states, initial=initial, reverse=reverse, exclusive=exclusive, impl=impl)
        for reverse, exclusive in FLAGS
    ]


def scans(impl: str, decay, states, initial) -> dict:
    """(out, final) for every pair of flags, compiled together."""
    with interpret_mode():
        return dict(zip(FLAGS, run(decay, states, initial, impl), strict=True))


@pytest.mark.parametrize("impl", ALL)
def test_golden_values(impl):
    """One scan in every row, head and element of the state: the shape that the random test compiles as well."""
    decay = jnp.broadcast_to(jnp.array([0.5, 0.25, 0, 1])[:, None], (2, 4, 2))
    states = jnp.broadcast_to(jnp.arange(1.0, 5.0)[:, None, None], (2, 4, 2, 24))
    for flags, (out, final) in scans(impl, decay, states, jnp.full((2, 2, 24), 8.0)).items():
        values, end = GOLDEN[flags]
        assert (out == jnp.array(values)[:, None, None]).all()
        assert (final == end).all()


@functools.partial(jax.jit, static_argnums=3)
def associative(decay, states, initial, reverse):
    """The inclusive scan by JAX's own associative scan."""
    edge = -1 if reverse else 0
    states = states.at[:, edge].add(decay[:, edge, :, None] * initial)

    def combine(a, b):
        return a[0] * b[0], b[0] * a[1] + b[1]

    return jax.lax.associative_scan(combine, (decay[..., None], states), axis=1, reverse=reverse)[1]


@pytest.mark.parametrize("c", [4, *(pytest.param(c, marks=pytest.mark.slow) for c in (1, 3, 16, 64))])
def test_equals_associative_scan_with_resets(seed, c):
    arrays = cases.case(ScanSpec(2, c, 2, 24), seed).arrays
    decay, states, initial = (jnp.asarray(v) for v in arrays.values())
    want = {reverse: associative(decay, states, initial, reverse) for reverse in (False, True)}
    for impl in ALL[1:]:
        for (reverse, exclusive), (out, final) in scans(impl, decay, states, initial).items():
            inclusive = decay[..., None] * out + states if exclusive else out
            assert rms_error(inclusive, want[reverse]) < 1e-6
            assert rms_error(final, want[reverse][:, 0 if reverse else -1]) < 1e-6


@pytest.mark.parametrize(
    "impl,reverse,exclusive",
    [
        pytest.param("xla", True, False, marks=pytest.mark.slow),
        pytest.param("pallas_triton", False, True, marks=pytest.mark.slow),
        ("pallas_triton", True, False),
        ("pallas_tpu", True, True),
    ],
)
def test_gradients_equal_the_float64_reference(seed, impl, reverse, exclusive):
    case = cases.case(ScanSpec(2, 5, 2, 6), seed, reverse=reverse, exclusive=exclusive)
    with interpret_mode():
        wrong = cases.failures(case.evaluate(impl), case.exact(), "float32")
    assert not wrong


@pytest.mark.parametrize("reverse", [pytest.param(False, marks=pytest.mark.slow), True])
def test_two_levels_equal_the_fold(seed, reverse):
    arrays = cases.case(ScanSpec(1, 50, 2, 20), seed).arrays
    args = [jnp.asarray(v) for v in arrays.values()]
    both = jax.jit(lambda *a: [pallas_triton.Scan(segments=s, interpret=True)(*a, reverse) for s in (1, 8)])
    for a, b in zip(*both(*args), strict=True):
        assert rms_error(a, b) < 1e-6


def test_the_matrix_form_equals_the_fold_without_resets(seed):
    arrays = cases.case(ScanSpec(1, 32, 2, 64), seed, resets=False).arrays
    decay, states, _ = (jnp.asarray(v) for v in arrays.values())
    out = pallas_matrix.matrix_scan(jnp.log(decay), states, interpret=True)
    want, _ = state_scan(decay, states, impl="xla")
    assert rms_error(out, want) < 1e-5


@pytest.mark.skipif(not backends.interprets_mosaic_gpu(), reason="this jax cannot interpret Mosaic GPU kernels")
@pytest.mark.parametrize("reverse", [False, True])
def test_mosaic_gpu_equals_the_reference(seed, reverse):
    decay, states, initial = (jnp.asarray(v) for v in cases.case(ScanSpec(1, 3, 2, 40), seed).arrays.values())
    with interpret_mode():
        got = state_scan(decay, states, initial=initial, reverse=reverse, impl="pallas_mosaic_gpu")
    want = state_scan(decay, states, initial=initial, reverse=reverse, impl="reference")
    assert all(rms_error(a, b) < 1e-6 for a, b in zip(got, want, strict=True))


def test_it_is_differentiable_under_vmap(seed):
    arrays = cases.case(ScanSpec(3, 4, 2, 5), seed).arrays
    decay, states, _ = (jnp.asarray(v) for v in arrays.values())

    def loss(impl, decay, states):
        return (state_scan(decay[None], states[None], impl=impl)[0] ** 2).sum()

    with interpret_mode():
        got = jax.jit(jax.vmap(jax.grad(lambda s, d: loss("pallas_triton", d, s))))(states, decay)
    want = jax.jit(jax.vmap(jax.grad(lambda s, d: loss("reference", d, s))))(states, decay)
    np.testing.assert_allclose(got, want, rtol=0, atol=1e-5)
