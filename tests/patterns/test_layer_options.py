"""Layers with options: one canonical form per pattern, every mistake with its place, and no option for free."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aira_jax import patterns
from aira_jax.patterns import PatternError
from aira_jax.patterns import options as layer_options
from aira_jax.patterns.options import MAX_KINDS, OptionPattern, parse, read

EVERY_LAYER = [str(layer) for primitive in patterns.tokens() for layer in layer_options.layers(primitive)]


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("8(A-M)", "-".join(["A-M"] * 8)),
        ("A[head=16]-3M[ratio=2;norm=rms]-M", "A[head=16]-3M[ratio=2;norm=rms]-M"),
        ("2(mA[kv=2] + M[norm=rms , ratio=2])", "A[kv=2]-M[ratio=2;norm=rms]-A[kv=2]-M[ratio=2;norm=rms]"),
        ("A[head=8]A[place=pre;norm=layer]M[act=relu]", "2A-M"),
        ("Mb[ state = 64 ] 2Mb", "Mb[state=64]-2Mb"),
    ],
)
def test_equal_layers_have_one_canonical_form(text, canonical):
    assert parse(text).canonical() == canonical
    assert parse(canonical) == parse(text)


def test_a_pattern_without_options_is_written_as_in_the_pattern_language():
    text = "3(2Mb-M-A)-2(Mb-M)"
    assert parse(text).canonical() == patterns.parse(text).canonical()
    assert parse(text).pretty() == patterns.parse(text).pretty()
    assert parse(text).plain == patterns.parse(text)


@given(st.lists(st.sampled_from(EVERY_LAYER), min_size=1, max_size=20))
def test_every_form_parses_back_to_the_same_layers(layers):
    pattern = OptionPattern(tuple(layers))
    assert pattern.layers == tuple(layers)
    assert parse(pattern.pretty()) == parse(pattern.canonical()) == parse(pattern.compact()) == pattern


def test_counts_and_parameters_add_up_over_layers():
    pattern = parse("2A[kv=2]-M[ratio=8]-Mb")
    assert pattern.counts() == {"A": 2, "M": 1, "Mb": 1}
    assert pattern.parameters(64) == 2 * read("A[kv=2]").parameters(64) + sum(
        read(layer).parameters(64) for layer in ("M[ratio=8]", "Mb")
    )


@pytest.mark.parametrize(
    ("text", "pos", "problem", "fix"),
    [
        ("A-A[ratio=2]", 4, "A has no option ratio", "it belongs to M; A has head, kv, norm or place"),
        ("A[heed=2]", 2, "unknown option 'heed'", 'did you mean "head"'),
        ("M[]", 2, "an option is missing", "write key=value; M has ratio, act, norm or place"),
        ("M[ratio=2;]", 10, "an option is missing", "write key=value"),
        ("A[head=7]", 7, "head=7 is not offered", "use 8, 4, 16 or 32"),
        ("2(M[act = swigl])", 10, "act=swigl is not offered", "use relu, gelu-tanh or swiglu"),
        ("A[head]", 2, "head has no value", "write head=8"),
        ("A[head=4; head=8]", 10, "head is given twice", "keep one"),
        ("M[norm=none;place=post]", 12, "a place for no norm", "leave out place"),
        ("A[head=32;kv=2]", 10, "head * kv above 32", "use kv=1 or a smaller head"),
        ("M-A[head=4", 3, "this bracket is never closed", "add a ]"),
        ("A]", 1, "this bracket was never opened", "remove it"),
        ("3[head=4]", 1, "options without a layer", "write them after their layer"),
        ("8(A-M)[norm=rms]", 6, "options without a layer", "write them after their layer"),
        ("A[head=4]-X", 10, "unknown symbol 'X'", "use A, M or Mb"),
        ("A[head=4]--M", 10, "no item before this separator", "remove the separator"),
    ],
)
def test_every_mistake_is_named_with_its_place_and_mend(text, pos, problem, fix):
    with pytest.raises(PatternError) as caught:
        parse(text)
    assert (caught.value.pos, caught.value.problem) == (pos, problem)
    assert fix in caught.value.fix


def test_a_layer_is_one_layer():
    with pytest.raises(PatternError, match="more than one layer"):
        read("A-M")
    with pytest.raises(PatternError, match="no layer"):
        OptionPattern(("A", ""))
    with pytest.raises(KeyError):
        read("A")["ratio"]


def test_a_pattern_of_unequal_length_gets_an_example_with_its_options():
    with pytest.raises(PatternError, match=r"for example 3M\[ratio=2\]"):
        patterns.validate(parse("2M[ratio=2]"), n_layers=3)


@pytest.mark.parametrize(
    "text", ["16A", "M[ratio=8]-3M[ratio=1]", "M[act=swiglu;ratio=2]-M", "A[head=32]-A[norm=none]"]
)
def test_options_may_move_parameters(text):
    layer_options.check_size(parse(text))


@pytest.mark.parametrize("text", ["A-M[ratio=8]", "M[act=swiglu]-M[norm=none]", "Mb[state=32]-8A"])
def test_options_may_not_add_parameters(text):
    with pytest.raises(PatternError, match="more than without options") as caught:
        layer_options.check_size(parse(text))
    assert text[caught.value.pos] == "["
    assert "each" in caught.value.fix


def test_a_pattern_has_few_kinds_of_layers():
    four = "A-A[head=4]-M-M[norm=rms]"
    layer_options.check_kinds(parse(four))
    with pytest.raises(PatternError, match=rf"5 kinds of layers .*, at most {MAX_KINDS} allowed"):
        layer_options.check_kinds(parse(f"{four}-A[kv=2]"))
