"""The report of one run: a single HTML file that needs no server, no network and, for its content, no JavaScript.

Every text goes through the template engine's escaping, and a content security policy admits only this file's own
style and script, by their hashes: text of a candidate or a model can never run.
"""

import dataclasses
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from statistics import fmean

from aira_jax.core.formatting import AXES, amount, dollars, number, seconds, spent_of
from aira_jax.core.text import one_line, visible
from aira_jax.reports import page_frame
from aira_jax.reports.run import charts
from aira_jax.reports.run.drawing import draw
from aira_jax.reports.run.nodepage import page
from aira_jax.reports.run.verdict import scores_by_seed, verdict
from aira_jax.runs.view import Point, RunView

MAX_BYTES = 12_000_000  # of candidates' and models' text; the rest of a report takes about 5 kB per node


@dataclasses.dataclass(frozen=True)
class Panel:
    """A titled chart, or the reason why there is none; `note` may stand below a chart."""

    title: str
    chart: charts.Chart | None
    note: str


@dataclasses.dataclass(frozen=True)
class State:
    words: str
    look: str  # done, live or broken


@dataclasses.dataclass(frozen=True)
class BudgetRow:
    """One axis: what was spent, in words, and the part of its limit in percent (None without a limit)."""

    name: str
    spent: str
    percent: float | None


@dataclasses.dataclass(frozen=True)
class FailureRow:
    failure_class: str
    count: int
    operators: str
    nodes: tuple[int, ...]


def render(run: RunView, max_bytes: int = MAX_BYTES) -> str:
    """The report of `run`, the same text for the same log. `max_bytes` is shared out among the nodes' texts."""
    share = max_bytes / max(1, len(run.nodes))
    style, script = page_frame.asset("report.css") + page_frame.own_colours(), page_frame.asset("report.js")
    return page_frame.template("report.html.j2").render(
        run=run,
        found=run.submitted or run.best,
        searches=sum(record.get("purpose", "search") == "search" for record in run.sessions),
        style=style,
        script=script,
        policy=page_frame.policy(style, script),
        title=_title(run),
        metric=run.start.get("metric", "fitness"),
        state=state(run),
        submitted_test=submitted_test(run),
        verdict=verdict(run),
        drawing=draw(run) if run.nodes else None,
        curves=curves(run),
        scatter=validation_and_test(run),
        budget=tuple(budget_rows(run)),
        failures=tuple(failure_rows(run)),
        counts=Counter("pending" if n.pending else str(n.status) for n in run.tree.nodes),
        isolation=tuple(isolation(run)),
        warnings=grouped_warnings(run),
        cost=headline_cost(run),
        pages=[page(view, run, share) for view in run.nodes],
        config=json.dumps(run.config, indent=2, sort_keys=True, ensure_ascii=False),
    )


def _title(run: RunView) -> str:
    task = f"{run.start['task']} on {run.surrogate}" if run.surrogate else run.start["task"]
    return f"{task}, {run.start['agent']}, seed {run.start['seed']}"


def headline_cost(run: RunView) -> str:
    """What the search has spent, in one line; test scoring has its own account."""
    spent = run.tree.spent
    words = [amount("wall_s", spent.wall_s), f"{amount('tokens', spent.tokens)} tokens", dollars(spent.usd)]
    if run.tests.device_s:
        words.append(f"test scoring {seconds(run.tests.device_s)} apart")
    return " · ".join(words)


def submitted_test(run: RunView) -> tuple[str, str]:
    """The test score of the submitted node, and over which seeds: the mean and range where it was repeated."""
    values = list(scores_by_seed(run.submitted, run).get("test", {}).values()) if run.submitted else []
    if not values:
        return number(None), "not scored on test" if run.submitted else "nothing submitted"
    if len(values) == 1:
        return number(values[0]), "one seed"
    return number(fmean(values)), f"mean of {len(values)} seeds, {min(values):.4f} to {max(values):.4f}"


def state(run: RunView) -> State:
    """Where the run stands."""
    if run.stop is None:
        return State("running, or cut off", "live")
    reason = run.stop["reason"]
    return State(f"stopped: {reason}", {"error": "broken", "auth": "broken", "interrupt": "live"}.get(reason, "done"))


def curves(run: RunView) -> tuple[Panel, ...]:
    """Best so far against each account of a search."""
    return (
        _curve(run, "Steps", "steps", lambda p: p.steps, ""),
        _curve(run, "Wall clock", "minutes", lambda p: p.wall_s / 60, ""),
        _curve(run, "Device time", "device-seconds", lambda p: p.device_s, "Nothing ran on a device."),
        _curve(run, "Money", "USD", lambda p: p.usd, "This proposer costs nothing."),
    )


def _curve(run: RunView, title: str, unit: str, value: Callable[[Point], float | None], if_zero: str) -> Panel:
    xs = [value(point) for point in run.points]
    if None in xs:
        return Panel(title, None, f"Unpriced: add config.llm.prices for {_models(run)}.")
    if not any(xs):
        return Panel(title, None, if_zero if run.points else "No node yet.")
    points = [
        (x, p.fitness, p.best, p.node, f"node {p.node}: {number(p.fitness)}", p.is_new_best)
        for x, p in zip(xs, run.points, strict=True)
    ]
    chart = charts.best_so_far(title, unit, "validation", points)
    return Panel(title, chart, "" if chart else "No node has a fitness yet.")


def _models(run: RunView) -> str:
    return one_line(str(run.config.get("llm", {}).get("model", "the model")))


def validation_and_test(run: RunView) -> Panel:
    """Every node with both scores; the marks on the diagonal generalise perfectly."""
    chosen = run.submit["node"] if run.submit else None
    points = [
        (
            view.node.fitness,
            view.test,
            view.node.id,
            f"node {view.node.id}: validation {number(view.node.fitness)}, test {number(view.test)}",
            "submitted" if view.node.id == chosen else "good",
        )
        for view in run.nodes
        if view.node.fitness is not None and view.test is not None
    ]
    chart = charts.scatter("Validation against test", "validation", "test", points)
    good = sum(node.is_good for node in run.tree.nodes)
    note = f"{len(points)} of {good} good nodes have a test score." if chart else "No node has a test score yet."
    return Panel("Validation against test", chart, note)


def budget_rows(run: RunView) -> Iterator[BudgetRow]:
    for axis, name in AXES.items():
        spent, limit = getattr(run.tree.spent, axis), getattr(run.tree.limits, axis)
        percent = round(min(100.0, 100 * spent / limit), 2) if limit and spent is not None else None
        yield BudgetRow(name, spent_of(axis, spent, limit), percent)


def failure_rows(run: RunView) -> Iterator[FailureRow]:
    """Failure classes, the most frequent first."""
    groups = defaultdict(list)
    for node in run.tree.nodes:
        if node.failure_class:
            groups[node.failure_class].append(node)
    for name, nodes in sorted(groups.items(), key=lambda item: (-len(item[1]), item[0])):
        operators = Counter(str(node.operator) for node in nodes)
        words = ", ".join(f"{operator} {count}" for operator, count in sorted(operators.items()))
        yield FailureRow(visible(name), len(nodes), words, tuple(node.id for node in nodes))


def isolation(run: RunView) -> Iterator[tuple[str, int]]:
    """Each kind of isolation that executions really had, with how many had it."""
    counts = Counter(
        json.dumps({key: value for key, value in e.isolation.items() if key != "notes"}, sort_keys=True)
        for view in run.nodes
        for e in view.executions
    )
    for facts, count in sorted(counts.items()):
        words = [f"{key.replace('_', ' ')}: {_enforced(value)}" for key, value in json.loads(facts).items()]
        yield one_line(", ".join(words) or "not recorded"), count


def _enforced(value: object) -> str:
    return {True: "isolated", False: "NOT isolated"}.get(value, str(value)) if isinstance(value, bool) else str(value)


def grouped_warnings(run: RunView) -> list[tuple[str, str, tuple[int, ...], int]]:
    """(code, text, nodes, count) of equal warnings, in order of first appearance."""
    groups: dict[tuple[str, str], list[int | None]] = {}
    for warning in run.warnings:
        groups.setdefault((visible(warning.code), one_line(warning.text, 600)), []).append(warning.node)
    return [
        (code, text, tuple(node for node in nodes if node is not None), len(nodes))
        for (code, text), nodes in groups.items()
    ]
