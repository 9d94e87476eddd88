"""Stretching and stacking against the published rows, and the rules that they must keep."""

import dataclasses
import math
import warnings
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aira_jax.compose import dims, flops
from aira_jax.compose.extrapolate import ExtrapolationWarning, fit, stack, stretch
from aira_jax.patterns import MAX_LAYERS, Pattern, parse

PRIMITIVES = ("A", "M", "Mb")
LAYERS = st.lists(st.sampled_from(PRIMITIVES), min_size=1, max_size=24)
FACTORS = st.fractions(Fraction(1, 9), 9, max_denominator=50)


@pytest.fixture(autouse=True)
def _quiet():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExtrapolationWarning)
        yield


@pytest.mark.parametrize(
    "scale, factor, stretched",
    [
        ("350M", 1.464, "3A-8M-3A-5M-2A-5M"),
        ("1B", 1.650, "4A-9M-4A-5M-2A-5M"),
        ("3B", 3.137, "7A-16M-7A-10M-4A-10M"),
    ],
)
def test_stretched_composite_is_as_published(scale, factor, stretched):
    base = "2A-5M-2A-3M-A-3M"
    assert stretch(base, scale=scale, space=2) == parse(stretched)
    assert float(fit(base, scale, "stretch", space=2).factor) == pytest.approx(factor, abs=5e-4)


@pytest.mark.parametrize(
    "scale, factor, stacked",
    [("350M", 3.973, "4(2A-4M)"), ("1B", 4.498, "4(2A-4M)-A-2M"), ("3B", 8.514, "8(2A-4M)-A-2M")],
)
def test_stacked_composite_is_as_published(scale, factor, stacked):
    assert stack("2A-4M", scale=scale, space=2) == parse(stacked)
    assert float(fit("2A-4M", scale, "stack", space=2).factor) == pytest.approx(factor, abs=5e-4)


def test_stack_remainders():
    assert stack("2A-4M", scale="3B", space=2, remainder="ceil") == parse("8(2A-4M)-2A-3M")
    assert stack("2A-4M", scale="3B", space=2, remainder="floor") == parse("8(2A-4M)-A-2M")
    assert stack("2A-4M", scale="3B", space=2, remainder="round") == parse("8(2A-4M)-A-2M")
    assert stack("2Mb-M-3A", scale="350M", space=3, remainder="prefix") == parse("4(2Mb-M-3A)-2Mb")
    assert stack("2Mb-M-3A", scale="3B", space=3, remainder="prefix") == parse("9(2Mb-M-3A)-2Mb-M")


def test_stretched_hybrid_d_is_as_published():
    base = "2Mb + M + 2 (Mb + M) + A + M + Mb + M + A + M + Mb + M + A"
    result = fit(base, "1B", "stretch", space=3)
    assert result.pattern == parse("4Mb-2M-2Mb-3(2M-2Mb-2M-2A)")
    assert float(result.factor) == pytest.approx(1.856, abs=5e-4)


def test_stretching_two_runs_warns():
    with pytest.warns(ExtrapolationWarning, match="2 runs only"):
        assert stretch("2A-4M", 3.9732) == parse("8A-16M")


@pytest.mark.parametrize("far, method", [("2A-5M-2A-3M-A-3M", "stretch"), ("6(A-M)", "stretch")])
def test_a_size_far_from_its_target_warns(far, method):
    with pytest.warns(ExtrapolationWarning, match="from the target 350,000,000"):
        result = fit(far, "350M", method, space=2)
    assert abs(result.deviation) > Fraction(1, 10)
    assert any("%" in note for note in result.warnings)


def test_a_good_fit_is_silent():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = fit("2A-4M", "1B", "stack", space=2)
    assert result.warnings == ()
    assert result.parameters == (1_000_398_848, 1_263_067_136)
    assert result.deviation == Fraction(398_848, 10**9)


@settings(deadline=None)
@given(layers=LAYERS, factor=FACTORS)
def test_stretch_multiplies_every_run(layers, factor):
    base = Pattern(tuple(layers))
    expected = tuple((p, math.ceil(h * factor)) for p, h in base.runs())
    assert stretch(base, factor).runs() == expected


@settings(deadline=None)
@given(layers=LAYERS, factor=FACTORS.filter(lambda s: s >= 1))
def test_a_stack_is_whole_copies_and_less_than_one_more(layers, factor):
    base = Pattern(tuple(layers))
    copies = math.floor(factor)
    stacked = stack(base, factor, remainder="floor")
    assert stacked.layers[: copies * len(base)] == base.layers * copies
    assert len(stacked) < (copies + 1) * len(base)


@settings(deadline=None)
@given(layers=st.lists(st.sampled_from(PRIMITIVES), min_size=2, max_size=6), scale=st.sampled_from(dims.SCALES))
def test_prefix_comes_as_close_to_the_target_as_whole_layers_allow(layers, scale):
    sizes = dims.get(scale, 3)
    stacked = stack(layers, scale=scale, space=3, remainder="prefix")
    following = layers[len(stacked) % len(layers)]
    assert stacked.layers == tuple((layers * len(stacked))[: len(stacked)])
    assert flops.params(stacked, sizes).non_embedding <= sizes.target
    assert flops.params((*stacked.layers, following), sizes).non_embedding > sizes.target


def test_rounding_is_exact_at_whole_numbers_and_halves():
    assert stretch("10A-M-10A", "1.1").runs()[0] == ("A", 11)  # ceil(1.1 * 10) is 12 in floats
    assert stretch("5A-M-5A", "1.5", rounding="nearest").runs() == (("A", 8), ("M", 2), ("A", 8))
    assert stack("A-M", "1.5") == parse("A-M-A-M")  # halves go up


def test_custom_dims_bring_their_own_target():
    small = dataclasses.replace(dims.get("350M", 2), name="tiny", target=100_000_000)
    assert stack("2A-4M", scale=small) == parse("2A-4M-M")  # 0.135 of a copy: 0.27 A, 0.54 M


def test_prefix_may_hit_its_target_exactly():
    sizes = dims.get("350M", 2)
    exact = dataclasses.replace(sizes, target=flops.params("2A-4M-2A-M", sizes).non_embedding)
    assert stack("2A-4M", scale=exact, remainder="prefix") == parse("2A-4M-2A-M")


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: stack("30(A-M)", scale="350M", space=2), ["350M", "350,000,000", "30(A-M)", "use stretch"]),
        (lambda: stack("A-M", 0.5), ["factor 0.5", "use stretch"]),
        (lambda: stretch("30(A-M)", scale="350M", space=2), ["60 runs", "350,000,000", "fewer runs"]),
        (lambda: stretch("8(A-M)", 1000), ["16000 layers", str(MAX_LAYERS), "lower the target"]),
        (lambda: stack("8(A-M)", 10**9), ["layers", str(MAX_LAYERS)]),
        (lambda: stretch("8(A-M)", 0.4, rounding="nearest"), ["run 1", "vanishes", "ceil"]),
        (lambda: stretch("8(A-M)", 0), ["factor", "not positive"]),
        (lambda: stretch("8(A-M)", float("inf")), ["factor", "finite"]),
        (lambda: stretch("8(A-M)"), ["either a factor, or scale and space"]),
        (lambda: stretch("8(A-M)", 2, scale="1B", space=2), ["not both"]),
        (lambda: stretch("8(A-M)", scale="1B"), ["space is missing"]),
        (lambda: stretch("8(A-Mb)", scale="1B", space=2), ["Mb", "use space=3"]),
        (lambda: stretch("8(A-M)", scale="2B", space=2), ["'2B'", "350M, 1B, 3B"]),
        (lambda: stretch("8(A-M)", 2, rounding="up"), ["'up'", "ceil, nearest, floor"]),
        (lambda: stack("A-M", 2, remainder="prefx"), ["'prefx'", 'did you mean "prefix"']),
        (lambda: stack("A-M", 2, remainder="prefix"), ["prefix", "scale and space"]),
        (lambda: fit("A-M", "1B", "strech", space=2), ["'strech'", 'did you mean "stretch"']),
        (lambda: stretch("A--M", 2), ["position 2"]),
    ],
)
def test_bad_input_names_the_mend(call, words):
    with pytest.raises(ValueError) as error:
        call()
    assert all(word in str(error.value) for word in words), str(error.value)
