"""What a user looks for first: the pattern that was found, one test score, what was asked and answered."""

import io

import pytest
from rich.console import Console

from aira_jax.reports import terminal
from aira_jax.reports.run import derived, html
from aira_jax.runs import view as views
from aira_jax.search.log import events
from aira_jax.search.log.events import EventLog, Kind
from aira_jax.search.log.tree import Tree

PATTERN = "3(2A-M)-4M-2A-M"
TASK = "NeuralArchitectureSearchMAD2PrimitivesAccuracy"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Two nodes: a scored pattern, tested with two seeds, and an answer that could not be read."""
    folder = tmp_path_factory.mktemp("run")
    log = EventLog(folder, fsync=False)
    about = {"run_id": "0", "task": TASK, "task_sha": "", "profile": "demo", "agent": "a", "seed": 0, "config": {}}
    about |= {"lower_is_better": False, "metric": "M", "code_version": "1", "host_info": {}, "prompt_version": 1}
    log.append(Kind.RUN_START, **about)
    log.append(Kind.SESSION_START, pid=1, host="h", resumed=False, purpose="search", config_changes={})
    answers = [f"```\narchitecture\n{PATTERN}\n```", "I would rather not say."]
    for node, text in enumerate(answers):
        log.append(Kind.ACTION, node=node, operator="draft", parents=[], meta={}, rng=[0, 0, node], committed_upto=-1)
        log.append(Kind.LLM_REQUEST, node=node, role="propose", attempt=0, backend="b", model="m", params={},
                   prompt_sha=log.put(f"Question {node}"))  # fmt: skip
        log.append(Kind.LLM_RESULT, node=node, role="propose", attempt=0, text=text, usage={}, usd=0.0, error=None)
        files = {} if node else {"submission.csv": f"architecture\n{PATTERN}\n"}
        reason = "the answer holds no fenced file" if node else None
        log.append(Kind.CANDIDATE, node=node, plan="", files=files, sha="s", key=None, edit_mode="full",
                   parse_error=reason, duplicate_of=None)  # fmt: skip
        outcome = {"status": "failed", "fitness": None, "failure_class": "parse"} if node else {}
        log.append(Kind.NODE, node=node, message="",
                   **({"status": "good", "fitness": 0.4, "failure_class": None} | outcome))  # fmt: skip
    log.append(Kind.SUBMIT, node=0, rule="best_validation", fitness=0.4)
    log.append(Kind.STOP, reason="steps", detail="")
    log.append(Kind.SESSION_START, pid=1, host="h", resumed=True, purpose="test", config_changes={})
    for seed, value in ((0, 0.3694), (1, 0.3456)):
        log.append(Kind.TEST_RESULT, node=0, seed=seed, value=value, status="ok", failure_class=None, wall_s=1.0,
                   device_s=1.0)  # fmt: skip
    log.close()
    return folder


def lines(run, **options) -> str:
    console = Console(file=io.StringIO(), width=200, color_system=None, force_terminal=False)
    observer, tree = terminal.PlainLog(console, run / "events.jsonl"), Tree()
    for record in events.read(run):
        tree = tree.apply(record)
        observer.on_record(record, tree)
    return console.file.getvalue()


def test_header_table_and_node_page_show_the_pattern_with_its_strip(run):
    page = html.render(views.RunView.read(run))
    top, table = page.split('id="tree"', 1)
    assert f'<p class="base">{PATTERN}</p>' in top
    assert 'class="strip"' in top
    assert table.count(PATTERN) >= 3


def test_the_console_line_of_a_node_shows_its_pattern(run):
    (line,) = [line for line in lines(run).splitlines() if line.startswith("node 0")]
    assert PATTERN in line


def test_the_console_says_what_goes_on_before_the_first_node_and_after_the_last(run):
    told = lines(run)
    assert told.index("preparing the data") < told.index("node 0")
    assert "scoring the submission on test" in told[told.index("stopped") :]


def test_the_live_view_shows_the_best_pattern(run):
    view = terminal.LiveView(Console(file=io.StringIO(), force_terminal=True), run / "events.jsonl")
    tree = Tree()
    for record in events.read(run):
        tree = tree.apply(record)
        view.on_record(record, tree)
    view.close()
    shown = Console(file=io.StringIO(), width=160, color_system=None)
    shown.print(view.render())
    assert f"{PATTERN} AAMAAMAAMMMMMAAM" in shown.file.getvalue()


def test_a_node_has_one_test_score_and_its_seeds_are_named_wherever_it_stands(run):
    view = views.RunView.read(run)
    assert view.nodes[0].test == pytest.approx(0.3575)
    page = html.render(view)
    assert "<dd>0.3694</dd>" not in page
    assert page.count("0.3575 (2 seeds)") == 2  # the table and the page of the node


def test_an_answer_that_was_not_read_is_shown_with_the_reason_and_the_question(run):
    page = html.render(views.RunView.read(run))
    for text in ("the answer holds no fenced file", "I would rather not say.", "Question 1"):
        assert text in page
    derived.rebuild(run)
    assert (run / "nodes" / "0001" / "calls" / "0_propose_answer.txt").read_text() == "I would rather not say."
    assert (run / "nodes" / "0001" / "calls" / "0_propose_prompt.txt").read_text() == "Question 1"


def test_an_uninterrupted_run_is_not_called_resumed(run):
    assert "<dt>sessions</dt><dd>1</dd>" in html.render(views.RunView.read(run))


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_a_terminal_of_any_encoding_can_show_what_is_told(encoding):
    assert terminal.told("a – b …", encoding).encode(encoding)
    assert terminal.told("a – b …", "ascii") == "a - b ..."


def test_colours_forced_into_a_file_make_it_no_screen(run, monkeypatch, tmp_path):
    monkeypatch.setenv("FORCE_COLOR", "1")
    with (tmp_path / "out").open("w") as file:
        monkeypatch.setattr("sys.stdout", file)
        assert isinstance(terminal.observer(run), terminal.PlainLog)
