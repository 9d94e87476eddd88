"""Tables of what runs did: designs, hyper-parameters, improvements, failures, every run and every step."""

from collections.abc import Mapping
from operator import attrgetter

from aira_jax.statistics import best, published, ranges
from aira_jax.statistics.rows import RunRow
from aira_jax.statistics.summary import Summary
from aira_jax.statistics.table import AGENT, GOOD, SEED, TASK, TESTED, Column, Form, Table, counts, scores


def table_13(summary: Summary) -> Table:
    columns = (
        TASK,
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
    note = (
        "What valid nodes of tasks with free hyper-parameters used, defaults included. Published: "
        f"{published.SOURCE}, table 13, over {sum(published.VALID_STEPS.values()):,} valid steps."
    )
    return Table.of("table_13", "Explored hyper-parameters", note, columns, ranges.explored(summary.study))


def table_14(summary: Summary) -> Table:
    def known(design: best.Design) -> float | None:
        scale = summary.scales[design.task.name].frozen
        return scale and scale.sota

    columns = (
        TASK,
        Column("best known", "sota", Form.SCORE, known),
        *scores("test", "validation"), AGENT, SEED, *counts("node"),
        Column("design", "plan", Form.LONG, lambda d: d.title or first_sentence(d.plan)),
        Column("settings or pattern", "settings", Form.LONG, lambda d: assignments(d.changed) or d.pattern or None),
        Column("published best", "published", Form.SCORE, lambda d: d.published and d.published.accuracy),
        Column("published design", "published_design", Form.LONG, lambda d: d.published and d.published.design),
        Column("published agent", "published_agent", Form.LONG, lambda d: d.published and d.published.found_by),
    )  # fmt: skip
    note = (
        "The submission with the best test score of every task. It was chosen by that score, as the published ones "
        "were, so it flatters. Settings: those that differ from the defaults. Published: "
        f"{published.SOURCE}, table 14, at the full size of the tasks."
    )
    return Table.of("table_14", "Best designs", note, columns, best.designs_found(summary.study))


def first_sentence(plan: str) -> str | None:
    """What a plan begins with; None for an empty one."""
    line = next((line.strip() for line in plan.splitlines() if line.strip()), "")
    return line.split(". ")[0] or None


def assignments(settings: Mapping[str, float]) -> str | None:
    return ", ".join(f"{name} {value:g}" for name, value in settings.items()) or None


def table_5(summary: Summary) -> Table:
    columns = (
        Column("task", "task", value=lambda i: i.row.task.label),
        Column("agent", "agent", value=lambda i: i.row.agent),
        Column("seed", "seed", Form.COUNT, lambda i: i.row.seed),
        Column("best number", "number", Form.COUNT),
        Column("step", "step", Form.COUNT, lambda i: i.step.step),
        Column("operator", "operator", value=lambda i: i.step.operator),
        Column("validation", "validation", Form.SCORE, lambda i: i.step.fitness),
        Column("gain", "gain", Form.SCORE),
        Column("test", "test", Form.SCORE, lambda i: i.step.test),
        Column("plan", "plan", Form.LONG, lambda i: first_sentence(i.step.plan)),
    )
    note = "The best seed of every agent and task (by test score): each node that was the best so far, by validation."
    found = [step for run in best.best_seeds(summary.study) for step in best.improvements(run)]
    return Table.of("table_5", "How the best seeds got there", note, columns, found)


def failures(summary: Summary) -> Table:
    def lost(name: str) -> Column:
        return Column(name, name, Form.COUNT, lambda cell: cell.failures.get(name, 0))

    classes = sorted({name for cell in summary.cells for name in cell.failures})
    columns = (TASK, AGENT, *counts("nodes", "good"), *map(lost, classes))
    return Table.of("failures", "Failures", "Committed nodes by outcome, over all runs.", columns, summary.cells)


def runs(summary: Summary) -> Table:
    def normalised(row: RunRow) -> float | None:
        scale = summary.scales[row.task.name].frozen
        return scale and scale.normalised(row.test)

    columns = (
        TASK, AGENT, SEED,
        Column("profile", "profile"),
        Column("state", "state"),
        Column("valid", "valid", value=lambda row: "yes" if row.valid else "no"),
        *scores("test"),
        Column("further seeds", "repeats", value=_repeats),
        *scores("validation"),
        Column("best found", "best_test", Form.SCORE),
        Column("NS", "ns", Form.SCORE, normalised),
        *counts("nodes"), GOOD, TESTED,
        Column("failures", "failures", Form.LONG, _failures),
        Column("USD", "usd", Form.USD),
        Column("wall", "wall_s", Form.SECONDS),
        Column("run", "path"),
    )  # fmt: skip
    note = "Further seeds: test scores of the submission trained again, lowest to highest."
    return Table.of("runs", "Runs", note, columns, summary.study.rows)


def _repeats(row: RunRow) -> str | None:
    return f"{min(row.repeats):.4f} to {max(row.repeats):.4f}" if row.repeats else None


def _failures(row: RunRow) -> str | None:
    return ", ".join(f"{name} {count}" for name, count in row.failures.items()) or None


def steps(summary: Summary) -> Table:
    """Every step of every run: the data of trajectories. Written as a file, too long for a page."""

    def of_run(name: str, attribute: str, form: Form = Form.TEXT) -> Column:
        return Column(name, name, form, lambda pair: attrgetter(attribute)(pair[0]))

    def of_step(title: str, name: str, form: Form = Form.TEXT, attribute: str = "") -> Column:
        return Column(title, name, form, lambda pair: getattr(pair[1], attribute or name))

    columns = (
        of_run("task", "task.name"), of_run("agent", "agent"), of_run("run", "path"),
        of_run("seed", "seed", Form.COUNT),
        *(of_step(name, name, Form.COUNT) for name in ("step", "node")),
        *(of_step(name, name) for name in ("operator", "status", "failure_class")),
        of_step("validation", "validation", Form.SCORE, "fitness"),
        of_step("best so far", "best", Form.SCORE),
        of_step("test", "test", Form.SCORE),
        of_step("wall", "wall_s", Form.SECONDS),
        of_step("tokens", "tokens", Form.COUNT),
        of_step("USD", "usd", Form.USD),
        Column("settings", "settings", value=lambda pair: assignments(pair[1].settings or {})),
    )  # fmt: skip
    pairs = [(row, step) for row in summary.study.rows for step in row.steps]
    return Table.of("steps", "Steps", "Every committed node; wall, tokens and USD since the run began.", columns, pairs)
