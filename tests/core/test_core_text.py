"""Text of candidates and models on its way to a reader."""

import html
import re
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aira_jax.core.text import cut, one_line, visible
from aira_jax.reports.run.diff import diff

STEADY = settings(deadline=None, max_examples=60)  # no example may fail because the machine is busy

HIDDEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


@STEADY
@given(st.text(st.characters(codec=None)))
def test_nothing_hidden_is_left(text):
    assert not HIDDEN.search(visible(text))
    visible(text).encode()


@STEADY
@given(st.text(st.characters(min_codepoint=32, max_codepoint=126)))
def test_plain_text_is_left_alone(text):
    assert visible(text) == text


def test_colours_are_dropped_and_other_controls_shown():
    assert visible("\x1b[1;31mred\x1b[0m\x00\r\nend\x07") == "red␀\nend␇"


@STEADY
@given(st.text("ab<&\n\x1b '\"é", max_size=3000), st.integers(200, 2000))
def test_cut_text_keeps_to_its_limit_in_markup(text, limit):
    kept = cut(text, limit, "output.txt")
    assert len(html.escape(kept).encode()) <= limit + 150 + len(html.escape("output.txt"))


@STEADY
@given(st.lists(st.sampled_from(["", "abc", "<script>", "x" * 40]), min_size=1, max_size=200), st.integers(100, 1500))
def test_what_is_kept_and_what_is_said_to_be_missing_add_up(lines, limit):
    kept = cut("\n".join(lines), limit, "output.txt").split("\n")
    notes = [i for i, line in enumerate(kept) if line.startswith("[… ")]
    if not notes:
        assert kept == lines
        return
    (at,) = notes
    missing = int(kept[at].split()[1].replace(",", ""))
    head, tail = kept[:at], kept[at + 1 :]
    assert lines[:at] == head
    assert tail == (lines[-len(tail) :] if tail else [])
    assert at + missing + len(tail) == len(lines)
    assert "output.txt" in kept[at]


def test_a_very_long_line_is_cut_in_its_middle_with_the_count():
    kept = cut("x" * 10_000, 60_000, "f")
    assert len(kept) < 2_100
    assert "8,000 characters left out" in kept


def test_one_line_is_one_bounded_line():
    assert one_line("a\n\tb\x1b[2J  c") == "a b c"
    assert one_line("x" * 500, 10) == "x" * 9 + "…"


PAIRS = [
    ({"a.txt": "1\n2\n3\n"}, {"a.txt": "1\ntwo\n3\n"}),
    ({"a.txt": "1\n2"}, {"a.txt": "1\n2\n"}),
    ({"a.txt": "1\r\n2\n"}, {"a.txt": "1\r\n2\x0c\n3"}),
    ({}, {"new/b.py": "x = 1\n"}),
    ({"old.py": "x = 1"}, {"b.py": "y\n"}),
]


@pytest.mark.parametrize("before, after", PAIRS)
def test_a_diff_applied_to_the_parent_gives_the_child(before, after, tmp_path):
    for path, text in before.items():
        (tmp_path / path).write_bytes(text.encode())
    subprocess.run(["git", "apply", "-"], input=diff(before, after).encode(), cwd=tmp_path, check=True)
    found = {str(p.relative_to(tmp_path)): p.read_bytes().decode() for p in tmp_path.rglob("*") if p.is_file()}
    assert found == after


def test_equal_files_have_no_diff():
    assert diff({"a": "x\n", "b": ""}, {"b": "", "a": "x\n"}) == ""
