"""What the report says about one node, cut to its share of the file."""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from aira_jax.core.formatting import dollars, number, seconds
from aira_jax.core.text import cut, one_line, visible
from aira_jax.reports.run import charts
from aira_jax.reports.run.diff import diff
from aira_jax.runs.pattern import Found
from aira_jax.runs.view import Execution, NodeView, RunView

PART_BYTES = 60_000  # no single text is longer, however few nodes there are
SHARES = {"plan": 0.1, "analysis": 0.05, "diff": 0.2, "output": 0.25, "files": 0.2, "calls": 0.2}
SHORT_LINES = 12  # a file of up to so many lines is shown at once
TASK_COLUMNS = ("micro", "macro", "loss")
OWN_FACTS = ("profile", "seed", "n_params", "steps", "train_s", "wall_s")


@dataclasses.dataclass(frozen=True)
class Table:
    """Scores per proxy task: `rows` are (name, cells)."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[str, ...]], ...]


@dataclasses.dataclass(frozen=True)
class Curve:
    """A training curve: SVG path data and its ends in words."""

    path: str
    ends: str


@dataclasses.dataclass(frozen=True)
class File:
    """A candidate's file; `is_open` when it is short and differs from the parent's."""

    path: str
    text: str
    is_open: bool


@dataclasses.dataclass(frozen=True)
class Output:
    title: str
    facts: str
    text: str
    is_ok: bool


@dataclasses.dataclass(frozen=True)
class NodePage:
    """Ready for the template; every text is visible and bounded, nothing is escaped yet."""

    id: int
    operator: str
    parents: tuple[int, ...]
    children: tuple[int, ...]
    status: str
    failure_class: str
    fitness: str
    delta: str
    delta_is_good: bool
    test: str
    is_submitted: bool
    is_new_best: bool
    duplicate_of: int | None
    plan: str
    analysis: str
    message: str
    diff: tuple[tuple[str, str], ...]
    files: tuple[File, ...]
    tables: tuple[Table, ...]
    facts: tuple[tuple[str, str], ...]
    more_facts: tuple[tuple[str, str], ...]
    curve: Curve | None
    outputs: tuple[Output, ...]
    pattern: Found | None
    calls: tuple[tuple[str, str, str, bool], ...]
    cost: tuple[tuple[str, str], ...]
    wall: str
    usd: str
    warnings: tuple[str, ...]


def page(view: NodeView, run: RunView, share: float) -> NodePage:
    """The page of a node; its texts take about `share` bytes of markup in all."""
    node = view.node
    folder = f"nodes/{node.id:04d}"
    limit = {name: min(PART_BYTES, int(part * share)) for name, part in SHARES.items()}
    parent = run.nodes[node.parents[0]] if node.parents else None
    change = (
        None if parent is None or None in (node.fitness, parent.node.fitness) else node.fitness - parent.node.fitness
    )
    scored = _scored(view)
    return NodePage(
        id=node.id,
        operator=str(node.operator),
        parents=node.parents,
        children=node.children,
        status=str(node.status) if node.status else "pending",
        failure_class=node.failure_class or "",
        fitness=number(node.fitness),
        delta="" if change is None else f"{change:+.4f}",
        delta_is_good=change is not None and (change < 0 if run.tree.lower_is_better else change > 0),
        test=_tested(view),
        is_submitted=run.submit is not None and run.submit["node"] == node.id,
        is_new_best=view.point is not None and view.point.is_new_best,
        duplicate_of=node.duplicate_of,
        plan=cut(node.plan, limit["plan"], f"{folder}/plan.md"),
        analysis=cut(node.summary, limit["analysis"], f"{folder}/result.json"),
        message=cut(_message(view), limit["analysis"], f"{folder}/result.json"),
        diff=_diff_lines(_change_of(view, run, limit["diff"], folder)),
        files=tuple(_files(view, run, limit["files"], folder)),
        tables=tuple(_tables(view, parent)),
        facts=tuple(_facts(scored.result)) if scored else (),
        more_facts=tuple(_more_facts(scored.result)) if scored else (),
        curve=_curve(scored.result) if scored else None,
        outputs=tuple(_output(e, limit["output"] // len(view.executions), folder) for e in view.executions),
        pattern=view.pattern,
        calls=tuple(_calls(view, limit["calls"], folder)),
        cost=tuple(_cost(view)),
        wall=seconds(node.wall_s),
        usd=dollars(node.usd),
        warnings=view.warnings,
    )


def _tested(view: NodeView) -> str:
    """The one test score of a node, with its seeds where there are several."""
    seeds = f" ({len(view.tests)} seeds)" if len(view.tests) > 1 else ""
    return f"{number(view.test)}{seeds}"


def _message(view: NodeView) -> str:
    """Why a node failed; an answer that could not be read says what was wrong with it."""
    reason = view.parse_error
    return view.node.message if not reason or reason in view.node.message else f"{view.node.message}\n{reason}".strip()


def _calls(view: NodeView, limit: int, folder: str) -> Iterator[tuple[str, str, str, bool]]:
    """Per model call: title, prompt, answer, and whether the answer could not be used."""
    own = limit // (2 * len(view.calls) or 1)
    for place_no, call in enumerate(view.calls):
        place, prompt = f"{folder}/calls/{place_no}", ""
        if call.prompt is not None:
            prompt = cut(call.prompt.read_text("utf-8", "replace"), own, f"{place}_{call.role}_prompt.txt")
        answer = cut(call.answer, own, f"{place}_{call.role}_answer.txt")
        unread = bool(view.parse_error or call.error) and call.role == "propose"
        yield f"{call.role}, attempt {call.attempt}", prompt, answer, unread


def _files(view: NodeView, run: RunView, limit: int, folder: str) -> Iterator[File]:
    before = run.parent_files(view)
    for path, text in sorted(view.node.files.items()):
        is_news = before.get(path) != text
        shown = cut(text, limit // len(view.node.files), f"{folder}/files/")
        yield File(visible(path), shown, is_news and text.count("\n") <= SHORT_LINES)


def _scored(view: NodeView, split: str = "validation") -> Execution | None:
    return next((e for e in view.executions if e.value is not None and e.split == split), None)


def _tasks(execution: Execution | None) -> Mapping[str, Mapping[str, Any]]:
    """Scores per proxy task, where the evaluator reports them: {task: {metric: number}}."""
    if execution is None:
        return {}
    proxy = (execution.result.get("extra") or {}).get("proxy") or {}
    return {name: scores for name, scores in (proxy.get("tasks") or {}).items() if isinstance(scores, Mapping)}


def _tables(view: NodeView, parent: NodeView | None) -> Iterator[Table]:
    before = _tasks(_scored(parent)) if parent else {}
    for split in ("validation", "test"):
        tasks = _tasks(_scored(view, split))
        if not tasks:
            continue
        compare = split == "validation" and bool(before)
        rows = []
        for name, scores in sorted(tasks.items()):
            cells = [_score(scores.get(column)) for column in TASK_COLUMNS]
            if compare:
                cells.append(_change(scores.get("micro"), before.get(name, {}).get("micro")))
            rows.append((visible(name), tuple(cells)))
        columns = (*TASK_COLUMNS, f"micro vs {parent.node.id}") if compare and parent else TASK_COLUMNS
        yield Table(split, columns, tuple(rows))


def _score(value: Any) -> str:
    return number(value) if isinstance(value, int | float) else "–"


def _change(value: Any, before: Any) -> str:
    return f"{value - before:+.4f}" if isinstance(value, int | float) and isinstance(before, int | float) else "–"


def _facts(result: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Single facts of the evaluator's result: its own, and the task's in `extra`."""
    yield from _told({name: result.get(name) for name in OWN_FACTS})
    yield from _told(result.get("extra") or {})


def _more_facts(result: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Those in the groups of `extra`."""
    for group in (result.get("extra") or {}).values():
        if isinstance(group, Mapping):
            yield from _told(dict(sorted(group.items())))


def _told(group: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in group.items():
        if isinstance(value, float):
            yield visible(name), f"{value:.6g}"
        elif isinstance(value, str | int):
            yield visible(name), f"{value:,}" if type(value) is int else one_line(str(value), 300)


def _curve(result: Mapping[str, Any]) -> Curve | None:
    curve = result.get("curve") or ()
    path = charts.sparkline(curve)
    values = [y for _, y in curve if y is not None]
    return Curve(path, f"{values[0]:.4g} to {values[-1]:.4g}") if path else None


def _change_of(view: NodeView, run: RunView, limit: int, folder: str) -> str:
    """The diff to the parent; a draft has none, its files say all."""
    if not view.node.parents:
        return ""
    return cut(diff(run.parent_files(view), view.node.files), limit, f"{folder}/diff.patch")


def _output(execution: Execution, limit: int, folder: str) -> Output:
    e = execution
    ending = f"signal {e.signal}" if e.signal else f"exit code {e.exit_code}"
    facts = [
        e.status if e.failure_class is None else f"{e.status}, class {e.failure_class}",
        ending,
        f"wall {seconds(e.wall_s)}",
        f"CPU {seconds(e.cpu_s)}",
        f"peak memory {e.peak_bytes / 2**20:,.0f} MiB",
    ]
    title = f"{e.phase.replace('_', ' ')}, seed {e.seed}"
    return Output(title, " · ".join(facts), cut(e.output, limit, f"{folder}/output.txt"), e.status == "ok")


def _cost(view: NodeView) -> Iterator[tuple[str, str]]:
    node, usage = view.node, view.node.usage
    yield "wall", seconds(node.wall_s)
    yield "device-seconds", f"{node.device_s:,.1f}"
    yield "USD", dollars(node.usd)
    yield "model calls", f"{len(view.calls)}"
    if view.calls:
        yield "waiting for answers", seconds(sum(call.latency_s for call in view.calls))
    if usage.tokens:
        counted = " (estimated)" if usage.estimated else ""
        cached = usage.cache_write_5m + usage.cache_write_1h
        yield (
            "tokens",
            (
                f"{usage.tokens:,}{counted}: {usage.input:,} input, {usage.output:,} output, "
                f"{usage.cache_read:,} cache read, {cached:,} cache write"
            ),
        )
    for call in view.calls:
        if call.error:
            yield f"{call.role}, attempt {call.attempt}", one_line(call.error, 300)


def _diff_lines(text: str) -> tuple[tuple[str, str], ...]:
    """Each line of a unified diff with its kind: add, cut, hunk, file or same."""
    if not text:
        return ()
    kinds = {"+++": "file", "---": "file", "@@ ": "hunk"}
    signs = {"+": "add", "-": "cut"}
    lines = text.removesuffix("\n").split("\n")
    return tuple((kinds.get(line[:3]) or signs.get(line[:1], "same"), line) for line in lines)
