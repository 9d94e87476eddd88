"""The plot of latency against published loss, and its data."""

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from aira_jax.reports.plotting import CYCLE, save, style
from aira_jax.scaling.latency import BlockTable, Point, front

_SPACES = {2: ("A, M", "o", CYCLE[2]), 3: ("A, M, Mb", "s", CYCLE[3])}
_WIDTH, _HEIGHT = 7.6, 4.8  # inches
_POINTS_WIDE, _POINTS_HIGH = 58 * _WIDTH, 52 * _HEIGHT  # the plotted area, about, in points
_LETTER, _LINE = 3.8, 8.5  # points that a letter and a line of a label take
_ABOVE = 5.0  # points by which a label stands above its mark where there is room


def write(points: Sequence[Point], table: BlockTable, folder: Path, name: str = "latency_loss") -> list[Path]:
    """Writes name.png, name.svg and the plotted numbers as name.csv below `folder`; returns their paths."""
    with style():
        paths = save(pareto(points, table), folder, name)
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(("architecture", "space", "latency_ms", "loss", "on_front"))
    best = front(points)
    rows.writerows((p.name, p.space, f"{p.latency_ms:.4f}", p.loss, int(p in best)) for p in points)
    data = folder / f"{name}.csv"
    data.write_text(text.getvalue(), encoding="utf-8")
    return [*paths, data]


def pareto(points: Sequence[Point], table: BlockTable) -> Figure:
    """Every architecture with a loss; the front as a staircase, the others paler."""
    figure = Figure(figsize=(_WIDTH, _HEIGHT), layout="constrained")
    axes = figure.subplots()
    best = front(points)
    known = [p for p in points if p.loss is not None]
    for space, (label, marker, colour) in _SPACES.items():
        of_space = [p for p in known if p.space == space]
        axes.scatter([p.latency_ms for p in of_space], [p.loss for p in of_space], 26, colour, marker, label=label,
                     alpha=[1.0 if p in best else 0.35 for p in of_space])  # fmt: skip
    axes.step([p.latency_ms for p in best], [p.loss for p in best], where="post", color="#838b96", lw=1, zorder=0)
    for p, above in _labels(sorted(known, key=lambda p: (p not in best, p.loss, p.latency_ms))):
        leader = (
            {"arrowstyle": "-", "color": "#d3d0c7", "lw": 0.6, "relpos": (0, 0.5)}
            if abs(above - _ABOVE) > _LINE
            else None
        )
        axes.annotate(_short(p.name), (p.latency_ms, p.loss), (7, above), textcoords="offset points", fontsize=6.5,
                      va="center", arrowprops=leader, color="#1d2127" if p in best else "#838b96")  # fmt: skip
    axes.margins(x=0.06)
    low, high = axes.get_xlim()
    axes.set(
        title=f"Sum of blocks, {table.mode}, {table.batch} x {table.length:,} tokens, {table.dtype}\n{table.device}",
        xlabel="latency in ms (lower is better)",
        ylabel="published loss at 1B (lower is better)",
        xlim=(low, high + 0.08 * (high - low)),
    )
    axes.legend()
    return figure


def _short(name: str) -> str:
    return name.replace(" (Stacked)", " St.").replace(" (Stretched)", " Str.").partition(" (")[0]


def _labels(points: Sequence[Point]) -> Iterator[tuple[Point, float]]:
    """Each point with how far above it its label goes, in points, so that no label covers another."""
    xs, ys = [p.latency_ms for p in points], [p.loss for p in points]
    wide, high = max(xs) - min(xs) or 1.0, max(ys) - min(ys) or 1.0
    taken: list[tuple[float, float, float]] = []
    for p in points:
        left = (p.latency_ms - min(xs)) / wide * _POINTS_WIDE
        right, middle = left + _LETTER * len(_short(p.name)), (p.loss - min(ys)) / high * _POINTS_HIGH
        beside = [m for other_left, other_right, m in taken if left < other_right and other_left < right]
        room = range(-2 * len(points), 2 * len(points) + 1)
        shifts = [_ABOVE + shift for shift in sorted((_LINE / 2 * i for i in room), key=abs)]
        above = next(shift for shift in shifts if all(abs(middle + shift - m) >= _LINE for m in beside))
        taken.append((left, right, middle + above))
        yield p, above
