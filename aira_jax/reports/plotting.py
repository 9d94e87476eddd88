"""Figures for papers: one look, saved as PNG and SVG, with equal bytes for equal data."""

from pathlib import Path

import matplotlib
from matplotlib.figure import Figure

CYCLE = ("#147a56", "#2456c8", "#c77700", "#7b3fb0", "#5f6772")

_LOOK = {
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#838b96",
    "axes.labelcolor": "#1d2127",
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "xtick.color": "#5f6772",
    "ytick.color": "#5f6772",
    "svg.hashsalt": "aira_jax",
    "legend.frameon": False,
}


def style():
    """The context in which figures are drawn and saved."""
    return matplotlib.rc_context(_LOOK)


def save(figure: Figure, folder: Path, name: str) -> tuple[Path, Path]:
    """Writes `folder`/name.png (200 dots per inch) and name.svg; returns both paths."""
    folder.mkdir(parents=True, exist_ok=True)
    png, svg = folder / f"{name}.png", folder / f"{name}.svg"
    figure.savefig(png, dpi=200, metadata={"Software": None})
    figure.savefig(svg, metadata={"Date": None})
    return png, svg
