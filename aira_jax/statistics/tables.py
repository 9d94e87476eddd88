"""Tables of scores, each with what its figures mean; and all tables of a study in the order of a report."""

from collections.abc import Iterable

from aira_jax.statistics import groups, published, run_tables
from aira_jax.statistics.bootstrap import LEVEL, MIN_VALUES, REPLICATES, SEED
from aira_jax.statistics.contrasts import Contrast
from aira_jax.statistics.summary import Summary
from aira_jax.statistics.table import AGENT, RUNS, TASK, TESTED, VALID, Column, Form, Table, counts

VSR = Column("VSR", "vsr", Form.PERCENT)
NS = Column("NS", "ns", Form.ESTIMATE)
NS_IQM = Column("NS, IQM", "ns_iqm", Form.ESTIMATE)
NS_OBSERVED = Column("NS, observed worst", "ns_observed", Form.ESTIMATE)


def intervals(summary: Summary) -> str:
    """How the intervals were made, in words."""
    over = "over tasks" if summary.study.choice.hierarchical else "over seeds within agent and task"
    return (
        f"Brackets: {100 * (1 - LEVEL):.0f} % intervals {over}: Student's t for means, Wilson for rates, a percentile "
        f"bootstrap for IQM ({REPLICATES:,} replicates, seed {SEED}); none with fewer than {MIN_VALUES} runs on a task."
    )


def agents(summary: Summary) -> Table:
    columns = (
        AGENT,
        Column("kind", "kind", value=lambda a: "control" if a.control else "language model"),
        *counts("tasks"), RUNS, VALID, VSR, NS, NS_IQM, NS_OBSERVED,
        Column("USD", "usd", Form.USD),
        Column("wall", "wall_s", Form.SECONDS),
    )  # fmt: skip
    ran = [{c.task.name for c in summary.cells if c.agent == a.agent} for a in summary.agents]
    uneven = (
        "Agents ran different tasks, so these means are not comparable; differences are over the tasks that both ran. "
        if any(tasks != ran[0] for tasks in ran)
        else ""
    )
    note = "Means of task means: VSR over all tasks, NS over those with a best known score. "
    return Table.of("agents", "Agents", note + uneven + intervals(summary), columns, summary.agents)


def scores(summary: Summary) -> Table:
    columns = (
        TASK, AGENT, RUNS, VALID, VSR,
        Column("test", "test", Form.MEASURED),
        Column("best found", "best_test", Form.MEASURED),
        Column("validation", "validation", Form.MEASURED),
    )  # fmt: skip
    note = (
        "Means over valid runs. Test and validation: of the submission; best found: of all nodes that were tested. "
        f"{_directions(summary)}"
    )
    return Table.of("scores", "Scores per agent and task", note, columns, summary.cells)


def _directions(summary: Summary) -> str:
    words = (
        f"{t.label}: {t.metric}, {'lower' if t.lower_is_better else 'higher'} is better" for t in summary.study.tasks
    )
    return "; ".join(words) + "."


def normalised(summary: Summary) -> Table:
    def end(title: str, name: str, kind: str, which: str) -> Column:
        """What normalised scores were measured with."""

        def value(cell):
            scale = getattr(summary.scales[cell.task.name], kind)
            return scale and getattr(scale, which)

        return Column(title, name, Form.SCORE, value)

    columns = (
        TASK, AGENT, RUNS, NS, NS_IQM, NS_OBSERVED,
        Column("NS, literature's best", "ns_literature", Form.ESTIMATE),
        end("worst", "worst", "frozen", "worst"),
        end("worst observed", "worst_observed", "observed", "worst"),
        end("best known", "sota", "frozen", "sota"),
        end("literature's best", "sota_literature", "literature", "sota"),
    )  # fmt: skip
    cells = [c for c in summary.cells if summary.scales[c.task.name].frozen]
    return Table.of("normalised", "Normalised scores", _scale_words(summary), columns, cells)


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
        RUNS, NS, NS_OBSERVED,
        Column("published NS", "published", Form.NUMBER, lambda g: g.published and g.published.value),
        Column("published ±", "published_plus_minus", Form.NUMBER, lambda g: g.published and g.published.plus_minus),
    )  # fmt: skip
    note = (
        "Means over agents of equal weight; controls are apart. Published: "
        f"{published.SOURCE}, table 4, over {published.GREEDY_AGENTS} greedy and {published.ONE_SHOT_AGENTS} one-shot "
        "agents at the full size of the tasks, with the worst score observed there; what its ± is, is not said."
    )
    return Table.of("table_4", "Normalised score by data set and setup", note, columns, groups.groups(summary))


def gaps(summary: Summary) -> Table:
    columns = (
        TASK, AGENT, VALID,
        Column("generalisation gap", "generalisation_gap", Form.MEASURED),
        Column("good nodes", "good", Form.COUNT), TESTED,
        Column("coverage", "coverage", Form.RATE, lambda c: c.tested / c.good if c.good else None),
        Column("validation - test", "val_test_gap", Form.DIFFERENCE),
    )  # fmt: skip
    note = (
        "Generalisation gap: how much better the best tested node is on test than the submission, at least 0; where "
        "few good nodes were tested (coverage), it is too small; empty where only the submission was tested."
        " Validation - test: of the submission."
    )
    return Table.of("gaps", "Best found versus submitted", note, columns, summary.cells)


def comparisons(found: Iterable[Contrast]) -> Table:
    columns = (
        Column("agent", "a"),
        Column("against", "b"),
        Column("on", "tasks", value=lambda c: c.tasks[0].label if len(c.tasks) == 1 else f"{len(c.tasks)} tasks"),
        Column("measure", "measure"),
        Column("difference", "difference", Form.DIFFERENCE),
        Column("the first is", "verdict"),
        Column("runs", "runs_a", Form.COUNT),
        Column("against", "runs_b", Form.COUNT),
        Column("steps a run", "steps_a", Form.NUMBER, lambda c: round(c.steps_a, 1)),
        Column("against", "steps_b", Form.NUMBER, lambda c: round(c.steps_b, 1)),
    )
    note = (
        "Differences of means, positive where the first is better, with such intervals. Every agent stands against "
        "every control. Test scores are those of valid runs: a difference in valid runs can hide in them. A claim "
        "needs ten runs of either on every task; the intervals are not corrected for their number."
    )
    return Table.of("comparisons", "Agent against agent", note, columns, found)


def of(summary: Summary, found: Iterable[Contrast]) -> tuple[Table, ...]:
    """All tables in the order of a report. One without a row says nothing: nobody should be shown it."""
    of_scores = (table(summary) for table in (table_4, normalised, scores, gaps))
    of_runs = (run_tables.table_14, run_tables.table_13, run_tables.table_5, run_tables.failures, run_tables.runs)
    return (
        agents(summary),
        comparisons(found),
        *of_scores,
        *(table(summary) for table in of_runs),
        run_tables.steps(summary),
    )
