"""A search as seen from its terminal."""

import dataclasses
import io

import pytest
import synthetic_run
from rich.console import Console

from aira_jax.reports import terminal
from aira_jax.reports.terminal import InFlight, LiveView, PlainLog
from aira_jax.search.log import events
from aira_jax.search.log.tree import Tree


def play(observer, run_dir, upto=None):
    """Feeds the first records of a run to an observer, as the search does."""
    tree, blobs = Tree(), events.Blobs(run_dir / "blobs")
    for record in events.read(run_dir)[:upto]:
        tree = tree.apply(record, blobs)
        observer.on_record(record, tree)
    return tree


def screen(width=110, terminal=True):
    return Console(file=io.StringIO(), width=width, force_terminal=terminal, color_system=None, legacy_windows=False)


def shown(view, width=110):
    console = Console(file=io.StringIO(), width=width, color_system=None)
    console.print(view.render())
    return console.file.getvalue()


def position(run_dir, kind, **members):
    """The number of records up to and with the first that matches."""
    records = events.read(run_dir)
    return 1 + next(
        i for i, r in enumerate(records) if r["kind"] == kind and all(r.get(k) == v for k, v in members.items())
    )


def test_without_a_terminal_every_node_is_one_line(small_run):
    console = screen(width=60, terminal=False)
    observer = terminal.observer(small_run, console)
    assert isinstance(observer, PlainLog)
    tree = play(observer, small_run)
    observer.close()
    lines = console.file.getvalue().splitlines()
    nodes = [line.split() for line in lines if line.startswith("node")]
    assert [int(words[1]) for words in nodes] == [node.id for node in tree.nodes]
    for words, node in zip(nodes, tree.nodes, strict=True):
        assert words[2] == node.operator
        assert str(node.status) in words
        assert (node.failure_class or f"{node.fitness:.4f}") in words
    assert str(small_run / "events.jsonl") in lines[0]
    assert any(line.startswith("warning: network not isolated") for line in lines)
    assert "stopped (steps): 15 of 15 steps used" in lines
    assert lines[-1].startswith("scoring node")  # what goes on after the search


@pytest.mark.parametrize("reason, lines", [("auth", 0), ("interrupt", 0), ("steps", 1)])
def test_why_a_search_stopped_unfinished_is_left_to_its_caller(small_run, reason, lines):
    console = screen(terminal=False)
    observer = PlainLog(console, small_run / "events.jsonl")
    tree = play(observer, small_run, upto=3)
    before = len(console.file.getvalue().splitlines())
    observer.on_record({"kind": "stop", "reason": reason, "detail": "as it was"}, tree)
    assert len(console.file.getvalue().splitlines()) == before + lines


def test_with_a_terminal_there_is_a_live_view(small_run):
    observer = terminal.observer(small_run, screen())
    assert isinstance(observer, LiveView)
    observer.close()
    observer.close()


def test_the_live_view_shows_what_matters(small_run):
    upto = position(small_run, "exec_start", node=12, phase="score_validation")
    now = 1000.0
    view = LiveView(screen(), small_run / "events.jsonl", clock=lambda: now)
    tree = play(view, small_run, upto)
    now += 42.0
    text = shown(view)
    view.close()
    assert f"best {tree.best.fitness:.4f} (node {tree.best.id})" in text
    for node in tree.nodes[7:12]:
        assert f"{node.id}   {node.operator} {node.parents[0]}" in text
    assert "improve 0" not in text.split("in flight")[0]  # node 6 is older than the last five
    assert "node 12: score validation" in text
    assert "42.0 s / 2:00 min" in text
    assert "12 / 15" in text
    assert "failures interface 1  timeout 1" in text
    assert "events.jsonl" in text
    assert "warning: network not isolated" in text


def test_the_live_view_stands_before_the_first_record(small_run):
    view = LiveView(screen(), small_run / "events.jsonl")
    assert "waiting for the first record" in shown(view)
    view.close()


def test_text_of_candidates_is_neither_markup_nor_control(tmp_path):
    run = synthetic_run.write(tmp_path / "run", synthetic_run.Shape(nodes=12, hostile=True))
    records = list(events.read(run))
    records.append({**records[3], "text": "[bold red]not markup[/] \x1b]0;owned\x07 \x1b[2J", "seq": len(records)})
    (run / "events.jsonl").write_bytes(b"".join(map(events.encode, records)))
    console = screen(terminal=False)
    play(PlainLog(console, run / "events.jsonl"), run)
    view = LiveView(screen(), run / "events.jsonl")
    play(view, run)
    for text in (console.file.getvalue(), shown(view, width=250)):
        assert "[bold red]not markup[/]" in text
        assert "\x1b" not in text
        assert "\x07" not in text
    view.close()


def test_what_begins_is_in_flight_until_it_ends():
    begun = {"kind": "exec_start", "node": 3, "phase": "check", "limits": {"wall_s": 30.0}}
    asked = {"kind": "llm_request", "node": 4, "role": "propose", "model": "m"}
    flying = terminal.track(terminal.track({}, begun, 5.0), asked, 6.0)
    assert list(flying.values()) == [InFlight(3, "check", 5.0, 30.0), InFlight(4, "propose (m)", 6.0, None)]
    flying = terminal.track(flying, {"kind": "exec_end", "node": 3}, 7.0)
    assert [item.node for item in flying.values()] == [4]
    assert terminal.track(flying, {"kind": "session_start"}, 8.0) == {}


@pytest.mark.parametrize(
    "spent, limit, wall_s, words",
    [(25, 100, 60.0, "3:00 min left"), (100, 100, 60.0, "0.0 s left"), (0, 100, 60.0, ""), (5, None, 60.0, "")],
)
def test_the_time_left_follows_the_pace_so_far(spent, limit, wall_s, words):
    assert terminal.eta(spent, limit, wall_s) == words


def test_dollars_that_nobody_knows_are_unpriced(tmp_path):
    run = synthetic_run.write(tmp_path / "run", synthetic_run.Shape(nodes=3, priced=False))
    view = LiveView(screen(), run / "events.jsonl")
    play(view, run)
    assert "unpriced" in shown(view)
    view.close()


def test_what_steers_a_search_stands_beside_the_score_where_it_is_another_number(small_run):
    tree = play(PlainLog(screen(), small_run / "events.jsonl"), small_run)
    node = next(node for node in tree.nodes if node.is_good)
    assert "signal" not in terminal.node_line(node, tree)
    assert "  signal 2.2500" in terminal.node_line(dataclasses.replace(node, signal=2.25), tree)
