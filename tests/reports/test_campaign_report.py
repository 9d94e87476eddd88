"""The way from runs to models, and its report: every stage, few runs, bad input, one inert file."""

import html.parser
import json
import shutil
import subprocess
import sys
from pathlib import Path

import campaign_runs
import pytest

from aira_jax.compose import election, flops, pipeline
from aira_jax.compose.election import ElectionOptions
from aira_jax.compose.extrapolate import Method
from aira_jax.patterns import parse
from aira_jax.reports.campaign import report, view, words
from aira_jax.runs import collect

ROOT = Path(__file__).parents[2]
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


def follow(folder, **options):
    return pipeline.follow(collect.collect([folder]), ElectionOptions(), **options)


@pytest.fixture(scope="module")
def few(tmp_path_factory):
    return campaign_runs.write(tmp_path_factory.mktemp("few"), patterns=12)


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    folder = tmp_path_factory.mktemp("many")
    for seed in range(3):
        campaign_runs.write(folder, patterns=30, seed=seed, space=3)
    return folder


@pytest.fixture(scope="module")
def written(many, tmp_path_factory):
    found = follow(many)
    return found, report.write(found, tmp_path_factory.mktemp("out"))


@pytest.mark.parametrize(
    "scores, clusters, why",
    [
        ([9, 9, 9, 9, 9, 5, 5, 5, 1], 3, "as in the paper"),
        ([9, 9, 9, 8, 8, 1, 1], 2, "the best of 3 would hold fewer than 5"),
        ([9, 5, 1], 1, "all vote, because the best of 2 clusters"),
        ([9, 9, 9, 9, 9, 9], 1, "all vote"),
    ],
)
def test_the_best_cluster_holds_at_least_five_patterns_or_all_vote(tmp_path, scores, clusters, why):
    campaign_runs.write(tmp_path, fixed=[f"{n}A-{16 - n}M" for n in range(1, len(scores) + 1)], scores=scores)
    found = follow(tmp_path)
    assert found.clusters == clusters
    assert sum(found.groups[0].clusters) == found.base.patterns
    assert why in "\n".join(words.elected(found))


def test_many_patterns_make_three_clusters_and_the_best_of_them_votes(many):
    found = follow(many)
    (group,) = found.groups
    assert (found.clusters, len(group.clusters)) == (3, 3)
    voters = {v.pattern.canonical() for v in found.base.result.members}
    assert voters == {e.pattern for e in group.entries[: group.clusters[0]]}
    last = sum(group.clusters) - 1
    assert [group.cluster(i) for i in (0, group.clusters[0] - 1, group.clusters[0], last)] == [0, 0, 1, 2]


def test_clusters_that_were_asked_for_are_never_replaced(few):
    with pytest.raises(ValueError, match="99 clusters need 99 distinct scores"):
        follow(few, clusters=99)
    assert follow(few, clusters=1).clusters == 1


def test_runs_of_two_presets_are_refused_with_the_flag_that_mends_it(tmp_path):
    for seed, profile in enumerate(("smoke", "cpu-s")):
        campaign_runs.write(tmp_path, patterns=12, seed=seed, profile=profile)
    with pytest.raises(ValueError, match=r"mixed presets(.|\n)*--profile=cpu-s or smoke"):
        follow(tmp_path)
    found = pipeline.follow(collect.collect([tmp_path]), ElectionOptions(preset="cpu-s"))
    assert {row.preset for row in found.rows} == {"cpu-s"}


@pytest.mark.parametrize(
    "base, method",
    [("2A-4M", Method.STACK), ("8A-8M", Method.STACK), ("2A-5M-2A-3M-A-3M", Method.STRETCH), ("A-M-A", Method.STACK)],
)
def test_short_bases_are_stacked_and_long_ones_stretched(base, method):
    assert pipeline.suggested(parse(base)) is method


def test_where_one_method_misses_its_target_the_other_is_chosen(tmp_path):
    campaign_runs.write(tmp_path, fixed=["5(Mb-M-A)-Mb"], space=3)
    at = {(s.scale, s.method): s for s in follow(tmp_path).scaled}
    assert at["1B", Method.STRETCH].fit.deviation > 0.3
    assert at["1B", Method.STACK].chosen
    assert at["3B", Method.STRETCH].chosen
    assert abs(at["350M", Method.STACK].fit.deviation) > 0.1
    assert at["350M", Method.STACK].chosen
    assert {s.method for s in follow(tmp_path, method=Method.STRETCH).scaled if s.chosen} == {Method.STRETCH}


def test_a_scale_that_no_method_reaches_is_told_and_not_raised(tmp_path):
    campaign_runs.write(tmp_path, fixed=["16M"], space=3)
    found = follow(tmp_path, method=Method.STACK)
    assert found.chosen("350M").fit is None
    assert "not reached: the target of 350M, 350,000,000 parameters, is less" in "\n".join(words.scaled(found))
    assert "less than one copy" in report.render(found)


def test_the_nearest_published_base_is_found(tmp_path):
    campaign_runs.write(tmp_path, fixed=["5(2A-M)-M"])
    near = follow(tmp_path).nearest
    assert (near.name, near.distance) == ("AIRAformer-D", 1)


def test_heat_maps_are_shares_of_patterns_by_layer(tmp_path):
    campaign_runs.write(tmp_path, fixed=["A-15M", "2A-14M", "16M"])
    everything, voters = view.heats(follow(tmp_path, clusters=1))
    shares = dict(everything.rows)
    assert shares["A"][:3] == pytest.approx((2 / 3, 1 / 3, 0))
    assert shares["M"][2] == 1
    assert voters.layers == 16


def test_the_json_holds_what_the_flops_module_counts(written):
    found, path = written
    told = json.loads((path.parent / report.NUMBERS).read_text())
    chosen = next(s for s in told["scales"] if s["scale"] == "1B" and s["chosen"])
    steps = flops.training_steps(chosen["pattern"], scale="1B", space=3)
    assert chosen["steps"]["2e19"] == steps
    assert told["base"]["pattern"] == found.pattern.canonical()


def test_every_plot_is_a_png_and_an_svg(written):
    plots = written[1].parent / report.PLOTS
    names = {path.stem for path in plots.iterdir()}
    assert names == {"heat_map", "clusters", "progress", "steps"}
    for name in names:
        assert (plots / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        assert "<svg" in (plots / f"{name}.svg").read_text()


def test_every_task_votes_with_a_cluster_of_its_own(tmp_path):
    for task in ("NeuralArchitectureSearchMAD2PrimitivesAccuracy", "NeuralArchitectureSearchDCLM2PrimitivesLoss"):
        campaign_runs.write(tmp_path, patterns=30, task=task, lower_is_better=task.endswith("Loss"))
    found = follow(tmp_path)
    views = {task.task: task for task in view.tasks(found)}
    assert len(views) == 2
    firsts = [[row.score for row in view.best] for view in views.values()]
    assert firsts[0] == sorted(firsts[0])  # the loss of DCLM: the lowest first
    assert firsts[1] == sorted(firsts[1], reverse=True)
    assert len(found.base.result.members) == sum(group.clusters[0] for group in found.groups)
    targets = [row.target for view in views.values() for row in view.best]
    assert len(set(targets)) == len(targets)


class Page(html.parser.HTMLParser):
    """Elements, ids and links, and whether tags nest."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.stack, self.ids, self.links, self.errors = set(), [], set(), [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        named = dict(attributes)
        self.tags.add(tag)
        self.ids.add(named.get("id"))
        self.links += [named["href"]] if tag == "a" else []
        if tag not in ("meta", "link", "br"):
            self.stack.append(tag)

    def handle_endtag(self, tag):
        if not self.stack or self.stack.pop() != tag:
            self.errors.append((tag, self.getpos()))


def test_the_report_is_one_well_formed_file_without_scripts(written):
    text = written[1].read_text()
    page = Page(text)
    assert (page.errors, page.stack) == ([], [])
    assert not page.tags & {"script", "img", "iframe", "object"}
    assert "http" not in text.replace("http-equiv", "")
    assert {link.removeprefix("#") for link in page.links if "node" not in link} <= page.ids
    assert written[0].pattern.pretty() in text


def test_the_same_runs_give_the_same_report(written):
    assert report.render(written[0]) == written[1].read_text()


def test_text_of_runs_is_escaped(tmp_path):
    campaign_runs.write(tmp_path, patterns=3, agent="<script>alert(1)<")
    text = report.render(follow(tmp_path))
    assert "<script" not in text
    assert "&lt;script&gt;alert(1)" in text


def test_a_report_that_cannot_be_written_names_the_folder(few, tmp_path):
    (tmp_path / "out").write_text("a file")
    with pytest.raises(ValueError, match=r"out\S*: .*choose another folder"):
        report.write(follow(few), tmp_path / "out")


def script(*arguments):
    command = [sys.executable, ROOT / "scripts" / "campaign.py", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)


def test_the_script_prints_every_stage_and_does_not_import_jax(few, tmp_path):
    told = script(f"--runs={few}", f"--out={tmp_path / 'out'}")
    assert told.returncode == 0, told.stderr
    stages = [line.split()[1] for line in told.stdout.splitlines() if line[:1].isdigit()]
    assert [stages[0], *stages[1:3], stages[-1]] == ["collect", "rank", "aggregate", "report"]
    assert "steps for 2e19 FLOPs" in told.stdout
    assert (tmp_path / "out" / "report.html").is_file()
    check = "import sys, aira_jax.reports.campaign.report; sys.exit('jax' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check], cwd=ROOT, check=False).returncode == 0


@pytest.mark.parametrize(
    "flag, message",
    [("--extrapolate=strech", 'did you mean "stretch"'), ("--profile=cpu", "unknown preset")],
)
def test_bad_input_ends_with_exit_2(few, tmp_path, flag, message):
    told = script(f"--runs={few}", f"--out={tmp_path}", flag)
    assert told.returncode == 2
    assert message in told.stderr
    assert "Traceback" not in told.stderr


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason="no chromium or google-chrome on the PATH")
def test_a_browser_opens_the_report_without_a_complaint(written, tmp_path):
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--dump-dom"]
    command = [BROWSER, *flags, f"--user-data-dir={tmp_path}", written[1].as_uri()]
    told = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert "Refused to" not in told.stderr
    assert "CONSOLE" not in told.stderr
    assert 'class="heat"' in told.stdout


@pytest.mark.parametrize("patterns", [4, 9, 40])
def test_the_aggregation_and_the_campaign_elect_the_same_base_from_the_same_runs(tmp_path, patterns):
    campaign_runs.write(tmp_path, patterns=patterns)
    elected = election.base_pattern(collect.collect([tmp_path]))
    assert elected.result == follow(tmp_path).base.result
