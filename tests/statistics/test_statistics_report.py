"""What is written: tables in three forms, plots, one inert HTML file, and a script that says what is wrong."""

import csv
import dataclasses
import html.parser
import io
import json
import os
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import study_runs
from study_runs import CONFIGURABLE, LISTOPS, LOSS, MODEL, Node

from aira_jax.reports.statistics import figures, report, words
from aira_jax.runs import studies
from aira_jax.statistics import contrasts, summary, tables
from aira_jax.statistics.bootstrap import Estimate
from aira_jax.statistics.table import Column, Form, Table

ROOT = Path(__file__).parents[2]
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
HOSTILE = "<script>alert(1)</script>|=1+1"


def fill(folder):
    """Three tasks, two agents and a control; one run failed, one is torn, one is damaged."""
    for seed in range(3):
        model = {"model.py": MODEL.format(lr=f"{seed + 1}e-4")}
        nodes = [Node(0.40 + 0.01 * seed, 0.41, plan=HOSTILE, files=model), Node(None), Node(0.45, 0.40, files=model)]
        for task in (LISTOPS, CONFIGURABLE):
            study_runs.write(folder, nodes, task=task, seed=seed, profile="smoke", repeats=(0.39,))
        study_runs.write(folder, [Node(None)], seed=seed, agent="one_shot-opus", scaffold="one_shot", profile="smoke")
        study_runs.write(folder, [Node(3.0 - seed, 3.1)], task=LOSS, seed=seed, profile="smoke")
        study_runs.write(folder, nodes[:1], seed=seed, agent="greedy-control.random", backend="control.random",
                         profile="smoke")  # fmt: skip
    damaged = study_runs.write(folder, [Node(0.4, 0.4)], seed=9, profile="smoke")
    (damaged / "events.jsonl").write_bytes(b"{}\n{}\n")
    return folder


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    return fill(tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="module")
def written(runs, task_folders, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("aira_jax.tasks.loader.FOLDER", task_folders)
        summed = summary.summarise(studies.study([runs]))
        found = contrasts.contrasts(summed)
        out = tmp_path_factory.mktemp("out")
        return summed, found, out, report.write(summed, found, out)


def test_every_table_is_written_with_all_digits(written):
    summed, _, out, files = written
    assert set(files.tables) == {
        "agents", "comparisons", "table_4", "normalised", "scores", "gaps", "table_14", "table_13", "table_5",
        "failures", "runs", "steps",
    }  # fmt: skip
    rows = list(csv.DictReader((out / "tables" / "agents.csv").read_text().splitlines()))
    assert [row["agent"] for row in rows] == list(summed.study.agents)
    assert float(rows[0]["vsr"]) == summed.agents[0].vsr.value
    assert float(rows[0]["ns_low"]) == summed.agents[0].ns.low
    steps = list(csv.DictReader((out / "tables" / "steps.csv").read_text().splitlines()))
    assert len(steps) == sum(row.nodes for row in summed.study.rows)


def test_published_figures_stand_beside_ours_in_columns_of_their_own(written):
    out = written[2]
    (greedy, *_) = csv.DictReader((out / "tables" / "table_4.csv").read_text().splitlines())
    assert (greedy["dataset"], greedy["kind"], greedy["published"]) == ("LRA ListOps", "greedy", "0.257")
    designs = list(csv.DictReader((out / "tables" / "table_14.csv").read_text().splitlines()))
    assert [row["published"] for row in designs] == ["0.4415", "0.505", ""]
    assert designs[1]["settings"] == "LR 0.0001, EMB_DIM 32"  # of equal seeds the first


def test_every_plot_is_a_png_and_an_svg(written):
    out = written[2]
    assert sorted(written[3].plots) == sorted(report._ALTERNATIVES)
    for png, svg in written[3].plots.values():
        assert png.read_bytes().startswith(b"\x89PNG")
        assert "<svg" in svg.read_text()
        assert png.parent == out / "plots"


class Page(html.parser.HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags, self.stack, self.errors, self.pictures = set(), [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        self.pictures += [dict(attributes)] if tag == "img" else []
        if tag not in ("meta", "link", "br", "img"):
            self.stack.append(tag)

    def handle_endtag(self, tag):
        if not self.stack or self.stack.pop() != tag:
            self.errors.append((tag, self.getpos()))


def test_the_page_is_one_well_formed_inert_file(written):
    text = written[3].report.read_text()
    page = Page(text)
    assert (page.errors, page.stack) == ([], [])
    assert not page.tags & {"script", "iframe", "object", "a"}
    assert len(page.pictures) == 6
    assert all(picture["src"].startswith("data:image/svg+xml;base64,") and picture["alt"] for picture in page.pictures)
    assert "http" not in text.replace("http-equiv", "")
    assert "<script" not in text
    assert "&lt;script&gt;alert(1)" in text


def test_what_was_left_out_is_on_the_page_and_in_the_numbers(written):
    summed, _, out, files = written
    told = json.loads((out / "statistics.json").read_text())
    (skipped,) = told["skipped"]
    assert skipped["path"].endswith("seed_9")
    assert "seed_9" in files.report.read_text()
    assert (told["runs"], told["valid"]) == (len(summed.study.rows), 12)
    assert told["vsr"]["one_shot-opus"] == 0


@pytest.fixture
def one_plot(monkeypatch):
    monkeypatch.setattr(figures, "PLOTS", dict([*figures.PLOTS.items()][1:2]))


def test_the_same_runs_give_the_same_bytes(written, one_plot, tmp_path):
    summed, found, out, _ = written
    report.write(summed, found, tmp_path)
    for name in ("tables.md", "tables/agents.csv", "statistics.json", "plots/figure_9_valid_runs.png"):
        assert (tmp_path / name).read_bytes() == (out / name).read_bytes()


def test_what_an_earlier_study_left_does_not_stand_beside_another(written, tmp_path, monkeypatch):
    monkeypatch.setattr(figures, "PLOTS", {"figure_10_normalised_score": figures.normalised})
    report.write(*written[:2], tmp_path)
    (tmp_path / "tables" / "mine.csv").write_text("x")
    study_runs.write(tmp_path / "runs", [Node(3.0, 3.1)], task=LOSS)
    report.write(summary.summarise(studies.study([tmp_path / "runs"])), (), tmp_path)
    left = {path.stem for path in (tmp_path / "tables").iterdir()}
    assert left == {"agents", "scores", "gaps", "table_14", "table_5", "failures", "runs", "steps", "mine"}
    assert not list((tmp_path / "plots").iterdir())


def test_the_headline_names_every_agent_and_control(written):
    summed, found, *_ = written
    told = "\n".join(report.headline(summed, found))
    for agent in ("greedy-opus", "one_shot-opus"):
        assert f"{agent} against greedy-control.random: no claim" in told


def test_without_a_control_the_page_says_what_is_missing(tmp_path):
    study_runs.write(tmp_path, [Node(0.4, 0.4)])
    summed = summary.summarise(studies.study([tmp_path]))
    assert "No control ran here" in report.headline(summed, ())[0]
    assert not next(table for table in tables.of(summed, ()) if table.name == "comparisons").rows


def test_a_difference_in_valid_runs_is_told_where_no_run_of_the_agent_was_valid(tmp_path):
    study_runs.write(tmp_path, [Node(None)], task=LOSS)
    study_runs.write(tmp_path, [Node(3.0, 3.1)], task=LOSS, agent="greedy-control.random", backend="control.random")
    summed = summary.summarise(studies.study([tmp_path]))
    (told,) = report.headline(summed, contrasts.contrasts(summed))
    assert "-1.0000 in valid runs" in told


@pytest.mark.parametrize("score, claim", [(0.5, "beyond"), (0.3, "worse"), (0.4, "within")])
def test_the_headline_is_green_only_where_a_difference_is_shown(tmp_path, score, claim):
    for seed in range(10):
        study_runs.write(tmp_path, [Node(score, score)], seed=seed)
        study_runs.write(tmp_path, [Node(0.4, 0.4)], seed=seed, agent="greedy-control.random", backend="control.random")
    summed = summary.summarise(studies.study([tmp_path]))
    page = report.render(summed, contrasts.contrasts(summed), tables.of(summed, ()), {})
    assert f'class="headline {claim}"' in page


def test_agents_on_different_tasks_are_not_comparable_by_their_means(tmp_path):
    study_runs.write(tmp_path, [Node(0.4, 0.4)])
    study_runs.write(tmp_path, [Node(0.4, 0.4)], agent="elsewhere", task=CONFIGURABLE)
    summed = summary.summarise(studies.study([tmp_path]))
    assert "Agents ran different tasks" in tables.agents(summed).note


def test_the_ends_of_the_scale_stand_beside_every_normalised_score(tmp_path):
    for seed, score in enumerate((0.3, 0.5)):
        study_runs.write(tmp_path, [Node(score, score)], seed=seed)
    (row,) = tables.normalised(summary.summarise(studies.study([tmp_path]))).to_json()
    assert (row["worst"], row["worst_observed"], row["sota"], row["sota_literature"]) == (0.10, 0.3, 0.6379, 0.6314)


def test_long_tables_are_folded(written, monkeypatch):
    summed, found, *_ = written
    shown = [table for table in tables.of(summed, found) if table.name in ("agents", "scores", "runs")]
    monkeypatch.setattr(report, "FOLD", 3)
    assert "<summary>Scores per agent and task: 5 rows</summary>" in (page := report.render(summed, found, shown, {}))
    assert "<summary>Agents:" not in page


TABLE = Table(
    "t",
    "Title",
    "A note.",
    (Column("who", "who"), Column("score", "score", Form.ESTIMATE), Column("cost", "cost", Form.USD)),
    (("=a|b<", Estimate(0.12345, 0.1, 0.2, 9), None), ("c", None, 1.5)),
)


def test_one_table_in_three_forms():
    assert list(csv.reader(io.StringIO(TABLE.to_csv()))) == [
        ["who", "score", "score_low", "score_high", "score_n", "cost"],
        ["'=a|b<", "0.12345", "0.1", "0.2", "9", ""],
        ["c", "", "", "", "", "1.5"],
    ]
    assert TABLE.to_markdown().splitlines()[4:] == [
        "| who | score | cost |",
        "|---|---:|---:|",
        r"| =a\|b&lt; | 0.123 [0.100, 0.200] | unpriced |",
        "| c | – | $1.50 |",
    ]
    assert TABLE.to_json()[0] == {
        "who": "=a|b<", "score": {"value": 0.12345, "low": 0.1, "high": 0.2, "n": 9}, "cost": None,
    }  # fmt: skip


def test_columns_of_which_nothing_is_known_are_not_shown():
    table = dataclasses.replace(TABLE, rows=(("a", None, 1.5), (None, None, None)))
    assert [column.name for column in table.filled().columns] == ["who", "cost"]
    assert table.filled().rows == (("a", 1.5), (None, None))


def test_a_column_takes_its_value_from_the_item_by_name_or_by_its_function():
    columns = (Column("real part", "real"), Column("twice", "twice", Form.NUMBER, lambda number: 2 * number))
    assert Table.of("t", "", "", columns, [1, 3]).rows == ((1, 2), (3, 6))


def test_the_last_line_is_one_json_object(runs, one_plot, tmp_path, capsys):
    words.tell([runs], tmp_path, as_json=True, pair=["greedy-opus", "one_shot-opus"])
    told = capsys.readouterr()
    last = json.loads(told.out.splitlines()[-1])
    assert last["report"] == str(tmp_path / "report.html")
    assert {row["b"] for row in last["tables"]["comparisons"]} == {"greedy-control.random", "one_shot-opus"}
    ends = {row["agent"]: [row["ns"]["low"], row["ns"]["high"]] for row in last["tables"]["agents"]}
    assert last["normalised_score_ci"] == ends
    assert last["vsr_ci"]["one_shot-opus"] == [0, pytest.approx(0.5615, abs=1e-4)]  # none of three
    assert last["generalisation_gap"]["greedy-opus"][LISTOPS] == pytest.approx(0.01)
    assert last["generalisation_gap"]["one_shot-opus"] == {LISTOPS: None}
    assert "left out" in told.err
    assert "seed_9" in told.err
    assert "note: profile smoke" in told.err


@pytest.mark.parametrize(
    "options, message",
    [
        ({"pair": ["one"]}, "--compare takes two agents"),
        ({"runs": []}, "--runs is empty"),
        ({"runs": [""]}, "--runs is empty"),
        ({"out": ""}, "--out is empty"),
        ({"incomplete": "leaveout"}, 'did you mean "leave_out"'),
        ({"task": "LongContextReasoningLRATextAccuracy"}, "unknown task"),
        ({"pair": ["greedy-opus", "greedy-control.randm"]}, 'did you mean "greedy-control.random"'),
    ],
)
def test_bad_input_says_how_to_mend_it(runs, tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        words.tell(**({"runs": [runs], "out": tmp_path / "out"} | options))
    assert not (tmp_path / "out").exists()


def test_a_report_that_cannot_be_written_names_the_folder(runs, tmp_path):
    (tmp_path / "out").write_text("a file")
    with pytest.raises(ValueError, match=r"out\S*: .*choose another folder"):
        words.tell([runs], tmp_path / "out")


def test_the_script_ends_bad_input_with_exit_2_and_reading_imports_no_jax(tmp_path):
    run = "import atexit, runpy, sys; atexit.register(lambda: print('jax' in sys.modules)); "
    run += "runpy.run_path(sys.argv[0], run_name='__main__')"
    script = ROOT / "scripts" / "statistics.py"
    run = f"import sys; sys.argv = [{str(script)!r}, '--runs={tmp_path}', '--out={tmp_path / 'out'}']; {run}"
    told = subprocess.run([sys.executable, "-c", run], capture_output=True, text=True, cwd=ROOT, check=False)
    assert told.returncode == 2
    assert "holds no run" in told.stderr
    assert "Traceback" not in told.stderr
    assert told.stdout.strip() == "False"


def test_other_scripts_still_find_pythons_own_module_of_the_same_name():
    check = "import statistics; print(statistics.fmean([1, 3]), statistics.__file__)"
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "scripts")}
    command = [sys.executable, "-c", check]
    told = subprocess.run(command, env=environment, capture_output=True, text=True, cwd="/", check=True).stdout
    assert told.startswith("2.0 ")
    assert str(ROOT) not in told


@pytest.mark.slow
@pytest.mark.parametrize("name", ["stats.py", "statistics.py"])
def test_the_script_writes_a_report_by_both_of_its_names(name, runs, task_folders, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [name, f"--runs={runs}", f"--out={tmp_path}", "--json"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(ROOT / "scripts" / name), run_name="__main__")
    assert not ended.value.code
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["runs"] == 15


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason="no chromium or google-chrome on the PATH")
def test_a_browser_opens_the_page_without_a_complaint(written, tmp_path):
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--dump-dom"]
    command = [BROWSER, *flags, f"--user-data-dir={tmp_path}", written[3].report.as_uri()]
    told = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert "Refused to" not in told.stderr
    assert "CONSOLE" not in told.stderr
    assert "</table>" in told.stdout


def test_the_median_of_runs_begins_with_half_of_them_and_never_gets_worse():
    curves = [{1: 0.5, 2: 0.6}, {3: 0.2, 4: 0.3}, {}]
    assert figures.median_so_far(curves, worst=-float("inf")) == {3: 0.2, 4: 0.3}
    losses = [{1: 3.0}, {2: 4.0}, {2: 2.0}]
    assert figures.median_so_far(losses, worst=float("inf")) == {2: 3.0}
    assert figures.median_so_far(losses[1:], worst=float("inf")) == {2: 4.0}
    assert figures.median_so_far([{}], worst=float("inf")) == {}
