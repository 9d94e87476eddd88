"""The pattern language: examples of the paper, properties of the printed forms, and every error with its position."""

import csv
import functools
import itertools
import os
import pickle
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aira_jax.patterns import (
    MAX_LAYERS,
    Pattern,
    PatternError,
    edit_distance,
    hamming,
    neighbours,
    parse,
    validate,
)

PRIMITIVES = ("A", "M", "Mb")
AIRAFORMER_A = "(A + M) + (2A + 2M) + 4 (A + M) + 2M"
AIRAFORMER_B = "2A + 5 (A + M) + 4M"
AIRAFORMER_C = "(2A + M) + 3 (A + M) + (2A + M) + 4A"
AIRAFORMER_D = "5 (2A + M) + A"
AIRAHYBRID_A = "2Mb + M + 11Mb + 2M"
AIRAHYBRID_B = "3 (2Mb + M + A) + 2Mb + 2M"
AIRAHYBRID_C = "2Mb + A + 2 (Mb + A) + M + 2 (A + Mb + A + M)"
AIRAHYBRID_D = "2Mb + M + 2 (Mb + M) + A + M + Mb + M + A + M + Mb + M + A"
AIRAHYBRID_E = "5 (Mb + M + A) + M"

layer_lists = st.lists(st.sampled_from(PRIMITIVES), min_size=1, max_size=60)


@st.composite
def written_patterns(draw, depth=3):
    """A text of the grammar and the layers it stands for, both made without the parser."""
    text, layers = "", ()
    for k in range(draw(st.integers(1, 3))):
        if depth and draw(st.booleans()):
            inner_text, inner = draw(written_patterns(depth=depth - 1))
            body = f"({inner_text})"
        else:
            body = draw(st.sampled_from(["A", "mA", "M", "Mb"]))
            inner = ("A",) if body == "mA" else (body,)
        count = draw(st.integers(1, 3))
        written = draw(st.sampled_from(["{}", "{} ", "{}*", "{} * ", "{}×"])).format(count)
        prefix = "" if count == 1 and draw(st.booleans()) else written
        separator = draw(st.sampled_from(["-", "+", ",", ";", " - ", " ", " + ", "–", ""])) if k else ""
        text += separator + prefix + body
        layers += inner * count
    return text, layers


@given(written_patterns())
def test_nested_text_parses_to_the_layers_it_stands_for(case):
    text, layers = case
    assert parse(text).layers == layers


@given(layer_lists)
def test_pretty_canonical_and_compact_parse_back_to_the_same_layers(layers):
    pattern = parse("-".join(layers))
    assert pattern.layers == tuple(layers)
    assert parse(pattern.pretty()) == parse(pattern.canonical()) == parse(pattern.compact()) == pattern


@given(layer_lists, layer_lists)
def test_canonical_forms_are_equal_exactly_when_the_layers_are(a, b):
    a, b = Pattern(tuple(a)), Pattern(tuple(b))
    assert (a.canonical() == b.canonical()) == (a == b)
    assert a != b or hash(a) == hash(b)


@functools.cache
def shortest(layers: tuple[str, ...]) -> int:
    """Length of the shortest nested form, straight from the grammar: a layer, a repetition, or two forms joined."""
    lengths = [len(layers[0])] if len(layers) == 1 else []
    lengths += [shortest(layers[:k]) + 1 + shortest(layers[k:]) for k in range(1, len(layers))]
    for count in range(2, len(layers) + 1):
        unit = layers[: len(layers) // count]
        if unit * count == layers:
            lengths.append(len(str(count)) + (len(unit[0]) if len(unit) == 1 else 2 + shortest(unit)))
    return min(lengths)


@given(st.lists(st.sampled_from(PRIMITIVES), min_size=1, max_size=24))
@settings(max_examples=60, deadline=None)
def test_pretty_is_a_shortest_nested_form(layers):
    pattern = Pattern(tuple(layers))
    assert len(pattern.pretty()) == shortest(pattern.layers)


def test_pretty_folds_leftmost_on_ties():
    assert parse("AMAMA").pretty() == "2(A-M)-A"


def test_pretty_of_more_than_128_layers_is_the_run_length_form():
    assert parse("64(A-M)").pretty() == "64(A-M)"
    assert parse("65(A-M)").pretty() == parse("65(A-M)").canonical()


@pytest.mark.parametrize(
    ("text", "canonical", "counts"),
    [
        (AIRAFORMER_B, "3A-M-A-M-A-M-A-M-A-5M", (7, 9, 0)),
        ("3(2Mb-M-A)-2(Mb-M)", "2Mb-M-A-2Mb-M-A-2Mb-M-A-Mb-M-Mb-M", (3, 5, 8)),
        (AIRAFORMER_C, "2A-M-A-M-A-M-A-M-2A-M-4A", (11, 5, 0)),
        ("(3A-4(M-A)-5M)-7M", "3A-M-A-M-A-M-A-M-A-12M", (7, 16, 0)),
        ("AAMMb", "2A-M-Mb", (2, 1, 1)),
        ("mAM", "A-M", (1, 1, 0)),
        ("2 × (A — M)", "A-M-A-M", (2, 2, 0)),
    ],
)
def test_known_texts(text, canonical, counts):
    pattern = parse(text)
    assert pattern.canonical() == str(pattern) == canonical
    assert tuple(pattern.counts()[p] for p in PRIMITIVES) == counts
    assert len(pattern) == sum(counts) == sum(n for _, n in pattern.runs())


def test_runs_are_maximal_groups():
    assert parse("AA-A-2M").runs() == (("A", 3), ("M", 2))


def test_patterns_are_immutable():
    with pytest.raises(AttributeError):
        parse("A").layers = ("M",)


@pytest.mark.parametrize(
    ("text", "pos"),
    [
        ("3(2Mb-M-A-2(Mb-M)", 1),
        ("A-X", 2),
        ("A--M", 2),
        ("A - + M", 4),
        ("0A", 0),
        ("A-00M", 2),
        ("03A", 0),
        ("10000A", 0),
        ("A-" + "9" * 5000 + "M", 2),
        ("a-M", 0),
        ("A-mb", 2),
        ("A-2", 2),
        ("(A-M)3", 5),
        ("2-A", 0),
        ("A*2", 1),
        ("A)", 1),
        ("()", 0),
        ("A-2( )", 3),
        ("-A", 0),
        ("(A-)", 2),
        ("A,", 1),
        ("", 0),
        (" \n", 0),
        ("2−−A", 0),
        ("M––A", 2),
        ("A²", 1),
        ("(" * 50_000, 49_999),
    ],
)
def test_errors_point_at_the_offending_character_of_the_input(text, pos):
    with pytest.raises(PatternError) as caught:
        parse(text)
    error = caught.value
    assert error.pos == pos
    _, shown, caret, fix = str(error).splitlines()
    if text.strip():
        assert shown[caret.index("^")] == text[pos]
    assert fix.strip()


@pytest.mark.parametrize(
    ("text", "fix"),
    [("a", "use A"), ("m", "use M"), ("A-mb", "use Mb"), ("MB", "use Mb"), ("[A]", "use ( and )"), ("05A", "write 5")],
)
def test_errors_say_the_fix(text, fix):
    with pytest.raises(PatternError) as caught:
        parse(text)
    assert caught.value.fix == fix


@given(st.text(alphabet="AmMb2039(-+*) ,X", max_size=20))
def test_any_text_is_a_pattern_or_a_pattern_error_within_it(text):
    try:
        pattern, pos = parse(text), 0
    except PatternError as error:
        pattern, pos = None, error.pos
    assert pattern is None or parse(pattern.canonical()) == pattern
    assert 0 <= pos <= len(text)


@pytest.mark.parametrize("text", ["9999(9999A)", "999(999(999(999(A))))", "A" * (MAX_LAYERS + 1), "4096A(4096A(A"])
def test_a_huge_expansion_is_refused_before_it_is_made(text):
    with pytest.raises(PatternError, match="more than 4096 layers"):
        parse(text)


def test_the_largest_expansion_is_accepted():
    assert len(parse("64(64A)")) == MAX_LAYERS


def test_pattern_errors_survive_pickling():
    error = pickle.loads(pickle.dumps(PatternError("problem", "A-X", 2, "use A")))
    assert (error.pos, str(error)) == (2, "problem (position 2)\n    A-X\n      ^\n    use A")


def test_validate_counts_the_missing_layers():
    with pytest.raises(PatternError, match="16 layers required, got 15: add one layer") as caught:
        validate(parse("5(A-M)-2A-3M"), n_layers=16)
    assert len(parse(caught.value.fix.removeprefix("for example "))) == 16


def test_validate_counts_the_surplus_layers():
    with pytest.raises(PatternError, match="6 layers required, got 8: remove 2 layers") as caught:
        validate(parse("4(A-M)"), n_layers=6)
    assert parse(caught.value.fix.removeprefix("for example ")) == parse("3(A-M)")


def test_validate_points_at_a_foreign_primitive_in_the_text_as_given():
    with pytest.raises(PatternError, match="use only A or M") as caught:
        validate(parse("2mA + 3(M – Mb)"), primitives=("A", "M"))
    assert caught.value.pos == 12


def test_validate_accepts_what_fits():
    validate(parse("8(A-M)"), n_layers=16, primitives=("A", "M"))
    validate(parse("Mb"))


def test_unknown_tokens_make_no_pattern():
    with pytest.raises(ValueError, match="unknown primitive 'mA'"):
        Pattern(("A", "mA"))
    with pytest.raises(ValueError, match="1 to 4096 layers, got 0"):
        Pattern(())


@pytest.mark.parametrize(
    ("a", "b", "levenshtein", "differing"),
    [
        (AIRAFORMER_A, AIRAFORMER_B, 3, 4),
        (AIRAFORMER_A, AIRAFORMER_C, 7, 10),
        (AIRAFORMER_C, AIRAFORMER_D, 3, 4),
        (AIRAFORMER_C, "2(2A-M)-3(A-M)-4A", 2, 6),
        (AIRAHYBRID_B, AIRAHYBRID_E, 6, 10),
        (AIRAHYBRID_A, AIRAHYBRID_D, 8, 8),
    ],
)
def test_distances_between_published_patterns(a, b, levenshtein, differing):
    a, b = parse(a), parse(b)
    assert (edit_distance(a, b), hamming(a, b)) == (levenshtein, differing)


@given(layer_lists, layer_lists)
def test_edit_distance_is_symmetric_and_bounded(a, b):
    a, b = Pattern(tuple(a)), Pattern(tuple(b))
    distance = edit_distance(a, b)
    assert distance == edit_distance(b, a)
    assert abs(len(a) - len(b)) <= distance <= max(len(a), len(b))
    assert (distance == 0) == (a == b)


def test_hamming_needs_equal_lengths():
    with pytest.raises(ValueError, match="equal lengths, got 1 and 2"):
        hamming(parse("A"), parse("AA"))


@given(st.lists(st.sampled_from(PRIMITIVES), min_size=1, max_size=16))
def test_neighbours_are_all_patterns_at_distance_one(layers):
    pattern = Pattern(tuple(layers))
    found = list(neighbours(pattern))
    assert len(set(found)) == len(found) == 2 * len(pattern)
    assert all(hamming(pattern, other) == 1 for other in found)


def test_published_base_patterns_have_the_published_counts():
    shared = Path(os.environ.get("AIRA_JAX_SHARED", Path(__file__).parents[1].parent / "shared" / "data"))
    path = shared / "tables" / "patterns.csv"
    if not path.exists():
        pytest.skip(f"the published tables are not at {path}; set AIRA_JAX_SHARED")
    with path.open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["pattern"]]
    base = [row for row in rows if row["scale"] == "base"]
    assert base
    for row in base:
        counts = parse(row["pattern"]).counts()
        assert [counts[p] for p in PRIMITIVES] == [int(row[p]) for p in PRIMITIVES], row["architecture"]
    scaled = [row for row in rows if row["scale"] != "base"]
    agree = sum(
        len(p) == int(row["L_printed"]) and [p.counts()[q] for q in PRIMITIVES] == [int(row[q]) for q in PRIMITIVES]
        for row, p in ((row, parse(row["pattern"])) for row in scaled)
    )
    assert (len(scaled), agree) == (63, 45)


def test_all_published_names_have_sixteen_layers():
    names = [AIRAFORMER_A, AIRAFORMER_B, AIRAFORMER_C, AIRAFORMER_D]
    names += [AIRAHYBRID_A, AIRAHYBRID_B, AIRAHYBRID_C, AIRAHYBRID_D, AIRAHYBRID_E]
    assert {len(parse(text)) for text in names} == {16}
    assert all(edit_distance(parse(a), parse(b)) > 0 for a, b in itertools.combinations(names, 2))
