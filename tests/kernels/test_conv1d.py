"""causal_conv1d: golden values, every implementation against the float64 reference, continuation, steps, segments."""

import jax.numpy as jnp
import numpy as np
import pytest

from kernels_pallas import ConvSpec, cases, causal_conv1d, causal_conv1d_step, interpret_mode

XLA = ("reference", "xla")


@pytest.mark.parametrize("impl", XLA)
def test_golden_values(x64, impl):
    x, w = jnp.arange(1.0, 6.0).reshape(1, 5, 1), jnp.array([0.1, 0.2, 0.3, 0.4])[:, None]
    close = {"rtol": 0, "atol": 6e-11}
    np.testing.assert_allclose(causal_conv1d(x, w, activation="none", impl=impl).ravel(), [0.4, 1.1, 2, 3, 4], **close)
    want = [0.2394750640, 0.8252861162, 1.7615941560, 2.8577223805, 3.9280551602]
    np.testing.assert_allclose(causal_conv1d(x, w, impl=impl).ravel(), want, **close)
    y = causal_conv1d(x, w, activation="none", segment_ids=jnp.array([[0, 0, 0, 1, 1]]), impl=impl)
    np.testing.assert_allclose(y.ravel(), [0.4, 1.1, 2, 1.6, 3.2], **close)


SLOW = pytest.param("pallas_triton", "bfloat16", marks=pytest.mark.slow)


@pytest.mark.parametrize("impl,dtype", [("xla", "float32"), ("xla", "bfloat16"), ("pallas_triton", "float32"), SLOW])
def test_random_shapes_agree_with_the_float64_reference(seed, impl, dtype):
    rng = np.random.default_rng(seed)
    width, length = int(rng.choice([1, 2, 4])), int(rng.choice([1, 2, 5, 63, 64, 70]))
    spec = ConvSpec(2, length, 32, width, dtype, bool(rng.integers(2)))
    options = {
        "initial": bool(rng.integers(2)),
        "bias": bool(rng.integers(2)),
        "activation": str(rng.choice(["silu", "none"])),
    }
    print(spec, options)
    case = cases.case(spec, seed, **options)
    with interpret_mode():
        got, want = case.evaluate(impl), case.exact()
    assert not cases.failures(got, want, dtype)
    if dtype == "float32":
        assert all(cases.rms_error(got[k], want[k]) < 1e-6 for k in want if want[k].size)


@pytest.mark.parametrize("impl", ["xla", pytest.param("reference", marks=pytest.mark.slow)])
def test_split_and_steps_equal_the_whole(seed, impl):
    a = {k: jnp.asarray(v) for k, v in cases.case(ConvSpec(2, 11, 6, 4), seed, initial=True).arrays.items()}
    x, w, b, state = a["x"], a["w"], a["b"], a["initial_state"]
    whole, end = causal_conv1d(x, w, b, initial_state=state, return_final_state=True, impl=impl)
    y0, middle = causal_conv1d(x[:, :2], w, b, initial_state=state, return_final_state=True, impl=impl)
    y1, last = causal_conv1d(x[:, 2:], w, b, initial_state=middle, return_final_state=True, impl=impl)
    assert cases.rms_error(np.concatenate([y0, y1], 1), whole) < 1e-6
    np.testing.assert_array_equal(last, end)
    steps = []
    for t in range(11):
        y, state = causal_conv1d_step(state, x[:, t], w, b)
        steps.append(y)
    assert cases.rms_error(np.stack(steps, 1), whole) < 1e-6
    np.testing.assert_array_equal(state, end)


def test_a_narrow_cache_does_not_round_the_current_input():
    x, w = jnp.full((1, 16), 1 + 2**-12), jnp.zeros((4, 16)).at[3].set(1)
    y, state = causal_conv1d_step(jnp.zeros((1, 3, 16), jnp.bfloat16), x, w, activation="none")
    assert (np.asarray(y) == np.asarray(x)).all()
    assert state.dtype == jnp.bfloat16


def test_the_final_state_holds_the_last_run_only():
    x, w = jnp.arange(1.0, 6.0).reshape(1, 5, 1), jnp.ones((4, 1))
    _, state = causal_conv1d(x, w, segment_ids=jnp.array([[1, 1, 1, 2, 2]]), return_final_state=True)
    assert state.ravel().tolist() == [0, 4, 5]


@pytest.mark.slow
@pytest.mark.parametrize("impl", ["xla", "pallas_triton"])
def test_gradients_stop_at_run_borders(seed, impl):
    case = cases.case(ConvSpec(2, 20, 16, 4, "float32", segments=True), seed, initial=True)
    case.arrays["segment_ids"][:] = np.arange(20) // 7
    with interpret_mode():
        got = case.evaluate(impl)
    assert not cases.failures(got, case.exact(), "float32")
