"""Tables of what runs did: designs, hyper-parameters, improvements, failures, every run and every step."""

from collections.abc import Mapping

from aira_jax.statistics import best, published, ranges
from aira_jax.statistics.rows import RunRow
from aira_jax.statistics.summary import Cell, Summary
from aira_jax.statistics.table import Column, Form, Table


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
        Column("settings or pattern", "settings", Form.LONG),
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
        design.title or first_sentence(design.plan), assignments(design.changed) or design.pattern or None,
        other and other.accuracy, other and other.design,
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
        Column("failures", "failures", Form.LONG),
        Column("USD", "usd", Form.USD),
        Column("wall", "wall_s", Form.SECONDS),
        Column("run", "path"),
    )
    return Table(
        "runs",
        "Runs",
        "Further seeds: test scores of the submission trained again, lowest to highest.",
        columns,
        tuple(_run(summary, row) for row in summary.study.rows),
    )


def _run(summary: Summary, row: RunRow) -> tuple:
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
