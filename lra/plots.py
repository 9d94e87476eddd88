"""Curves of a run as SVG files: loss, accuracy beside cheap baselines, learning rate; PNG too with matplotlib."""

import dataclasses
import html
import importlib.util
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from aira_jax.reports.charts import Scale, span, tick_labels, ticks

WIDTH, HEIGHT = 640, 320
LEFT, RIGHT, TOP, BOTTOM = 64, 150, 34, 44
COLORS = ("#1f6feb", "#d1622b", "#2a9d5c", "#8957e5")
BASELINE_COLOR = "#8b949e"


@dataclasses.dataclass(frozen=True)
class Curve:
    """A named line through (x, y) points."""

    name: str
    points: tuple[tuple[float, float], ...]


@dataclasses.dataclass(frozen=True)
class Plot:
    """Curves over updates, and levels: horizontal lines by name."""

    title: str
    y_label: str
    curves: tuple[Curve, ...]
    levels: Mapping[str, float] = dataclasses.field(default_factory=dict)


def plots(rows: Sequence[Mapping[str, Any]], label: str, baselines: Mapping[str, float]) -> dict[str, Plot]:
    """The three plots of a metrics log by file name; `label` names the data, `baselines` accuracies on validation."""
    train = [row for row in rows if row["kind"] == "train"]
    subset = [row for row in rows if row["kind"] == "eval"]
    loss = (_curve("train batch", train, "loss"), _curve("validation subset", subset, "loss"))
    accuracy = (_curve("train batch", train, "accuracy"), _curve("validation subset", subset, "accuracy"))
    return {
        "loss": Plot(f"{label}: cross-entropy", "loss (nats)", loss),
        "accuracy": Plot(f"{label}: accuracy", "accuracy", accuracy, baselines),
        "lr": Plot(f"{label}: learning rate", "learning rate", (_curve("learning rate", train, "lr"),)),
    }


def _curve(name: str, rows: Iterable[Mapping[str, Any]], key: str) -> Curve:
    return Curve(name, tuple((row["step"], row[key]) for row in rows if row.get(key) is not None))


def write(folder: Path, drawn: Mapping[str, Plot]) -> list[Path]:
    """Writes <name>.svg for every plot with a point, and <name>.png where matplotlib is installed."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, plot in drawn.items():
        if any(curve.points for curve in plot.curves):
            path = folder / f"{name}.svg"
            path.write_text(svg(plot))
            paths.append(path)
            if importlib.util.find_spec("matplotlib"):
                paths.append(_png(folder / f"{name}.png", plot))
    return paths


def svg(plot: Plot) -> str:
    """One plot as a self-contained SVG."""
    xs = [x for curve in plot.curves for x, _ in curve.points]
    ys = [y for curve in plot.curves for _, y in curve.points] + list(plot.levels.values())
    x_scale = Scale(*span(xs, zero=True), LEFT, WIDTH - RIGHT)
    y_scale = Scale(*span(ys), HEIGHT - BOTTOM, TOP)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        _text(LEFT, 18, plot.title, size=13),
        *_axes(x_scale, y_scale, plot.y_label),
        *(part for name, level in plot.levels.items() for part in _level(name, level, x_scale, y_scale)),
        *(part for index, curve in enumerate(plot.curves) for part in _line(index, curve, x_scale, y_scale)),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _axes(x_scale: Scale, y_scale: Scale, y_label: str) -> list[str]:
    parts = []
    values = ticks(x_scale.low, x_scale.high)
    for value, label in zip(values, tick_labels(values), strict=True):
        parts.append(_text(x_scale(value), HEIGHT - BOTTOM + 16, label, anchor="middle"))
    values = ticks(y_scale.low, y_scale.high)
    for value, label in zip(values, _y_labels(values), strict=True):
        y = y_scale(value)
        parts.append(f'<path d="M{LEFT} {y:g}H{WIDTH - RIGHT}" stroke="#eaeef2"/>')
        parts.append(_text(LEFT - 6, y + 4, label, anchor="end"))
    parts.append(_text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 8, "update", anchor="middle"))
    turned = f'transform="rotate(-90 14 {HEIGHT / 2:g})"'
    return [*parts, _text(14, HEIGHT / 2, y_label, anchor="middle", more=turned)]


def _y_labels(values: Sequence[float]) -> list[str]:
    """Small numbers (learning rates) in exponents."""
    return [f"{v:.1e}" for v in values] if values and max(map(abs, values)) < 0.01 else tick_labels(values)


def _line(index: int, curve: Curve, x_scale: Scale, y_scale: Scale) -> list[str]:
    if not curve.points:
        return []
    color = COLORS[index % len(COLORS)]
    path = "M" + "L".join(f"{x_scale(x):g} {y_scale(y):g}" for x, y in curve.points)
    legend = _text(WIDTH - RIGHT + 8, TOP + 12 + 15 * index, curve.name, color=color)
    return [f'<path d="{path}" fill="none" stroke="{color}" stroke-width="{1 + 0.6 * index:g}"/>', legend]


def _level(name: str, level: float, x_scale: Scale, y_scale: Scale) -> list[str]:
    y = y_scale(level)
    line = f'<path d="M{LEFT} {y:g}H{WIDTH - RIGHT}" stroke="{BASELINE_COLOR}" stroke-dasharray="5 4"/>'
    return [line, _text(WIDTH - RIGHT + 8, y + 4, f"{name} {level:.3f}", color="#57606a")]


def _text(
    x: float, y: float, text: str, *, anchor: str = "start", color: str = "#24292f", size: int = 11, more: str = ""
) -> str:
    place = f'x="{x:g}" y="{y:g}" text-anchor="{anchor}" fill="{color}" font-size="{size}"'
    return f"<text {place} {more}>{html.escape(text)}</text>"


def _png(path: Path, plot: Plot) -> Path:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 3.6), dpi=120)
    FigureCanvasAgg(figure)
    axes = figure.add_subplot(title=plot.title, xlabel="update", ylabel=plot.y_label)
    for color, curve in zip(COLORS, plot.curves, strict=False):
        if curve.points:
            axes.plot(*zip(*curve.points, strict=True), label=curve.name, color=color)
    for name, level in plot.levels.items():
        axes.axhline(level, color=BASELINE_COLOR, linestyle="--", label=f"{name} {level:.3f}")
    axes.legend(fontsize=7)
    figure.savefig(path)
    return path
