"""The tables of a study, each with what its figures mean."""

from collections.abc import Iterable, Mapping

from aira_jax.statistics import best, groups, published, ranges
from aira_jax.statistics.bootstrap import LEVEL, REPLICATES, SEED
from aira_jax.statistics.contrasts import Contrast
from aira_jax.statistics.summary import Cell, Summary
from aira_jax.statistics.table import Column, Form, Table


def intervals(summary: Summary) -> str:
    """How the intervals were made, in words."""
    tasks = " and tasks" if summary.study.choice.hierarchical else ""
    return (
        f"Brackets: {100 * (1 - LEVEL):.0f} % percentile intervals of a bootstrap over seeds within agent and task"
        f"{tasks}, {REPLICATES:,} replicates, seed {SEED}; none where an agent has one run on a task."
    )


def agents(summary: Summary) -> Table:
    columns = (
        Column("agent", "agent"),
        Column("kind", "kind"),
        Column("tasks", "tasks", Form.COUNT),
        Column("runs", "runs", Form.COUNT),
        Column("valid", "valid", Form.COUNT),
        Column("VSR", "vsr", Form.PERCENT),
        Column("NS", "ns", Form.ESTIMATE),
        Column("NS, IQM", "ns_iqm", Form.ESTIMATE),
        Column("NS, observed worst", "ns_observed", Form.ESTIMATE),
        Column("USD", "usd", Form.USD),
        Column("wall", "wall_s", Form.SECONDS),
    )
    rows = tuple(
        (a.agent, "control" if a.control else "language model", a.tasks, a.runs, a.valid, a.vsr, a.ns, a.ns_iqm,
         a.ns_observed, a.usd, a.wall_s)
        for a in summary.agents
    )  # fmt: skip
    uneven = len({a.tasks for a in summary.agents}) > 1
    note = "Means of task means: VSR over all tasks, NS over those with a best known score. "
    note += (
        "Agents ran different tasks, so these means are not comparable; the differences below are. " if uneven else ""
    )
    return Table("agents", "Agents", note + intervals(summary), columns, rows)


def scores(summary: Summary) -> Table:
    columns = (
        Column("task", "task"),
        Column("agent", "agent"),
        Column("runs", "runs", Form.COUNT),
        Column("valid", "valid", Form.COUNT),
        Column("VSR", "vsr", Form.PERCENT),
        Column("test", "test", Form.MEASURED),
        Column("best found", "best_test", Form.MEASURED),
        Column("validation", "validation", Form.MEASURED),
    )
    rows = tuple(
        (c.task.label, c.agent, c.runs, c.valid, c.vsr, c.test, c.best_test, c.validation) for c in summary.cells
    )
    note = (
        "Means over valid runs. Test and validation: of the submission; best found: of all nodes that were tested. "
        f"{_directions(summary)}"
    )
    return Table("scores", "Scores per agent and task", note, columns, rows)


def _directions(summary: Summary) -> str:
    words = (
        f"{t.label}: {t.metric}, {'lower' if t.lower_is_better else 'higher'} is better" for t in summary.study.tasks
    )
    return "; ".join(words) + "."


def normalised(summary: Summary) -> Table:
    columns = (
        Column("task", "task"),
        Column("agent", "agent"),
        Column("runs", "runs", Form.COUNT),
        Column("NS", "ns", Form.ESTIMATE),
        Column("NS, IQM", "ns_iqm", Form.ESTIMATE),
        Column("NS, observed worst", "ns_observed", Form.ESTIMATE),
        Column("NS, literature's best", "ns_literature", Form.ESTIMATE),
    )
    cells = [c for c in summary.cells if summary.scales[c.task.name].frozen]
    rows = tuple((c.task.label, c.agent, c.runs, c.ns, c.ns_iqm, c.ns_observed, c.ns_literature) for c in cells)
    return Table("normalised", "Normalised scores", _scale_words(summary), columns, rows)


def _scale_words(summary: Summary) -> str:
    words = [
        "NS = (phi(s) - phi(worst)) / (phi(best known) - phi(worst)), phi(s) = -log10 |s - optimum|; invalid runs are "
        "0 and stay in the mean, values below 0 are 0, above 1 means better than the best known."
    ]
    for task in summary.study.tasks:
        scales = summary.scales[task.name]
        if scales.frozen is None:
            words.append(f"{task.label}: no best known score, raw scores only.")
            continue
        told = f"{task.label}: best known {scales.frozen.sota:g}, worst {scales.frozen.worst:g} (fixed)"
        told += f", {scales.observed.worst:.4f} (observed)" if scales.observed else ""
        told += f", literature's best {scales.literature.sota:g}" if scales.literature else ""
        words.append(f"{told}.")
    return " ".join(words)


def table_4(summary: Summary) -> Table:
    columns = (
        Column("data", "dataset"),
        Column("setup", "setup"),
        Column("agents", "kind"),
        Column("number", "agents", Form.COUNT),
        Column("runs", "runs", Form.COUNT),
        Column("NS", "ns", Form.ESTIMATE),
        Column("NS, observed worst", "ns_observed", Form.ESTIMATE),
        Column("published NS", "published", Form.NUMBER),
        Column("published ±", "published_plus_minus", Form.NUMBER),
    )
    rows = tuple(
        (g.dataset, g.setup, g.kind, g.agents, g.runs, g.ns, g.ns_observed,
         g.published and g.published.value, g.published and g.published.plus_minus)
        for g in groups.groups(summary)
    )  # fmt: skip
    note = (
        "Means over agents of equal weight; controls are apart. Published: "
        f"{published.SOURCE}, table 4, over {published.GREEDY_AGENTS} greedy and {published.ONE_SHOT_AGENTS} one-shot "
        "agents at the full size of the tasks, with the worst score observed there; what its ± is, is not said."
    )
    return Table("table_4", "Normalised score by data set and setup", note, columns, rows)


def gaps(summary: Summary) -> Table:
    columns = (
        Column("task", "task"),
        Column("agent", "agent"),
        Column("valid", "valid", Form.COUNT),
        Column("generalisation gap", "generalisation_gap", Form.MEASURED),
        Column("good nodes", "good", Form.COUNT),
        Column("tested", "tested", Form.COUNT),
        Column("coverage", "coverage", Form.RATE),
        Column("validation - test", "validation_test_gap", Form.DIFFERENCE),
    )
    rows = tuple(
        (c.task.label, c.agent, c.valid, c.generalisation_gap, c.good, c.tested, c.tested / c.good if c.good else None,
         c.validation_test_gap)
        for c in summary.cells
    )  # fmt: skip
    note = (
        "Generalisation gap: how much better the best tested node is on test than the submission, at least 0; where "
        "few good nodes were tested (coverage), it is too small. Validation - test: of the submission."
    )
    return Table("gaps", "Best found versus submitted", note, columns, rows)


def comparisons(found: Iterable[Contrast]) -> Table:
    columns = (
        Column("agent", "a"),
        Column("against", "b"),
        Column("on", "tasks"),
        Column("measure", "measure"),
        Column("difference", "difference", Form.DIFFERENCE),
        Column("the first is", "verdict"),
        Column("runs", "runs_a", Form.COUNT),
        Column("against", "runs_b", Form.COUNT),
        Column("steps a run", "steps_a", Form.NUMBER),
        Column("against", "steps_b", Form.NUMBER),
    )
    rows = tuple(
        (c.a, c.b, c.tasks[0].label if len(c.tasks) == 1 else f"{len(c.tasks)} tasks", c.measure, c.difference,
         c.verdict, c.runs_a, c.runs_b, round(c.steps_a, 1), round(c.steps_b, 1))
        for c in found
    )  # fmt: skip
    note = (
        "Differences of means, positive where the first is better, with the same bootstrap. Every agent stands against "
        "every control. Test scores are those of valid runs: a difference in valid runs can hide in them. A claim "
        "needs ten runs of either on every task; the intervals are not corrected for their number."
    )
    return Table("comparisons", "Agent against agent", note, columns, rows)


def table_13(summary: Summary) -> Table:
    columns = (
        Column("task", "task"),
        Column("setting", "name"),
        Column("least", "low", Form.NUMBER),
        Column("most", "high", Form.NUMBER),
        Column("values", "distinct", Form.COUNT),
        Column("default", "default", Form.NUMBER),
        Column("valid nodes read", "steps", Form.COUNT),
        Column("not readable", "unreadable", Form.COUNT),
        Column("published least", "published_low", Form.NUMBER),
        Column("published most", "published_high", Form.NUMBER),
        Column("published values", "published_distinct", Form.COUNT),
    )
    rows = tuple(
        (r.task.label, r.name, r.low, r.high, r.distinct, r.default, r.steps, r.unreadable, r.published_low,
         r.published_high, r.published_distinct)
        for r in ranges.explored(summary.study)
    )  # fmt: skip
    note = (
        "What valid nodes of tasks with free hyper-parameters used, defaults included. Published: "
        f"{published.SOURCE}, table 13, over {sum(published.VALID_STEPS.values()):,} valid steps."
    )
    return Table("table_13", "Explored hyper-parameters", note, columns, rows)


def table_14(summary: Summary) -> Table:
    columns = (
        Column("task", "task"),
        Column("best known", "sota", Form.SCORE),
        Column("test", "test", Form.SCORE),
        Column("validation", "validation", Form.SCORE),
        Column("agent", "agent"),
        Column("seed", "seed", Form.COUNT),
        Column("node", "node", Form.COUNT),
        Column("design", "plan", Form.LONG),
        Column("settings", "settings", Form.LONG),
        Column("published best", "published", Form.SCORE),
        Column("published design", "published_design", Form.LONG),
        Column("published agent", "published_agent", Form.LONG),
    )
    rows = tuple(_design(summary, design) for design in best.designs_found(summary.study))
    note = (
        "The submission with the best test score of every task. It was chosen by that score, as the published ones "
        "were, so it flatters. Settings: those that differ from the defaults. Published: "
        f"{published.SOURCE}, table 14, at the full size of the tasks."
    )
    return Table("table_14", "Best designs", note, columns, rows)


def _design(summary: Summary, design: best.Design) -> tuple:
    scale, other = summary.scales[design.task.name].frozen, design.published
    return (
        design.task.label, scale and scale.sota, design.test, design.validation, design.agent, design.seed, design.node,
        first_sentence(design.plan), assignments(design.changed), other and other.accuracy, other and other.design,
        other and other.found_by,
    )  # fmt: skip


def first_sentence(plan: str) -> str | None:
    """What a plan begins with; None for an empty one."""
    line = next((line.strip() for line in plan.splitlines() if line.strip()), "")
    return line.split(". ")[0] or None


def assignments(settings: Mapping[str, float]) -> str | None:
    return ", ".join(f"{name} {value:g}" for name, value in settings.items()) or None


def table_5(summary: Summary) -> Table:
    columns = (
        Column("task", "task"),
        Column("agent", "agent"),
        Column("seed", "seed", Form.COUNT),
        Column("best number", "number", Form.COUNT),
        Column("step", "step", Form.COUNT),
        Column("operator", "operator"),
        Column("validation", "validation", Form.SCORE),
        Column("gain", "gain", Form.SCORE),
        Column("test", "test", Form.SCORE),
        Column("plan", "plan", Form.LONG),
    )
    rows = []
    for run in best.best_seeds(summary.study):
        for number, found in enumerate(best.improvements(run), 1):
            step = found.step
            rows.append(
                (run.task.label, run.agent, run.seed, number, step.step, step.operator, step.fitness, found.gain,
                 step.test, first_sentence(step.plan))
            )  # fmt: skip
    note = "The best seed of every agent and task (by test score): each node that was the best so far, by validation."
    return Table("table_5", "How the best seeds got there", note, columns, tuple(rows))


def failures(summary: Summary) -> Table:
    classes = sorted({name for cell in summary.cells for name in cell.failures})
    columns = (
        Column("task", "task"),
        Column("agent", "agent"),
        Column("nodes", "nodes", Form.COUNT),
        Column("good", "good", Form.COUNT),
        *(Column(name, name, Form.COUNT) for name in classes),
    )
    rows = tuple((*_nodes(cell), *(cell.failures.get(name, 0) for name in classes)) for cell in summary.cells)
    return Table("failures", "Failures", "Committed nodes by outcome, over all runs.", columns, rows)


def _nodes(cell: Cell) -> tuple:
    return cell.task.label, cell.agent, cell.nodes, cell.good


def runs(summary: Summary) -> Table:
    columns = (
        Column("task", "task"),
        Column("agent", "agent"),
        Column("seed", "seed", Form.COUNT),
        Column("profile", "profile"),
        Column("state", "state"),
        Column("valid", "valid"),
        Column("test", "test", Form.SCORE),
        Column("further seeds", "repeats"),
        Column("validation", "validation", Form.SCORE),
        Column("best found", "best_test", Form.SCORE),
        Column("NS", "ns", Form.SCORE),
        Column("nodes", "nodes", Form.COUNT),
        Column("good", "good", Form.COUNT),
        Column("tested", "tested", Form.COUNT),
        Column("failures", "failures"),
        Column("USD", "usd", Form.USD),
        Column("wall", "wall_s", Form.SECONDS),
        Column("run", "path", Form.LONG),
    )
    return Table(
        "runs",
        "Runs",
        "Further seeds: test scores of the submission trained again, lowest to highest.",
        columns,
        tuple(_run(summary, row) for row in summary.study.rows),
    )


def _run(summary: Summary, row) -> tuple:
    scale = summary.scales[row.task.name].frozen
    repeats = f"{min(row.repeats):.4f} to {max(row.repeats):.4f}" if row.repeats else None
    lost = ", ".join(f"{name} {count}" for name, count in row.failures.items()) or None
    return (
        row.task.label, row.agent, row.seed, row.profile, row.state, "yes" if row.valid else "no", row.test, repeats,
        row.validation, row.best_test, scale and scale.normalised(row.test), row.nodes, row.good, row.tested, lost,
        row.usd, row.wall_s, row.path,
    )  # fmt: skip


def steps(summary: Summary) -> Table:
    """Every step of every run: the data of trajectories. Written as a file, too long for a page."""
    columns = (
        *(Column(name, name) for name in ("task", "agent", "run")),
        Column("seed", "seed", Form.COUNT),
        Column("step", "step", Form.COUNT),
        Column("node", "node", Form.COUNT),
        *(Column(name, name) for name in ("operator", "status", "failure_class")),
        Column("validation", "validation", Form.SCORE),
        Column("best so far", "best", Form.SCORE),
        Column("test", "test", Form.SCORE),
        Column("wall", "wall_s", Form.SECONDS),
        Column("tokens", "tokens", Form.COUNT),
        Column("USD", "usd", Form.USD),
        Column("settings", "settings"),
    )
    rows = tuple(
        (row.task.name, row.agent, row.path, row.seed, s.step, s.node, s.operator, s.status, s.failure_class, s.fitness,
         s.best, s.test, s.wall_s, s.tokens, s.usd, assignments(s.settings or {}))
        for row in summary.study.rows
        for s in row.steps
    )  # fmt: skip
    return Table("steps", "Steps", "Every committed node; wall, tokens and USD since the run began.", columns, rows)


def of(summary: Summary, found: Iterable[Contrast]) -> tuple[Table, ...]:
    """All tables in the order of a report. Those without a row say nothing and are left out."""
    tables = (
        agents(summary),
        comparisons(found),
        table_4(summary),
        normalised(summary),
        scores(summary),
        gaps(summary),
        table_14(summary),
        table_13(summary),
        table_5(summary),
        failures(summary),
        runs(summary),
        steps(summary),
    )
    return tuple(table for table in tables if table.rows)
