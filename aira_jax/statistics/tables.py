"""Tables of scores, each with what its figures mean; and all tables of a study in the order of a report."""

from collections.abc import Iterable

from aira_jax.statistics import groups, published, run_tables
from aira_jax.statistics.bootstrap import LEVEL, REPLICATES, SEED
from aira_jax.statistics.contrasts import Contrast
from aira_jax.statistics.summary import Scales, Summary
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
    ran = [{c.task.name for c in summary.cells if c.agent == a.agent} for a in summary.agents]
    uneven = any(tasks != ran[0] for tasks in ran)
    note = "Means of task means: VSR over all tasks, NS over those with a best known score. "
    note += (
        "Agents ran different tasks, so these means are not comparable; differences are over the tasks that both ran. "
        if uneven
        else ""
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
        Column("worst", "worst", Form.SCORE),
        Column("worst observed", "worst_observed", Form.SCORE),
        Column("best known", "sota", Form.SCORE),
        Column("literature's best", "sota_literature", Form.SCORE),
    )
    cells = [c for c in summary.cells if summary.scales[c.task.name].frozen]
    rows = tuple(
        (c.task.label, c.agent, c.runs, c.ns, c.ns_iqm, c.ns_observed, c.ns_literature,
         *_ends(summary.scales[c.task.name]))
        for c in cells
    )  # fmt: skip
    return Table("normalised", "Normalised scores", _scale_words(summary), columns, rows)


def _ends(scales: Scales) -> tuple[float | None, ...]:
    """What normalised scores were measured with: the worst scores, then the best ones."""
    observed, literature = scales.observed, scales.literature
    return scales.frozen.worst, observed and observed.worst, scales.frozen.sota, literature and literature.sota


def _scale_words(summary: Summary) -> str:
    raw = [task.label for task in summary.study.tasks if summary.scales[task.name].frozen is None]
    smallest = ", ".join(sorted({f"{s.frozen.epsilon:g}" for s in summary.scales.values() if s.frozen}))
    return (
        "NS = (phi(s) - phi(worst)) / (phi(best known) - phi(worst)), phi(s) = -log10 |s - optimum|, with distances of "
        f"{smallest} at least; invalid runs are 0 and stay in the mean, values below 0 are 0, above 1 means better "
        "than the best known. The worst score is fixed with the task; that observed in these runs and the "
        "literature's best give columns of their own."
        + "".join(f" {label}: no best known score, raw scores only." for label in raw)
    )


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
        Column("validation - test", "val_test_gap", Form.DIFFERENCE),
    )
    rows = tuple(
        (c.task.label, c.agent, c.valid, c.generalisation_gap, c.good, c.tested, c.tested / c.good if c.good else None,
         c.val_test_gap)
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


def of(summary: Summary, found: Iterable[Contrast]) -> tuple[Table, ...]:
    """All tables in the order of a report. One without a row says nothing: nobody should be shown it."""
    return (
        agents(summary),
        comparisons(found),
        table_4(summary),
        normalised(summary),
        scores(summary),
        gaps(summary),
        run_tables.table_14(summary),
        run_tables.table_13(summary),
        run_tables.table_5(summary),
        run_tables.failures(summary),
        run_tables.runs(summary),
        run_tables.steps(summary),
    )
