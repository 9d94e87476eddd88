"""submission.csv and the space of patterns: every way to be wrong is named, every move stays inside the space."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aira_jax import patterns
from aira_jax.tasks.compose.space import SUBMISSION, PatternSpace
from aira_jax.tasks.evaluation import SubmissionError

TWO = PatternSpace(primitives=("A", "M"), example="5(2A-M)-A")
THREE = PatternSpace(primitives=("A", "M", "Mb"), example="5(Mb-M-A)-M")

VALID_FILE = ["    a valid file:", "        architecture", "        5(2A-M)-A"]


@pytest.mark.parametrize(
    "content",
    [
        b"architecture\n8(A-M)\n",
        b"architecture\n8(A-M)",
        b"architecture\r\n8(A-M)\r\n\r\n",
        b"\xef\xbb\xbfarchitecture\n8(A-M)\n",
        b" architecture \n 8 (mA + M) \n\n  \n",
        b'architecture\n"A,M,A,M,A,M,A,M,A,M,A,M,A,M,A,M"\n',
        b'"architecture"\n"AMAMAMAMAMAMAMAM"\n',
    ],
)
def test_valid_files_hold_the_same_pattern(content):
    assert TWO.parse(content) == patterns.parse("8(A-M)")


@pytest.mark.parametrize(
    ("content", "first", "picture"),
    [
        (
            b"architecture\n5(A-M)-2A-3M\n",
            "submission.csv row 1, column architecture: 16 layers required, got 15: add one layer",
            ["    5(A-M)-2A-3M", "                ^", "    for example 5(A-M)-2A-4M"],
        ),
        (
            b"architecture\n8(A-Mb)\n",
            "submission.csv row 1, column architecture: primitive Mb does not belong to this space",
            ["    8(A-Mb)", "        ^", "    use only A or M"],
        ),
        (
            b"architecture\n8(A-X)\n",
            "submission.csv row 1, column architecture: unknown symbol 'X'",
            ["    8(A-X)", "        ^", "    use A, M or Mb"],
        ),
        (
            b"architecture\n8(A-M)\n16A\n",
            "submission.csv row 2, column architecture: 2 rows after the header, exactly one required",
            ["    16A", "    ^"],
        ),
        (
            b"pattern\n8(A-M)\n",
            "submission.csv header: the only column must be architecture",
            ["    pattern", "    ^"],
        ),
        (
            b"architecture,score\n8(A-M),1.0\n",
            "submission.csv header: the only column must be architecture",
            ["    architecture,score", "                ^"],
        ),
        (b"8(A-M)\n", "submission.csv header: the only column must be architecture", ["    8(A-M)", "    ^"]),
        (
            b"architecture\nA,M\n",
            "submission.csv row 1: 2 columns, one required; quote a pattern that holds commas",
            ["    A,M", "     ^"],
        ),
        (
            b"architecture\n\n",
            "submission.csv row 1, column architecture: there is no row after the header, exactly one required",
            [],
        ),
        (b"", "submission.csv: the file is empty", []),
        (b" \n\n", "submission.csv: the file is empty", []),
        (b"architecture\n\xff\n", "submission.csv: byte 13 is not UTF-8", []),
        (b'architecture\n"8(A-M)\n', "submission.csv: not a CSV file (unexpected end of data)", []),
        (b"architecture\n" + b"A" * 2**16, "submission.csv: larger than 65536 bytes", []),
    ],
)
def test_bad_files_are_refused_with_place_picture_and_a_valid_file(content, first, picture):
    with pytest.raises(SubmissionError) as caught:
        TWO.parse(content)
    assert str(caught.value).splitlines() == [first, *picture, *VALID_FILE]


@pytest.mark.parametrize(("name", "reason"), [("absent.csv", "No such file"), ("", "Is a directory")])
def test_unreadable_files_are_refused(tmp_path, name, reason):
    with pytest.raises(SubmissionError, match=reason):
        TWO.read(tmp_path / name)


def test_three_primitives_are_accepted_where_they_belong(tmp_path):
    path = tmp_path / SUBMISSION
    path.write_text("architecture\n5(Mb-M-A)-M\n")
    assert THREE.read(path).counts() == {"A": 5, "M": 6, "Mb": 5}


spaces = st.sampled_from([TWO, THREE])
seeds = st.integers(0, 2**32 - 1)


@given(spaces, seeds)
def test_samples_are_valid_and_depend_on_the_generator_only(space, seed):
    files = space.sample(np.random.default_rng(seed))
    assert files == space.sample(np.random.default_rng(seed))
    assert len(space.pattern(files)) == 16


@given(spaces, seeds)
def test_a_mutation_is_valid_and_never_the_parent(space, seed):
    rng = np.random.default_rng(seed)
    parent = space.sample(rng)
    child = space.mutate(parent, rng)
    assert space.pattern(child) != space.pattern(parent)


@pytest.mark.parametrize("space", [TWO, THREE])
def test_a_uniform_pattern_can_be_mutated(space):
    uniform = space.files(patterns.parse("16A"))
    assert all(space.mutate(uniform, np.random.default_rng(k)) != uniform for k in range(30))


def test_mutations_of_every_kind_occur():
    rng = np.random.default_rng(0)
    parent = TWO.sample(rng)
    distances = {patterns.hamming(TWO.pattern(parent), TWO.pattern(TWO.mutate(parent, rng))) for _ in range(300)}
    assert {1, 2, 4} <= distances


@given(spaces, seeds)
def test_a_crossover_takes_each_layer_from_a_parent_or_mutates_the_first(space, seed):
    rng = np.random.default_rng(seed)
    a, b = space.sample(rng), space.sample(rng)
    child = space.pattern(space.crossover(a, b, rng)).layers
    first, second = space.pattern(a).layers, space.pattern(b).layers
    heads = [cut for cut in range(1, 16) if child == first[:cut] + second[cut:]]
    same = all(first[:cut] + second[cut:] == first for cut in range(1, 16))
    assert child != first
    assert heads or same or patterns.hamming(patterns.Pattern(child), space.pattern(a)) >= 1


def test_a_crossover_of_equal_parents_is_a_mutation():
    files = TWO.files(patterns.parse("8(A-M)"))
    assert TWO.crossover(files, files, np.random.default_rng(0)) != files


def test_canonical_is_equal_for_equal_layers_and_none_for_invalid_files():
    def canonical(text):
        return TWO.canonical({SUBMISSION: f"architecture\n{text}\n"})

    assert canonical("8(A-M)") == canonical("AMAMAMAMAMAMAMAM") == "-".join(["A-M"] * 8)
    assert canonical("8(M-A)") != canonical("8(A-M)")
    assert canonical("7(A-M)") is None
    assert TWO.canonical({"solution.py": ""}) is None


def test_a_candidate_without_a_submission_is_named():
    with pytest.raises(SubmissionError, match="the candidate has no such file, only model"):
        TWO.mutate({"model.py": ""}, np.random.default_rng(0))
