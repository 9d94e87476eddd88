"""Where the nodes of a drawn tree go."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aira_jax.reports.run.layout import ROOT, tidy

STEADY = settings(deadline=None, max_examples=60)  # no example may fail because the machine is busy


@st.composite
def forests(draw):
    size = draw(st.integers(1, 80))
    return [draw(st.one_of(st.none(), st.integers(0, i - 1))) if i else None for i in range(size)]


def spine_to(node, parents):
    line = set()
    while node is not None:
        line.add(node)
        node = parents[node]
    return line


@STEADY
@given(forests(), st.data())
def test_no_two_nodes_share_a_place_and_children_stand_right_of_their_parent(parents, data):
    layout = tidy(parents, spine_to(data.draw(st.integers(0, len(parents) - 1)), parents))
    places = sorted(layout.at.values(), key=lambda place: (place[0], place[1]))
    assert set(layout.at) == {ROOT, *range(len(parents))}
    for (x, y), (next_x, next_y) in itertools.pairwise(places):
        assert next_x > x or next_y - y >= 0.999
    for node, parent in enumerate(parents):
        assert layout.at[node][0] > layout.at[ROOT if parent is None else parent][0]
    assert all(0 <= x < layout.width and 0 <= y <= layout.height - 1 for x, y in layout.at.values())


@STEADY
@given(forests(), st.data())
def test_the_way_to_the_chosen_node_is_a_straight_line(parents, data):
    spine = spine_to(data.draw(st.integers(0, len(parents) - 1)), parents)
    layout = tidy(parents, spine)
    assert {layout.at[node][1] for node in spine} == {layout.at[ROOT][1]}
    assert sorted(layout.at[node][0] for node in spine) == list(range(1, len(spine) + 1))


@STEADY
@given(forests(), st.data())
def test_every_node_hangs_from_at_most_one_row_and_its_row_is_its_parents(parents, data):
    layout = tidy(parents, spine_to(data.draw(st.integers(0, len(parents) - 1)), parents))
    heads = [head for row in layout.rows for head in row.heads]
    assert len(heads) == len(set(heads))
    for row in layout.rows:
        assert len({layout.at[head][1] for head in row.heads}) == 1
        assert all((ROOT if parents[head] is None else parents[head]) == row.parent for head in row.heads)


def test_many_children_that_led_nowhere_are_packed_about_twice_as_wide_as_high():
    layout = tidy([None] + [0] * 200)
    assert layout.width <= 24
    assert layout.height <= 12


def test_a_chain_of_repairs_takes_one_row_with_its_head():
    parents = [None, 0, 0, 0, 0, 1, 5]  # 1-5-6 is a chain below node 0, beside leaves 2, 3, 4
    layout = tidy(parents)
    assert layout.at[1][1] == layout.at[5][1] == layout.at[6][1]
    assert [layout.at[node][0] for node in (1, 5, 6)] == [2, 3, 4]


@pytest.mark.parametrize("size", [1, 1000])
def test_a_chain_of_any_length_is_laid_out(size):
    layout = tidy([None, *range(size - 1)], set(range(size)))
    assert layout.width == size + 1
    assert layout.height == 1
