"""A search as seen from its terminal: a live view where there is a screen, one line per node where there is none."""

import dataclasses
import logging
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from aira_jax.core.formatting import AXES, number, seconds, spent_of
from aira_jax.core.text import one_line
from aira_jax.patterns import registry
from aira_jax.runs.pattern import of_files
from aira_jax.search.log.journal import Observer
from aira_jax.search.log.tree import Node, NodeStatus, Tree
from aira_jax.search.run import RESUMABLE

LAST_NODES = 5
SCORING = "scoring the submission on test"
LAST_NOTES = 3
STYLES = {NodeStatus.GOOD: "green", NodeStatus.BUGGY: "yellow", NodeStatus.FAILED: "red"}


def observer(run_dir: Path, console: Console | None = None) -> Observer:
    """A live view when the console is a terminal, else plain lines. `run_dir` is shown as the place of the log."""
    quiet_clients()
    if console is None:  # FORCE_COLOR makes rich take a file or a notebook for a terminal
        console = Console(force_jupyter=False, force_terminal=None if _is_screen() else False)
    log = Path(run_dir) / "events.jsonl"
    return LiveView(console, log) if console.is_terminal else PlainLog(console, log)


def _is_screen() -> bool:
    return sys.stdout is not None and not sys.stdout.closed and sys.stdout.isatty()


def quiet_clients() -> None:
    """HTTP clients log every request, which would tear the live view."""
    for name in ("httpx", "httpcore", "anthropic"):
        logging.getLogger(name).setLevel(logging.WARNING)


class Lines:
    """Hands `write` one line per committed node, warning and stop; why a search stopped unfinished, its caller says."""

    def __init__(self, write: Callable[[str], None], log: Path):
        self._line, self._log, self._seen_run = write, log, False

    def on_record(self, record: Mapping[str, Any], tree: Tree) -> None:
        if not self._seen_run and tree.run:
            self._seen_run = True
            self._line(f"{title(tree.run)}  log {self._log}")
        if record["kind"] == "session_start":
            self._line("preparing the data and the first node" if record.get("purpose") == "search" else SCORING)
        if record["kind"] == "exec_start" and record["phase"] == "score_test":
            self._line(f"scoring node {record['node']} on test, seed {record.get('seed') or 0}")
        if record["kind"] == "node":
            self._line(node_line(tree.nodes[record["node"]], tree))
        elif not (record["kind"] == "stop" and record["reason"] in RESUMABLE) and (note := note_line(record)):
            self._line(note)

    def close(self) -> None:
        pass


class PlainLog(Lines):
    """The lines on a console that is no screen."""

    def __init__(self, console: Console, log: Path):
        super().__init__(lambda text: console.print(Text(told(text, console.encoding)), soft_wrap=True), log)


def told(text: str, encoding: str | None) -> str:
    """`text` as a terminal of this encoding can show it: a dash for a dash, three dots for an ellipsis."""
    plain = text.translate({0x2013: "-", 0x2014: "-", 0x2026: "...", 0x2192: "->"})
    try:
        text.encode(encoding or "ascii")
    except UnicodeEncodeError:
        return plain.encode(encoding or "ascii", "replace").decode(encoding or "ascii")
    return text


@dataclasses.dataclass(frozen=True)
class InFlight:
    """Something begun and not ended. Times in seconds of the caller's monotonic clock; no limit is None."""

    node: int
    what: str
    started: float
    limit_s: float | None


class LiveView:
    """A screen that redraws itself four times a second. `clock` is monotonic seconds."""

    def __init__(self, console: Console, log: Path, clock: Callable[[], float] = time.monotonic):
        self._log, self._clock = log, clock
        self._tree: Tree | None = None
        self._tree_at = 0.0
        self._in_flight: dict[tuple[int, str], InFlight] = {}
        self._notes: tuple[str, ...] = ()
        self._live = Live(console=console, get_renderable=self.render, refresh_per_second=4)
        self._live.start()

    def on_record(self, record: Mapping[str, Any], tree: Tree) -> None:
        now = self._clock()
        self._in_flight = track(self._in_flight, record, now)
        self._tree, self._tree_at = tree, now
        if note := note_line(record):
            self._notes = (*self._notes, note)[-LAST_NOTES:]

    def close(self) -> None:
        self._live.stop()

    def render(self) -> RenderableType:
        """The view as it stands now; called from the refresh thread."""
        tree = self._tree
        if tree is None:
            return Panel(Text("waiting for the first record"), subtitle=Text(str(self._log)))
        now = self._clock()
        parts = [
            summary_line(tree),
            last_nodes_table(tree),
            in_flight_table(self._in_flight, now),
            Text(),
            budget_table(tree, now - self._tree_at if self._in_flight else 0.0),
            *(Text(note, style="yellow", overflow="ellipsis", no_wrap=True) for note in self._notes),
        ]
        heading = Text(title(tree.run), style="bold")
        return Panel(Group(*parts), title=heading, subtitle=Text(str(self._log), style="dim"), border_style="dim")


def track(
    in_flight: Mapping[tuple[int, str], InFlight], record: Mapping[str, Any], now: float
) -> dict[tuple[int, str], InFlight]:
    """What is in flight after this record."""
    flying, kind = dict(in_flight), record["kind"]
    if kind == "session_start":
        flying.clear()
    elif kind == "llm_request":
        flying[record["node"], "llm"] = InFlight(record["node"], f"{record['role']} ({record['model']})", now, None)
    elif kind == "exec_start":
        limit_s = record["limits"].get("wall_s")
        flying[record["node"], "exec"] = InFlight(record["node"], record["phase"].replace("_", " "), now, limit_s)
    elif kind == "llm_result":
        flying.pop((record["node"], "llm"), None)
    elif kind == "exec_end":
        flying.pop((record["node"], "exec"), None)
    return flying


def title(run: Mapping[str, Any]) -> str:
    return one_line(f"{run['task']}  {run['agent']}  seed {run['seed']}  {run['profile']}")


def note_line(record: Mapping[str, Any]) -> str | None:
    """Records other than nodes that a user should see."""
    match record["kind"]:
        case "warning":
            return f"warning: {one_line(record['text'], 300)}"
        case "recovered":
            return f"recovered: {record['dropped_bytes']} damaged bytes at the end of the log saved to {record['file']}"
        case "submit":
            return f"submitted: node {record['node']} ({record['rule']}), fitness {number(record['fitness'])}"
        case "stop":
            return f"stopped ({record['reason']}): {one_line(record['detail'], 300)}"
    return None


def node_line(node: Node, tree: Tree) -> str:
    """`node 7   improve 3   good   0.6120  +0.0120  best  4.1 s  steps 8/12`."""
    parents = "+".join(map(str, node.parents))
    cells = [
        f"node {node.id:<4}",
        f"{node.operator} {parents}".ljust(12),
        f"{node.status}".ljust(6),
        number(node.fitness).rjust(9) if node.is_good else (node.failure_class or "").rjust(9),
        delta(node, tree).rjust(9),
        *_signal(node),
        "best" if tree.best is not None and tree.best.id == node.id else "    ",
        seconds(node.wall_s).rjust(7),
        f"steps {spent_of('steps', tree.spent.steps, tree.limits.steps)}",
    ]
    if found := of_files(node.files):
        cells.append(found.text)
    reason = "" if node.is_good else one_line(node.message, 120)
    return "  ".join([*cells, reason]).rstrip()


def _signal(node: Node) -> list[str]:
    """What steers the search where it is not the fitness; nothing else."""
    return [] if node.signal is None else [f"signal {number(node.signal)}"]


def summary_line(tree: Tree) -> Text:
    counts = Counter(node.status for node in tree.nodes)
    best = tree.best
    text = Text()
    text.append("best ", style="dim")
    text.append(number(best.fitness) if best else "none yet", style="bold green" if best else "dim")
    text.append(f" (node {best.id})" if best else "", style="dim")
    if best and (found := of_files(best.files)):
        text.append(f"  {found.text} ", style="bold")
        text.append_text(strip(found.layers))
        text.append("\n")
    text.append("   nodes ", style="dim")
    for status in NodeStatus:
        text.append(f"{counts[status]} {status} ", style=STYLES[status] if counts[status] else "dim")
    failures = Counter(node.failure_class for node in tree.nodes if node.failure_class)
    if failures:
        text.append("  failures ", style="dim")
        text.append("  ".join(f"{name} {count}" for name, count in sorted(failures.items())), style="yellow")
    return text


def strip(layers: Sequence[str]) -> Text:
    """A pattern as a strip of letters, each on the colour of its primitive."""
    text = Text()
    for layer in layers:
        text.append(layer, style=f"bold white on {registry.get(layer).colour}")
    return text


def last_nodes_table(tree: Tree) -> Table:
    table = Table(box=box.SIMPLE_HEAD, expand=True, pad_edge=False)
    table.add_column("node", justify="right")
    table.add_column("operator")
    table.add_column("status")
    table.add_column("class")
    table.add_column("fitness", justify="right")
    table.add_column("vs parent", justify="right")
    table.add_column("wall", justify="right")
    table.add_column("pattern", no_wrap=True)
    committed = [node for node in tree.nodes if not node.pending]
    for node in committed[-LAST_NODES:]:
        is_best = tree.best is not None and tree.best.id == node.id
        table.add_row(
            str(node.id),
            f"{node.operator} {'+'.join(map(str, node.parents))}",
            Text(str(node.status), style=STYLES[node.status]),
            node.failure_class or "",
            Text("  ".join([number(node.fitness), *_signal(node)]), style="bold green" if is_best else ""),
            delta(node, tree),
            seconds(node.wall_s),
            found.text if (found := of_files(node.files)) else "",
        )
    return table


def in_flight_table(in_flight: Mapping[tuple[int, str], InFlight], now: float) -> Table:
    table = Table(box=None, expand=True, pad_edge=False, title="in flight", title_justify="left", title_style="dim")
    table.add_column("what", ratio=2)
    table.add_column("bar", ratio=2)
    table.add_column("elapsed", justify="right", ratio=1)
    table.show_header = False
    for item in sorted(in_flight.values(), key=lambda item: item.node):
        elapsed = now - item.started
        bar = ProgressBar(item.limit_s, min(elapsed, item.limit_s)) if item.limit_s else Text()
        limit = f" / {seconds(item.limit_s)}" if item.limit_s else ""
        table.add_row(f"node {item.node}: {item.what}", bar, f"{seconds(elapsed)}{limit}")
    if not in_flight:
        table.add_row(Text("nothing", style="dim"), "", "")
    return table


def budget_table(tree: Tree, since_record_s: float) -> Table:
    """One row per axis: a bar where there is a limit, and the time until it is reached at the pace so far."""
    table = Table(box=None, expand=True, pad_edge=False, title="budget", title_justify="left", title_style="dim")
    table.add_column("axis", width=8)
    table.add_column("bar", ratio=2)
    table.add_column("spent", justify="right", ratio=1)
    table.add_column("left", justify="right", ratio=1)
    table.show_header = False
    wall_s = (tree.spent.wall_s or 0.0) + since_record_s
    for axis, name in AXES.items():
        spent, limit = wall_s if axis == "wall_s" else getattr(tree.spent, axis), getattr(tree.limits, axis)
        bar = ProgressBar(limit, min(spent, limit)) if limit and spent is not None else Text("no limit", style="dim")
        table.add_row(name, bar, spent_of(axis, spent, limit), eta(spent, limit, wall_s))
    return table


def eta(spent: float | None, limit: float | None, wall_s: float) -> str:
    """The wall-clock time until `limit` is reached at the pace so far; empty when there is no limit or no pace."""
    if not limit or not spent or not wall_s:
        return ""
    return f"{seconds(max(0.0, wall_s * (limit - spent) / spent))} left"


def delta(node: Node, tree: Tree) -> str:
    """Signed difference to the (first) parent's fitness; empty without two numbers."""
    if node.fitness is None or not node.parents:
        return ""
    parent = tree.nodes[node.parents[0]]
    return "" if parent.fitness is None else f"{node.fitness - parent.fitness:+.4f}"
