"""The plots of a study: scores, valid runs, normalised scores, gaps, best per seed, progress of runs.

Agents keep their colour and marker in all of them; controls are grey. After figures 8 to 13 of arXiv 2605.15871.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from aira_jax.reports.plotting import save, style
from aira_jax.statistics.bootstrap import Estimate
from aira_jax.statistics.study import Study
from aira_jax.statistics.summary import Cell, Summary
from aira_jax.statistics.tasks import TaskFacts

# Okabe and Ito's colours, which stay apart for colour-blind readers; the yellow is too pale on white.
AGENTS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
CONTROLS = ("#5f6772", "#9aa1ab", "#33383f")
MARKERS = "osD^vP*X"
LINES = ("-", "--", ":", "-.")
INK, PALE = "#1d2127", "#d3d0c7"
WIDE, LINE, HEAD = 7.0, 0.34, 0.95  # inches: a figure's width, a line of a panel, its title and axis
JITTER = 0.16


def write(summary: Summary, folder: Path) -> dict[str, tuple[Path, Path]]:
    """Every plot that has something to show, as {name: (PNG, SVG)}; those of an earlier study are removed."""
    for name in PLOTS:
        for kind in ("png", "svg"):
            (folder / f"{name}.{kind}").unlink(missing_ok=True)
    with style():
        made = {name: draw(summary) for name, draw in PLOTS.items()}
        return {name: save(figure, folder, name) for name, figure in made.items() if figure is not None}


class Look:
    """Colour, marker and line of every agent: language models in colours, controls in greys; repeated colours differ in
    their lines."""

    def __init__(self, study: Study):
        models = [agent for agent in study.agents if agent not in study.controls]
        self.colour = {agent: AGENTS[i % len(AGENTS)] for i, agent in enumerate(models)}
        self.colour |= {agent: CONTROLS[i % len(CONTROLS)] for i, agent in enumerate(study.controls)}
        self.marker = {agent: MARKERS[i % len(MARKERS)] for i, agent in enumerate(study.agents)}
        self.line = {agent: LINES[i // len(AGENTS) % len(LINES)] for i, agent in enumerate(models)}
        self.line |= {agent: LINES[i // len(CONTROLS) % len(LINES)] for i, agent in enumerate(study.controls)}


def best_test(summary: Summary) -> Figure | None:
    """Figure 8: mean of the best test score found, over valid runs."""
    cells = [cell for cell in summary.cells if cell.best_test]
    return _by_task(summary, cells, "Best test score found, mean over valid runs", lambda cell: cell.best_test, _sota)


def valid_runs(summary: Summary) -> Figure | None:
    """Figure 9: rate of valid submissions, mean over tasks."""
    figure, axes = _panel(len(summary.agents))
    _intervals(axes, summary, {a.agent: a.vsr for a in summary.agents}, _told_percent)
    axes.set(title="Valid submission rate, mean over tasks", xlabel="percent of runs", xlim=(-0.03, 1.03))
    axes.set_xticks(np.linspace(0, 1, 6), labels=[f"{p}" for p in range(0, 101, 20)])
    return figure


def normalised(summary: Summary) -> Figure | None:
    """Figure 10: normalised score, mean of task means; invalid runs count as 0."""
    shown = {a.agent: a.ns for a in summary.agents if a.ns}
    if not shown:
        return None
    figure, axes = _panel(len(shown))
    _intervals(axes, summary, shown, _told)
    axes.set(title="Normalised score, mean over tasks (1 = best known)", xlabel="normalised score")
    axes.set_xlim(left=min(0, axes.get_xlim()[0]))
    return figure


def gap(summary: Summary) -> Figure | None:
    """Figure 11: best found (filled) and submitted (open) on test, means over valid runs."""
    cells = [cell for cell in summary.cells if cell.test]
    if not cells:
        return None
    look = Look(summary.study)

    def draw(axes: Axes, y: int, cell: Cell) -> None:
        colour, ends = look.colour[cell.agent], (cell.test.value, cell.best_test.value)
        axes.plot(ends, (y, y), "-", color=colour, lw=2, alpha=0.5, zorder=2)
        axes.plot(ends[0], y, "o", ms=9, mfc="white", mec=colour, mew=1.6, zorder=3)
        axes.plot(ends[1], y, "o", ms=4.5, color=colour, zorder=4)
        _beside(axes, y, f"{_gap_told(cell)}, {cell.tested} of {cell.good} tested")

    return _panels(summary, cells, "Submitted (ring) and best found (dot) on test; gap and coverage", draw, None)


def best_per_seed(summary: Summary) -> Figure | None:
    """Figure 12: the best test score of every run, with the median."""
    rows = [row for row in summary.study.rows if row.best_test is not None]
    if not rows:
        return None
    look = Look(summary.study)
    cells = [cell for cell in summary.cells if any(_ran(row, cell) for row in rows)]

    def draw(axes: Axes, y: int, cell: Cell) -> None:
        values = [row.best_test for row in rows if _ran(row, cell)]
        spread = JITTER * (np.arange(len(values)) % 3 - 1) if len(values) > 1 else 0
        axes.plot(values, y + np.zeros(len(values)) + spread, look.marker[cell.agent], ms=4.5, mew=0, alpha=0.75,
                  color=look.colour[cell.agent])  # fmt: skip
        axes.plot([np.median(values)] * 2, [y - 0.32, y + 0.32], "-", color=INK, lw=1.6)

    return _panels(summary, cells, "Best test score of every seed; the bar is the median", draw, _sota)


def progress(summary: Summary) -> Figure | None:
    """Figure 13: best validation score so far, a thin line per run, the median over all runs of an agent thick."""
    tasks = [t for t in summary.study.tasks if any(_curve(row) for row in summary.study.rows if row.task == t)]
    if not tasks:
        return None
    look = Look(summary.study)
    height = max(2.7, 0.8 + 0.17 * len(summary.study.agents))  # of a panel with its legend
    figure = Figure(figsize=(WIDE, height * len(tasks)), layout="constrained")
    for axes, task in zip(figure.subplots(len(tasks), 1, squeeze=False)[:, 0], tasks, strict=True):
        for agent in summary.study.agents:
            curves = [_curve(row) for row in summary.study.cell(agent, task.name)]
            _progress(axes, curves, task, look, agent)
        axes.set(title=task.label, xlabel="steps", ylabel="best validation so far")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), fontsize=8)
    return figure


def _progress(axes: Axes, curves: Sequence[dict[int, float]], task: TaskFacts, look: Look, agent: str) -> None:
    colour = look.colour[agent]
    for curve in filter(None, curves):
        axes.step([*curve], [*curve.values()], where="post", lw=0.8, alpha=0.4, color=colour)
    middle = median_so_far(curves, worst=-task.sign * math.inf)
    if middle:
        axes.step(
            [*middle], [*middle.values()], where="post", lw=2, ls=look.line[agent], color=colour, label=agent,
            marker=look.marker[agent], ms=5, markevery=[0, -1],
        )  # fmt: skip


def _curve(row) -> dict[int, float]:
    return {step.step: step.best for step in row.steps if step.best is not None}


def median_so_far(curves: Sequence[dict[int, float]], worst: float) -> dict[int, float]:
    """The median by step (the worse of two in the middle), from where it is known; so it never gets worse.

    A run counts as `worst` before its first valid node, and keeps its last value after its end.
    """
    last = max((max(curve) for curve in curves if curve), default=0)
    middle, now = {}, [worst] * len(curves)
    for step in range(1, last + 1):
        now = [curve.get(step, value) for curve, value in zip(curves, now, strict=True)]
        if now and math.isfinite(value := sorted(now, reverse=worst > 0)[(len(now) - 1) // 2]):
            middle[step] = value
    return middle


def _gap_told(cell: Cell) -> str:
    return f"{cell.generalisation_gap.value:.4f}" if cell.generalisation_gap else "gap not known"


def _ran(row, cell: Cell) -> bool:
    return (row.agent, row.task.name) == (cell.agent, cell.task.name)


def _sota(summary: Summary, task: TaskFacts) -> float | None:
    scale = summary.scales[task.name].frozen
    return scale.sota if scale else None


def _by_task(summary: Summary, cells: Sequence[Cell], title: str, value: Callable, line: Callable) -> Figure | None:
    if not cells:
        return None
    look = Look(summary.study)

    def draw(axes: Axes, y: int, cell: Cell) -> None:
        _interval(axes, y, value(cell), look.colour[cell.agent], look.marker[cell.agent])
        _beside(axes, y, f"{value(cell).value:.4f}, {cell.valid} of {cell.runs} runs")

    return _panels(summary, cells, title, draw, line)


def _panels(
    summary: Summary,
    cells: Sequence[Cell],
    title: str,
    draw: Callable[[Axes, int, Cell], None],
    line: Callable[[Summary, TaskFacts], float | None] | None,
) -> Figure:
    """A panel per task with a line per agent; `line` gives the place of a dashed line for the best known score."""
    tasks = [t for t in summary.study.tasks if any(cell.task == t for cell in cells)]
    lines = [sum(cell.task == task for cell in cells) for task in tasks]
    figure = Figure(figsize=(WIDE, 0.35 + sum(HEAD + LINE * n for n in lines)), layout="constrained")
    figure.suptitle(title, x=0.01, ha="left", fontsize=11, fontweight="bold")
    panels = figure.subplots(len(tasks), 1, squeeze=False, height_ratios=[HEAD + LINE * n for n in lines])[:, 0]
    for axes, task in zip(panels, tasks, strict=True):
        own = [cell for cell in cells if cell.task == task]
        for y, cell in enumerate(own):
            draw(axes, y, cell)
        known = line(summary, task) if line else None
        if known is not None:
            axes.axvline(known, color=INK, lw=1, ls=(0, (4, 3)), zorder=1)
        better = "lower is better" if task.lower_is_better else "higher is better"
        dashed = f"; dashed: best known {known:g}" if known is not None else ""
        axes.set_title(task.label, fontsize=9)
        axes.set_xlabel(f"{task.metric}, {better}{dashed}")
        _name_lines(axes, [cell.agent for cell in own])
    return figure


def _panel(lines: int) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(WIDE, HEAD + LINE * lines), layout="constrained")
    return figure, figure.subplots()


def _intervals(axes: Axes, summary: Summary, shown: Mapping[str, Estimate], told: Callable[[Estimate], str]) -> None:
    look = Look(summary.study)
    for y, (agent, value) in enumerate(shown.items()):
        _interval(axes, y, value, look.colour[agent], look.marker[agent])
        _beside(axes, y, told(value))
    _name_lines(axes, list(shown))


def _interval(axes: Axes, y: int, value: Estimate, colour: str, marker: str) -> None:
    if value.low is not None:
        axes.plot([value.low, value.high], [y, y], "-", color=colour, lw=2.2, alpha=0.55, solid_capstyle="butt")
    axes.plot(value.value, y, marker, ms=6.5, color=colour, mec="white", mew=0.6, zorder=3)


def _beside(axes: Axes, y: int, text: str) -> None:
    """Words at the right of a line."""
    axes.annotate(text, (1, y), xycoords=("axes fraction", "data"), xytext=(6, 0), textcoords="offset points",
                  va="center", fontsize=8, color=INK, annotation_clip=False)  # fmt: skip


def _name_lines(axes: Axes, names: Sequence[str]) -> None:
    axes.set(yticks=range(len(names)), yticklabels=names, ylim=(len(names) - 0.5, -0.5))
    axes.tick_params(axis="y", length=0, labelcolor=INK)
    axes.locator_params(axis="x", nbins=6)
    axes.grid(axis="x", color=PALE, lw=0.6, zorder=0)
    axes.set_axisbelow(True)
    axes.spines["left"].set_visible(False)


def _told(value: Estimate) -> str:
    return f"{value.value:.3f}"


def _told_percent(value: Estimate) -> str:
    return f"{100 * value.value:.0f} %"


PLOTS: dict[str, Callable[[Summary], Figure | None]] = {
    "figure_8_best_test": best_test,
    "figure_9_valid_runs": valid_runs,
    "figure_10_normalised_score": normalised,
    "figure_11_best_found_and_submitted": gap,
    "figure_12_best_per_seed": best_per_seed,
    "figure_13_progress": progress,
}
