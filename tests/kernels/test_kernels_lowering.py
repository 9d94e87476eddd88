"""Pallas kernels lower for GPUs and TPUs that are not at hand, at the shapes of every scale."""

import jax
import jax.numpy as jnp
import pytest

from kernels_pallas import SsdSpec, cases, causal_conv1d, ssd, state_scan
from kernels_pallas.bench import sweep
from kernels_pallas.bench.shapes import shape, spec
from kernels_pallas.common import dispatch
from kernels_pallas.common.lowering import Target, lower

TARGETS = {"pallas_triton": Target.H100, "pallas_mosaic_gpu": Target.H100, "pallas_tpu": Target.TPU}
# The smallest and the largest; 350m and 1b lie between, and the tests of block sizes below lower 1b.
SCALES = ("small_n16", *(pytest.param(name, marks=pytest.mark.slow) for name in ("350m", "1b")), "3b")


def kernels(lowered, kind: str) -> int:
    return lowered.as_text().count(f"@{kind}")


def array(*dims, dtype=jnp.float32):
    return jax.ShapeDtypeStruct(dims, dtype)


@pytest.mark.parametrize(
    "scale", [*(pytest.param(s, marks=pytest.mark.slow) for s in ("small_n16", "350m", "1b")), "3b"]
)
@pytest.mark.parametrize("impl", TARGETS)
def test_state_scan(scale, impl):
    s = shape(scale)
    args = array(s.B, s.L // 128, s.block.H), array(s.B, s.L // 128, s.block.H, s.block.P, s.block.N)
    for reverse in (False, True):
        lowered = lower(lambda d, s, r=reverse: state_scan(d, s, reverse=r, impl=impl), *args, target=TARGETS[impl])
        assert "custom_call" in lowered.as_text()


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("impl,count", [("pallas_triton", 9), ("pallas_mosaic_gpu", 4), ("pallas_tpu", 5)])
def test_ssd_forward_and_backward(scale, impl, count):
    """Triton: chunk_state and the scan, forward and for the gradient, and the gradient kernels."""
    s = shape(scale)
    b, dtype = s.block, jnp.bfloat16
    heads, groups = (s.B, s.L, b.H), (s.B, s.L, b.G, b.N)
    args = [array(*heads, b.P, dtype=dtype), array(*heads), array(b.H), *[array(*groups, dtype=dtype)] * 2]
    args += [array(b.H), array(s.B, s.L, dtype=jnp.int32)]

    def loss(x, dt, A, B, C, D, segments):
        y, final = ssd(x, dt, A, B, C, D=D, segment_ids=segments, impl=impl, return_final_state=True)
        return (y.astype(jnp.float32) ** 2).sum() + final.sum()

    lowered = lower(jax.grad(loss, argnums=(0, 1, 2, 3, 4, 5)), *args, target=TARGETS[impl])
    assert lowered.as_text().count("stablehlo.custom_call @") >= count


@pytest.mark.parametrize("impl", ["xla", "xla_scan", "pallas_triton"])
def test_no_product_of_float32_is_left_to_tf32(impl):
    """Forward and backward: GPUs round float32 operands to ten bits unless the highest precision is asked for."""
    case = cases.case(SsdSpec(1, 32, 2, 16, 1, 16), 0, skip="H", bias=True, initial=True)

    def loss(arrays):
        return sum(v.sum() for v in case.call(impl=impl, chunk=16, **arrays).values())

    text = lower(jax.grad(loss), {k: jnp.asarray(v) for k, v in case.arrays.items()}, target=Target.H100).as_text()
    products = [line for line in text.splitlines() if "stablehlo.dot_general" in line]
    assert products
    assert [line for line in products if "precision = [HIGHEST, HIGHEST]" not in line] == []


@pytest.mark.parametrize("scale", SCALES)
def test_conv_forward_and_backward(scale):
    s = shape(scale)
    k = s.block.channels
    args = array(s.B, s.L, k, dtype=jnp.bfloat16), array(4, k), array(k), array(s.B, s.L, dtype=jnp.int32)

    def loss(x, w, b, segments):
        return causal_conv1d(x, w, b, segment_ids=segments, impl="pallas_triton").astype(jnp.float32).sum()

    lowered = lower(jax.value_and_grad(loss, argnums=(0, 1, 2)), *args, target=Target.H100)
    assert lowered.as_text().count("stablehlo.custom_call @") == 2


def lower_swept(op: str, sizes: dict) -> str:
    """Forward and gradient at the 1B shape with block sizes of a sweep."""
    dims = spec(op, shape("1b"), "bfloat16")
    with dispatch.block_sizes(**sizes):
        return lower(*call_of(op, dims), target=Target.H100).as_text()


def call_of(op: str, dims):
    low = jnp.bfloat16
    if op == "ssd":
        heads, shared = (dims.B, dims.L, dims.H), array(dims.B, dims.L, dims.G, dims.N, dtype=low)
        args = array(*heads, dims.P, dtype=low), array(*heads), array(dims.H), shared, shared
        call = ssd
    elif op == "state_scan":
        args = array(dims.B, dims.c, dims.H), array(dims.B, dims.c, dims.H, dims.F)
        call = lambda *a, impl: state_scan(*a, impl=impl)[0]
    else:
        args, call = (array(dims.B, dims.L, dims.K, dtype=low), array(dims.W, dims.K)), causal_conv1d
    return jax.grad(lambda *a: call(*a, impl="pallas_triton").astype(jnp.float32).sum(), range(len(args))), *args


SWEPT = [(op, {axis: size}) for op, axes in sweep.AXES.items() for axis, sizes in axes.items() for size in sizes]


@pytest.mark.slow
@pytest.mark.parametrize("op,sizes", SWEPT)
def test_every_block_size_of_a_sweep(op, sizes):
    assert "custom_call" in lower_swept(op, sizes)


@pytest.mark.parametrize("op", sweep.AXES)
def test_smallest_block_sizes_of_a_sweep(op):
    """The smallest size of every axis at once, or the next where that is the default; they must change the kernels."""
    default = sweep.defaults(op)
    sizes = {axis: min(set(sizes) - {default[axis]}) for axis, sizes in sweep.AXES[op].items()}
    assert lower_swept(op, sizes) != lower_swept(op, {})
