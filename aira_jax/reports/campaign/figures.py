"""The plots of a campaign: layer-wise frequencies, clusters of scores, progress of the runs, steps per budget."""

from pathlib import Path

from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from aira_jax.compose import flops
from aira_jax.compose.pipeline import Pipeline
from aira_jax.patterns import registry
from aira_jax.reports.campaign import view
from aira_jax.reports.plotting import CYCLE, save, style


def write(pipeline: Pipeline, folder: Path) -> list[Path]:
    """Every plot as PNG and SVG; returns their paths."""
    plots = {"heat_map": heat_map, "clusters": clusters, "progress": progress, "steps": steps}
    with style():
        return [path for name, draw in plots.items() for path in save(draw(pipeline), folder, name)]


def heat_map(pipeline: Pipeline) -> Figure:
    """Share of each primitive at each layer: over all patterns, and over those who voted."""
    heats = view.heats(pipeline)
    figure = Figure(figsize=(7.0, 0.9 + 1.25 * len(heats)), layout="constrained")
    for axes, heat in zip(figure.subplots(len(heats), 1, squeeze=False)[:, 0], heats, strict=True):
        for y, (primitive, shares) in enumerate(heat.rows):
            colours = LinearSegmentedColormap.from_list(primitive, ["#ffffff", registry.get(primitive).colour])
            extent = (0.5, heat.layers + 0.5, y + 0.5, y - 0.5)
            axes.imshow([shares], cmap=colours, vmin=0, vmax=1, extent=extent, aspect="auto")
            for layer, share in enumerate(shares, 1):
                axes.text(
                    layer, y, f"{100 * share:.0f}", ha="center", va="center", fontsize=7,
                    color="white" if share > 0.55 else "#1d2127",
                )  # fmt: skip
        axes.set(
            title=f"{heat.title} ({heat.note})",
            xlim=(0.5, heat.layers + 0.5),
            ylim=(len(heat.rows) - 0.5, -0.5),
            xticks=range(1, heat.layers + 1),
            yticks=range(len(heat.rows)),
            yticklabels=[primitive for primitive, _ in heat.rows],
        )
        axes.spines[:].set_visible(False)
        axes.tick_params(length=0)
    axes.set_xlabel("layer; numbers are percent")
    return figure


def clusters(pipeline: Pipeline) -> Figure:
    """Scores by place in the ranking, one colour per cluster, one panel per task."""
    figure = Figure(figsize=(5.0, 2.6 * len(pipeline.groups)), layout="constrained")
    for axes, group in zip(figure.subplots(len(pipeline.groups), 1, squeeze=False)[:, 0], pipeline.groups, strict=True):
        first = 0
        for number, size in enumerate(group.clusters):
            members = group.entries[first : first + size]
            places = range(first + 1, first + size + 1)
            label = f"cluster {number + 1}: {size}{', votes' if number == 0 else ''}"
            axes.plot(places, [e.score for e in members], "o", ms=4, color=CYCLE[number % len(CYCLE)], label=label)
            first += size
        axes.set(title=group.task, xlabel="place in the ranking", ylabel=pipeline.base.ranked_by)
        axes.legend()
    return figure


def progress(pipeline: Pipeline) -> Figure:
    """Best validation score so far of every run, one colour per agent, one panel per task."""
    tasks = list(dict.fromkeys(agent.task for agent in pipeline.agents))
    figure = Figure(figsize=(5.0, 2.6 * len(tasks)), layout="constrained")
    for axes, task in zip(figure.subplots(len(tasks), 1, squeeze=False)[:, 0], tasks, strict=True):
        for number, agent in enumerate(a for a in pipeline.agents if a.task == task):
            for i, curve in enumerate(agent.curves.values()):
                known = [(step, value) for step, value in enumerate(curve, 1) if value is not None]
                label = agent.agent if i == 0 else None
                axes.step(*zip(*known, strict=True) if known else ([], []), where="post", lw=1.4,
                          color=CYCLE[number % len(CYCLE)], label=label)  # fmt: skip
        axes.set(title=task, xlabel="steps", ylabel="best validation so far")
        axes.legend()
    return figure


def steps(pipeline: Pipeline) -> Figure:
    """Training steps that each budget pays for, at every scale, with the chosen method."""
    figure = Figure(figsize=(5.0, 2.8), layout="constrained")
    axes = figure.subplots()
    reached = [scaled for scaled in pipeline.scaled if scaled.chosen and scaled.fit is not None]
    for number, scaled in enumerate(reached):
        bought = scaled.fit.to_json()["steps"]
        label = f"{scaled.scale}, {scaled.method}: {view.billions(scaled.fit.parameters.non_embedding)}"
        axes.plot([float(b) for b in flops.BUDGETS], bought.values(), "o-", ms=4, color=CYCLE[number], label=label)
    axes.set(title="Equal FLOPs", xscale="log", yscale="log", xlabel="budget in FLOPs", ylabel="training steps")
    axes.set_xticks([float(b) for b in flops.BUDGETS], labels=flops.BUDGETS)
    axes.minorticks_off()
    if reached:
        axes.legend()
    return figure
