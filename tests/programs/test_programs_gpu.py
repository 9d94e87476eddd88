"""Programs for GPUs, exported where there is none: numeric routines pass, kernels written by hand do not."""

import jax
import jax.export
import jax.numpy as jnp
import pytest

from aira_jax.programs import policy
from kernels_pallas import portable, ssd, state_scan
from kernels_pallas.common.lowering import Target, device

CHECKS = [jax.export.DisabledSafetyCheck.custom_call(name) for name in ("__gpu$xla.gpu.triton", "mosaic_gpu_v2")]


def array(*dims, dtype=jnp.float32):
    return jax.ShapeDtypeStruct(dims, dtype)


def refused(function, *inputs) -> list[str]:
    with device(Target.H100):
        exported = jax.export.export(jax.jit(function), platforms=["cuda"], disabled_checks=CHECKS)(*inputs)
    return list(policy.violations(exported.mlir_module_serialized))


@pytest.mark.parametrize("impl, word", [("pallas_triton", "triton"), ("pallas_mosaic_gpu", "mosaic_gpu"), ("xla", "")])
def test_a_kernel_written_by_hand_is_refused_and_its_xla_form_is_not(impl, word):
    inputs = array(2, 8, 8), array(2, 8, 8, 64, 64)
    found = refused(lambda decay, states: state_scan(decay, states, impl=impl), *inputs)
    assert bool(found) == bool(word)
    assert all(word in text for text in found)


def test_linear_algebra_draws_and_special_functions_pass():
    def routines(x):
        square = x @ x.T
        yield from (jnp.linalg.svd(x)[1], jnp.linalg.cholesky(square), jnp.linalg.eigh(square)[0], jnp.linalg.inv(x))
        yield from (jnp.linalg.qr(x)[0], jax.scipy.linalg.solve_triangular(x, x), jax.lax.top_k(x, 2)[0], jnp.sort(x))
        yield from (jax.random.normal(jax.random.key(0), (4,)), jax.scipy.special.erfinv(x), jnp.fft.rfft(x))

    assert refused(lambda x: tuple(routines(x)), array(8, 8)) == []


def test_the_library_keeps_to_xla_where_programs_are_exported():
    """Left alone it would choose a kernel of its own, which no program may hold."""
    heads, states = array(1, 128, 8, 64, dtype=jnp.bfloat16), array(1, 128, 1, 64, dtype=jnp.bfloat16)
    inputs = heads, array(1, 128, 8), array(8), states, states
    assert refused(lambda *a: ssd(*a), *inputs)
    with portable():
        assert refused(lambda *a: ssd(*a), *inputs) == []
