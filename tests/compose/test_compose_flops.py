"""FLOPs, parameters and steps against the published numbers."""

import dataclasses
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aira_jax.compose import dims, flops
from aira_jax.compose.flops import flops_per_token, layer_flops, layer_parameters, parameters, steps_for_budget
from aira_jax.compose.flops import training_steps as steps
from aira_jax.patterns import PatternError, parse

COUNTS = st.fixed_dictionaries({"A": st.integers(1, 99), "M": st.integers(0, 99), "Mb": st.integers(0, 99)})


@pytest.mark.parametrize(
    "scale, space, a, m, mb",
    [
        ("350M", 2, 188_743_680, 113_246_208, 92_534_784),
        ("350M", 3, 188_743_680, 169_869_312, 92_534_784),
        ("1B", 2, 264_241_152, 301_989_888, 161_323_008),
        ("1B", 3, 264_241_152, 301_989_888, 161_323_008),
        ("3B", 2, 452_984_832, 452_984_832, 369_979_392),
        ("3B", 3, 452_984_832, 679_477_248, 369_979_392),
    ],
)
def test_flops_of_one_layer(scale, space, a, m, mb):
    assert layer_flops(dims.get(scale, space)) == {"A": a, "M": m, "Mb": mb}


@pytest.mark.parametrize(
    "scale, space, a, m, mb",
    [
        ("350M", 2, 6_291_456, 18_874_368, 14_642_576),
        ("350M", 3, 6_291_456, 28_311_552, 14_642_576),
        ("1B", 3, 10_485_760, 50_331_648, 25_847_232),
        ("3B", 2, 25_165_824, 75_497_472, 58_530_592),
        ("3B", 3, 25_165_824, 113_246_208, 58_530_592),
    ],
)
def test_parameters_of_one_layer(scale, space, a, m, mb):
    assert layer_parameters(dims.get(scale, space)) == {"A": a, "M": m, "Mb": mb}


def test_llama_has_the_sizes_of_the_released_models():
    assert parameters("16(A-M)", scale="1B", space=2) == (973_146_112, 1_235_814_400)
    assert parameters("28(A-M)", scale="3B", space=2).total == 3_212_749_824


def test_worked_examples_of_the_paper():
    assert flops_per_token({"A": 10, "M": 19}, dims.get("1B", 2)) == 8_380_219_392
    assert steps(counts={"A": 10, "M": 19}, scale="1B", space=2) == 4_552
    assert flops_per_token({"A": 6, "M": 10, "Mb": 16}, dims.get("1B", 3)) == 7_186_513_920
    assert steps(counts={"A": 6, "M": 10, "Mb": 16}, scale="1B", space=3) == 5_308


@pytest.mark.parametrize(
    "counts, scale, space, budget, printed",
    [
        ((8, 16, 0), "350M", 2, 2e19, 11_484),
        ((12, 14, 0), "350M", 2, 4e20, 198_147),
        ((33, 15, 0), "1B", 2, 8e19, 11_516),
        ((21, 32, 0), "3B", 2, 4e20, 31_778),
        ((2, 8, 8), "350M", 3, 2e19, 15_402),
        ((0, 4, 16), "350M", 3, 4e20, 353_207),
        ((3, 13, 12), "1B", 3, 2e19, 5_732),
        ((21, 6, 13), "1B", 3, 2e20, 40_332),
    ],
)
def test_default_rounding_reproduces_both_published_tables(counts, scale, space, budget, printed):
    named = dict(zip(("A", "M", "Mb"), counts, strict=True))
    assert steps(counts=named, scale=scale, space=space, budget=budget) == printed


def test_every_published_row(published):
    rows = published("isoflop_steps.csv")
    assert len(rows) == 210
    two = ("Llama", "Composite", "AIRAformer")
    for row in rows:
        space = 2 if row["architecture"].startswith(two) else 3
        counts = {p: int(row[p]) for p in ("A", "M", "Mb")}
        for budget in (row["budget_flops"], float(row["budget_flops"]), int(float(row["budget_flops"]))):
            assert steps(counts=counts, scale=row["scale"], space=space, budget=budget) == int(row["steps"]), row


def test_rounding_can_be_chosen():
    args = {"scale": "1B", "space": 2}
    assert [steps("9A-18M", rounding=r, **args) for r in ("floor", "nearest", "round", "ceil")] == [4881] + 3 * [4882]
    assert steps_for_budget(2e19, "9A-18M", "1B", 2) == 4881
    assert steps_for_budget(2e19, "9A-18M", "1B", 2, rounding="nearest") == 4882


@settings(deadline=None)
@given(counts=COUNTS, scale=st.sampled_from(dims.SCALES), budget=st.floats(1, 1e24))
def test_floor_never_exceeds_the_budget_and_wastes_less_than_a_step(counts, scale, budget):
    sizes = dims.get(scale, 3)
    step = flops_per_token(counts, sizes) * sizes.tokens_per_step
    left = Fraction(repr(budget)) - steps_for_budget(budget, counts, scale, 3) * step
    assert 0 <= left < step


@settings(deadline=None)
@given(n=st.integers(1, 10**12), scale=st.sampled_from(dims.SCALES))
def test_steps_are_exact_where_floats_are_not(n, scale):
    step = flops_per_token("A-M", dims.get(scale, 2)) * 524_288
    assert steps_for_budget(n * step, "A-M", scale, 2) == n
    assert steps_for_budget(n * step - 1, "A-M", scale, 2) == n - 1
    assert steps_for_budget(n * step - 1, "A-M", scale, 2, rounding="ceil") == n


def test_a_float_budget_means_the_decimal_that_was_written():
    assert int(1e23) != 10**23
    assert steps("A", scale="1B", space=3, budget=1e23) == steps("A", scale="1B", space=3, budget=10**23)


def test_patterns_texts_layers_and_counts_are_the_same_to_it():
    args = {"scale": "3B", "space": 3}
    assert (
        steps("2(A-M-Mb)", **args)
        == steps(parse("2(A-M-Mb)"), **args)
        == steps(["A", "M", "Mb"] * 2, **args)
        == steps({"A": 2, "M": 2, "Mb": 2}, **args)
        == steps(counts={"A": 2, "M": 2, "Mb": 2}, **args)
    )


def test_custom_dims():
    half = dataclasses.replace(dims.get("1B", 2), name="short", seq_len=4096)
    assert layer_flops(half)["A"] == 264_241_152 - 12 * 4096 * 2048
    assert steps("8(A-M)", scale=half) > steps("8(A-M)", scale="1B", space=2)
    assert parameters("8(A-M)", scale=half) == parameters("8(A-M)", scale="1B", space=2)
    wide = dataclasses.replace(half, conv_width=3)
    assert layer_parameters(half)["Mb"] - layer_parameters(wide)["Mb"] == half.conv_channels


@pytest.mark.parametrize(
    "args, words",
    [
        ({"layers": "9A-Mb", "scale": "1B", "space": 2}, ["Mb", "space 2", "use space=3"]),
        ({"counts": {"a": 1}, "scale": "1B", "space": 2}, ["'a'", "A, M"]),
        ({"counts": {"A": 1.5}, "scale": "1B", "space": 2}, ["A", "1.5"]),
        ({"counts": {"A": -1}, "scale": "1B", "space": 2}, ["A", "-1"]),
        ({"counts": {}, "scale": "1B", "space": 2}, ["no layer"]),
        ({"counts": {"A": 0}, "scale": "1B", "space": 2}, ["no layer"]),
        ({"layers": "A", "scale": "1b", "space": 2}, ["'1b'", "350M, 1B, 3B"]),
        ({"layers": "A", "scale": "1B", "space": 4}, ["space 4", "2 (A and M) or 3"]),
        ({"layers": "A", "scale": "1B"}, ["space is missing", "space=2"]),
        ({"scale": "1B", "space": 2}, ["either a pattern or counts"]),
        ({"layers": "A", "counts": {"A": 1}, "scale": "1B", "space": 2}, ["not both"]),
        ({"layers": "A", "scale": "1B", "space": 2, "budget": -1}, ["budget", "not positive"]),
        ({"layers": "A", "scale": "1B", "space": 2, "budget": float("nan")}, ["budget", "finite"]),
        ({"layers": "A", "scale": "1B", "space": 2, "budget": "1e999"}, ["budget", "finite"]),
        ({"layers": "A", "scale": "1B", "space": 2, "rounding": "flor"}, ["'flor'", 'did you mean "floor"']),
        ({"layers": "A", "scale": dims.get("1B", 2), "space": 3}, ["space 3", "contradicts"]),
    ],
)
def test_bad_input_names_the_mend(args, words):
    with pytest.raises(ValueError) as error:
        steps(**args)
    assert all(word in str(error.value) for word in words), str(error.value)


def test_a_bad_pattern_keeps_its_position():
    with pytest.raises(PatternError) as error:
        steps("A-X", scale="1B", space=2)
    assert error.value.pos == 2


@pytest.mark.parametrize(
    "change, words", [({"d_model": 0}, "d_model"), ({"kv_heads": 7}, "kv_heads"), ({"mamba_head_dim": 60}, "60")]
)
def test_impossible_dims_are_refused(change, words):
    with pytest.raises(ValueError, match=words):
        dataclasses.replace(dims.get("1B", 3), **change)


def test_published_rounding_is_what_the_default_uses():
    assert {space: rule.value for space, rule in flops.PUBLISHED_ROUNDING.items()} == {2: "nearest", 3: "floor"}
