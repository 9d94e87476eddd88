"""gated_rmsnorm: golden values, and its hand-written gradient against float64 autodiff."""

import jax.numpy as jnp
import numpy as np
import pytest

from kernels_pallas import NormSpec, cases, gated_rmsnorm


@pytest.mark.parametrize("impl", ["reference", "xla"])
def test_golden_values(x64, impl):
    y, z, w = jnp.arange(1.0, 5.0), jnp.array([0.0, 1, -1, 2]), jnp.ones(4)
    close = {"rtol": 0, "atol": 6e-11}
    want = [0, 0.4038126644, -0.2228315660, 1.9460931052]
    np.testing.assert_allclose(gated_rmsnorm(y, z, w, impl=impl), want, **close)
    want = [0, 1.4142069471, -0.1608790736, 1.4050327856]
    np.testing.assert_allclose(gated_rmsnorm(y, z, w, groups=2, impl=impl), want, **close)
    want = [0, 0.5338893432, -0.2946103699, 2.5729712350]
    np.testing.assert_allclose(gated_rmsnorm(y, z, w, norm_before_gate=True, impl=impl), want, **close)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("before", [False, True])
def test_values_and_gradients_equal_the_float64_reference(seed, dtype, before):
    case = cases.case(NormSpec(33, 24, 3, dtype), seed, norm_before_gate=before)
    got, want = case.evaluate("xla"), case.exact()
    assert not cases.failures(got, want, dtype)
    if dtype == "float32":
        assert all(cases.rms_error(got[k], want[k]) < 1e-6 for k in want)
