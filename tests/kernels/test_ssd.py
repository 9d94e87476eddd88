"""ssd in every implementation against the float64 reference, on random shapes and inputs."""

import itertools

import numpy as np
import pytest

from kernels_pallas import SsdSpec, cases, interpret_mode
from kernels_pallas.common import backends, dispatch

ALL = ("reference", "xla", "xla_scan")


def draw(rng, dtype: str, pallas: bool) -> tuple[SsdSpec, dict]:
    """A random shape and random options.

    There are so many heads that dA and ddt_bias, one sum for each, are not small by accident in all that count, which
    makes their relative error large: with 8 heads dA was in one bfloat16 draw of a hundred. bfloat16 also gets sums of
    16 terms, so that no element of a gradient is far larger than the others.
    """
    rounded = dtype == "bfloat16"
    h = 64 if rounded else 8
    g = int(rng.choice([1, 2, 8]))
    length = int(rng.choice([31, 32, 33, 64] if rounded else [1, 7, 31, 32, 33, *([64] if pallas else [257])]))
    p, n = (16, 16) if pallas or rounded else (int(rng.choice([1, 4, 8])), int(rng.choice([1, 3, 8])))
    chunk = int(rng.choice([32, 64] if rounded or pallas else [8, 32, 64]))
    return SsdSpec(1 if pallas else 2, length, h, p, g, n, dtype, chunk, bool(rng.integers(2))), some_options(rng)


def some_options(rng) -> dict:
    return {"skip": str(rng.choice(["", "H", "HP"])), "bias": bool(rng.integers(2)), "initial": bool(rng.integers(2))}


def check(spec: SsdSpec, options: dict, seed: int, impls) -> None:
    print(spec, options)
    case = cases.case(spec, seed, **options)
    exact = case.exact()
    for impl in impls:
        with interpret_mode():
            wrong = cases.failures(case.evaluate(impl, spec.chunk), exact, spec.dtype)
        assert not wrong, f"{impl}: {wrong}"


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_random_shapes(seed, dtype):
    check(*draw(np.random.default_rng(seed), dtype, pallas=False), seed, ALL[1:])


@pytest.mark.parametrize(
    "impl,dtype",
    [
        ("pallas_triton", "float32"),
        pytest.param("pallas_triton", "bfloat16", marks=pytest.mark.slow),
        ("pallas_tpu", "float32"),
    ],
)
def test_random_shapes_interpreted(seed, impl, dtype):
    rng = np.random.default_rng(seed)
    sizes = {name: int(rng.choice([16, 32])) for name in ("tile", "grad_tile")} if impl == "pallas_triton" else {}
    print(sizes)
    with dispatch.block_sizes(**sizes):
        check(*draw(rng, dtype, pallas=True), seed, [impl])


@pytest.mark.skipif(not backends.interprets_mosaic_gpu(), reason="this jax cannot interpret Mosaic GPU kernels")
def test_mosaic_gpu_interpreted(seed):
    """Two tiles a chunk, and a chunk that is not full; the gradient is that of xla."""
    case = cases.case(SsdSpec(1, 100, 4, 16, 2, 16, "bfloat16", 128, True), seed, skip="HP", bias=True, initial=True)
    with interpret_mode():
        got = case.call(impl="pallas_mosaic_gpu", chunk=128, **case.arrays)
    exact = case.exact()
    assert not cases.failures(got, {k: exact[k] for k in got}, "bfloat16")


@pytest.mark.slow
def test_tiles_smaller_than_the_chunk_interpreted(seed):
    """Pairs of tiles away from the diagonal, of different sizes forward and backward, and shares of a group's heads."""
    with dispatch.block_sizes(tile=16, grad_tile=32, heads=2):
        check(SsdSpec(1, 64, 8, 16, 1, 16, "float32", 64, True), {"bias": True}, seed, ["pallas_triton"])


def turns(options, *sizes) -> list[tuple]:
    """Every combination of `sizes` with one of `options`; over the first size the six others meet all of them."""
    return [(*place, options[(i + i // 6) % len(options)]) for i, place in enumerate(itertools.product(*sizes))]


@pytest.mark.slow
@pytest.mark.parametrize(
    "length,chunk,segments,g", turns((1, 2, 8), (1, 7, 31, 32, 33, 257, 512), (8, 32, 64), (False, True))
)
def test_grid(seed, length, chunk, segments, g):
    spec = SsdSpec(2, length, 8, 8, g, 8, "float32", chunk, segments)
    check(spec, some_options(np.random.default_rng(seed)), seed, ALL)


@pytest.mark.slow
@pytest.mark.parametrize(
    "length,chunk,dtype,segments", turns((False, True), (31, 33, 64), (16, 32, 64), ("float32", "bfloat16"))
)
def test_grid_interpreted(seed, length, chunk, dtype, segments):
    rng = np.random.default_rng(seed)
    heads = 64 if dtype == "bfloat16" else 8  # as in `draw`
    spec = SsdSpec(1, length, heads, 16, int(rng.choice([1, 2])), 16, dtype, chunk, segments)
    check(spec, some_options(rng), seed, ["pallas_triton", "pallas_tpu"])


@pytest.mark.slow
@pytest.mark.parametrize("chunk,length", [(128, 130), (256, 256)])
def test_several_tiles_in_a_chunk_interpreted(seed, chunk, length):
    """Chunks longer than the tile of 64 use every pair of tiles, also those away from the diagonal."""
    check(SsdSpec(1, length, 8, 16, 1, 16, "float32", chunk, True), {"bias": True}, seed, ["pallas_triton"])


@pytest.mark.slow
@pytest.mark.parametrize("impl", ["xla", "xla_scan"])
def test_float64_is_exact(x64, seed, impl):
    case = cases.case(SsdSpec(2, 33, 8, 4, 2, 4, "float64", 8, True), seed, skip="HP", bias=True, initial=True)
    assert not cases.failures(case.evaluate(impl, 8), case.exact(), "float64")
