"""Numbers into drawing coordinates."""

import math
import re

from hypothesis import given, settings
from hypothesis import strategies as st

from aira_jax.reports.run import charts

STEADY = settings(deadline=None, max_examples=60)  # no example may fail because the machine is busy

finite = st.floats(-1e6, 1e6, allow_nan=False).map(lambda x: round(x, 6))


@STEADY
@given(finite, st.floats(1e-3, 1e6))
def test_ticks_are_round_even_and_inside(low, width):
    values = charts.ticks(low, low + width)
    step = charts.ticks(0, width)[1]
    assert 2 <= len(values) <= 7
    assert all(low - 1e-6 * width <= value <= low + width * (1 + 1e-6) for value in values)
    assert round(step / 10 ** math.floor(math.log10(step) + 1e-9), 6) in (1, 2, 5)


@STEADY
@given(st.lists(finite, min_size=1, max_size=20), st.booleans())
def test_a_span_holds_every_value_and_is_never_empty(values, negative):
    low, high = charts.span(values)
    assert low <= min(values) <= max(values) <= high
    assert low < high


def test_tick_labels_have_as_many_decimals_as_they_need():
    assert charts.tick_labels([0.51, 0.515, 0.52]) == ["0.510", "0.515", "0.520"]
    assert charts.tick_labels([0, 2000, 4000]) == ["0", "2,000", "4,000"]


def test_the_curve_is_a_staircase_of_the_best_and_every_value_is_a_dot():
    points = [
        (1, 0.5, 0.5, 0, "node 0", True),
        (2, None, 0.5, 1, "node 1", False),
        (3, 0.4, 0.5, 2, "node 2", False),
        (4, 0.7, 0.7, 3, "node 3", True),
    ]
    chart = charts.best_so_far("Steps", "steps", "validation", points)
    assert [(dot.node, dot.kind) for dot in chart.dots] == [(0, "best"), (2, "good"), (3, "best")]
    heights = [float(y) for y in re.findall(r"V([\d.]+)", chart.line)]
    assert heights[0] == heights[1] > heights[2] == chart.dots[-1].y


def test_nothing_scored_is_no_chart():
    assert charts.best_so_far("Steps", "steps", "validation", [(1, None, None, 0, "", False)]) is None
    assert charts.scatter("v", "x", "y", []) is None


def test_equal_scores_lie_on_the_diagonal_of_a_scatter():
    chart = charts.scatter(
        "v", "x", "y", [(0.5, 0.5, 0, "", "good"), (0.7, 0.7, 1, "", "good"), (0.6, 0.5, 2, "", "good")]
    )
    x0, y0, x1, y1 = map(float, re.fullmatch(r"M(\S+) (\S+)L(\S+) (\S+)", chart.diagonal).groups())
    on = [abs((dot.x - x0) * (y1 - y0) - (dot.y - y0) * (x1 - x0)) < 20 for dot in chart.dots]
    assert on == [True, True, False]


def test_a_sparkline_needs_two_finite_points():
    assert charts.sparkline([[0, 1.0], [1, None]]) == ""
    assert charts.sparkline([[0, 1.0], [1, math.nan], [2, 0.5]]).count("L") == 1
