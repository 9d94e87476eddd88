"""Curves of a run as SVG and PNG files: loss, accuracy beside cheap baselines, learning rate."""

import dataclasses
import io
import itertools
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from aira_jax.core import files

COLORS = ("#1f6feb", "#d1622b", "#2a9d5c", "#8957e5")
BASELINE_COLOR, DASHES = "#8b949e", ("--", ":", "-.")


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
    """Writes <name>.svg and <name>.png for every plot with a point."""
    paths = []
    for name, plot in drawn.items():
        if any(curve.points for curve in plot.curves):
            svg_path, png_path = folder / f"{name}.svg", folder / f"{name}.png"
            files.write_atomically(svg_path, svg(plot))
            files.write_atomically(png_path, _drawn(plot, "png"))
            paths += [svg_path, png_path]
    return paths


def svg(plot: Plot) -> str:
    """One plot as a self-contained SVG whose words are text."""
    return _drawn(plot, "svg").decode()


def _drawn(plot: Plot, kind: str) -> bytes:
    import matplotlib  # here, because a process that only exports programs never draws
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 3.6), dpi=120, layout="constrained")
    axes = figure.add_subplot(title=plot.title, xlabel="update", ylabel=plot.y_label)
    for color, curve in zip(COLORS, plot.curves, strict=False):
        if curve.points:
            axes.plot(*zip(*curve.points, strict=True), label=curve.name, color=color)
    for dashes, (name, level) in zip(itertools.cycle(DASHES), plot.levels.items(), strict=False):
        axes.axhline(level, color=BASELINE_COLOR, linestyle=dashes, label=f"{name} {level:.3f}")
    axes.legend(fontsize=7)
    buffer = io.BytesIO()
    fixed = {"metadata": {"Date": None}} if kind == "svg" else {}  # equal runs draw equal files
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": plot.title}):
        figure.savefig(buffer, format=kind, **fixed)
    return buffer.getvalue()
