"""Successive halving: who goes on, what the ranks of two presets have in common, and that presets are never mixed."""

import itertools
import json
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import run_logs
from scipy import stats

from aira_jax.compose import aggregate, measuring, rows, voters
from aira_jax.compose.measuring import Scored
from aira_jax.patterns import parse
from aira_jax.runs import collect, halving

ROOT = Path(__file__).parents[2]
PATTERNS = [parse("A" * n + "M" * (30 - n)) for n in range(1, 28)]
ASKED: list = []


def scorer(table):
    """`table[preset](number of A)` is the score of a pattern; notes who was asked."""
    ASKED.clear()

    def score(pattern, preset):
        ASKED.append((pattern, preset))
        return Scored(pattern, preset, float(table[preset](pattern.counts()["A"])), 1.0, "ok", False)

    return score


def test_a_third_goes_on_at_every_rung():
    table = {"cheap": lambda n: n, "middle": lambda n: -n, "dear": lambda n: n}
    done = halving.halve(PATTERNS, ["cheap", "middle", "dear"], scorer(table))
    assert [(len(r.ranked), r.kept) for r in done.rungs] == [(27, 9), (9, 3), (3, 3)]
    assert [s.pattern.counts()["A"] for s in done.rungs[1].ranked[:3]] == [19, 20, 21]
    assert done.winner.pattern.counts()["A"] == 21
    assert len(ASKED) == 39


def test_ties_at_the_border_are_kept_and_equal_patterns_count_once():
    table = {"cheap": lambda n: n // 5, "dear": lambda n: n}
    done = halving.halve([*PATTERNS[:9], *PATTERNS[:9]], ["cheap", "dear"], scorer(table))
    assert (len(done.rungs[0].ranked), done.rungs[0].kept) == (9, 5)


def test_lower_scores_go_on_where_lower_is_better():
    done = halving.halve(PATTERNS, ["cheap", "dear"], scorer({"cheap": float, "dear": float}), lower_is_better=True)
    assert done.winner.pattern.counts()["A"] == 1
    assert done.agreements[0].spearman.value == 1.0


def test_the_agreement_is_that_of_scipy():
    rng = np.random.default_rng(0)
    noise = {n: float(rng.normal(0, 4)) for n in range(1, 28)}
    done = halving.halve(
        PATTERNS[:12], ["smoke", "cpu-s"], scorer({"smoke": lambda n: n, "cpu-s": lambda n: n + noise[n]}), eta=1
    )
    (found,) = done.agreements
    a, b = list(range(1, 13)), [n + noise[n] for n in range(1, 13)]
    assert (found.patterns, found.k) == (12, 5)
    assert found.spearman.value == pytest.approx(stats.spearmanr(a, b).statistic)
    assert found.kendall.value == pytest.approx(stats.kendalltau(a, b).statistic)
    assert found.spearman.low <= found.spearman.value <= found.spearman.high
    assert "Spearman" in done.to_text()
    assert "Kendall" in done.to_text()


def test_the_overlap_counts_the_best_at_both_presets():
    table = {"cheap": lambda n: n, "dear": lambda n: n if n > 2 else 100 + n}
    (found,) = halving.halve(PATTERNS[:10], ["cheap", "dear"], scorer(table), eta=1, k=4).agreements
    assert found.top_overlap.value == 0.5


@pytest.mark.parametrize("n, note", [(7, "too few to tell"), (8, ""), (11, ""), (12, "warning: cheap is a poor guide")])
def test_few_patterns_say_nothing_and_a_poor_guide_is_warned_of(n, note):
    table = {"cheap": lambda n: n, "dear": lambda n: -n}
    (found,) = halving.halve(PATTERNS[:n], ["cheap", "dear"], scorer(table), eta=1).agreements
    assert note in found.note
    assert bool(note) or not found.note
    assert (found.spearman is None) == (n < 8)


def test_failed_and_constant_scores_stay_plain_json():
    table = {"cheap": lambda n: math.inf if n == 3 else n, "dear": lambda n: 0}
    done = halving.halve(PATTERNS[:12], ["cheap", "dear"], scorer(table), eta=1, lower_is_better=True)
    told = json.loads(json.dumps(done.to_json(), allow_nan=False))
    assert told["agreements"][0]["spearman"] is None
    assert "all patterns alike" in told["agreements"][0]["note"]
    assert told["rungs"][0]["ranked"][-1]["score"] is None
    assert told["provenance"] == {}


@pytest.mark.parametrize(
    "patterns, rungs, eta, message",
    [([], ["a"], 3, "no pattern"), (PATTERNS, [], 3, "name every preset once"), (PATTERNS, ["a", "a"], 3, "once"),
     (PATTERNS, ["a"], 0.5, "eta=0.5"), (PATTERNS, ["a"], math.nan, "eta=nan")],
)  # fmt: skip
def test_bad_input_names_the_mend(patterns, rungs, eta, message):
    with pytest.raises(ValueError, match=message):
        halving.halve(patterns, rungs, scorer({}), eta=eta)


def test_presets_are_never_mixed_in_one_ranking():
    with pytest.raises(ValueError, match="mixed presets"):
        voters.rank(PATTERNS[:2], [0.1, 0.2], presets=["smoke", "cpu-s"])
    with pytest.raises(ValueError, match="mixed presets"):
        aggregate.aggregate(PATTERNS[:2], [0.1, 0.2], clusters=None, presets=["smoke", "cpu-s"])


def test_a_table_begins_with_its_best_patterns_of_one_task(tmp_path):
    run_logs.write(tmp_path, [("4A-12M", 0.5), ("A-3M", 0.9), ("5A-11M", 0.7), ("6A-10M", 0.6)])
    rows = collect.collect([tmp_path]).rows
    found = halving.beginners(rows, proxy="mad", top=2)
    assert [p.canonical() for p in found] == ["5A-11M", "6A-10M"]
    run_logs.write(tmp_path, [("4Mb-12M", 0.5)], task=run_logs.MAD3)
    rows = collect.collect([tmp_path]).rows
    assert halving.beginners(rows, proxy="mad", task=run_logs.MAD3, top=2) == [parse("4Mb-12M")]
    for options, message in (
        ({"proxy": "mad"}, "must give one task of the proxy mad, it holds .*MAD2.*, .*MAD3.*: choose with --task"),
        ({"proxy": "dclm"}, "one task of the proxy dclm, it holds .*MAD2"),
        ({"proxy": "mad", "task": "MAD2"}, "unknown task of the proxy mad in this table 'MAD2'"),
    ):
        with pytest.raises(ValueError, match=message):
            halving.beginners(rows, top=2, **options)


def test_a_table_that_is_not_there_or_cannot_be_written_is_named(tmp_path):
    with pytest.raises(ValueError, match="nothing: No such file"):
        rows.read_table(tmp_path / "nothing")
    with pytest.raises(ValueError, match="Is a directory: choose another place"):
        rows.write_table([], tmp_path)


@pytest.mark.parametrize(
    "task, proxy",
    [
        ("NeuralArchitectureSearchMAD3PrimitivesMbAccuracy", "mad"),
        ("NeuralArchitectureSearchBabiStories2PrimitivesLoss", "babistories"),
        ("NeuralArchitectureSearchDCLM2PrimitivesLoss", "dclm"),
    ],
)
def test_a_task_has_its_proxy(task, proxy):
    assert measuring.proxy_of(task) == proxy


def test_unknown_names_are_refused_before_anything_is_trained():
    for flags, message in (
        (["--patterns=5A", "--rungs=cpu-x"], "unknown preset 'cpu-x'"),
        (["--patterns=5A-X"], "unknown symbol 'X'"),
    ):
        done = subprocess.run(
            [sys.executable, ROOT / "scripts" / "halving.py", *flags], capture_output=True, text=True, check=False
        )
        assert (done.returncode, message in done.stderr) == (2, True), done.stderr


@pytest.mark.slow
def test_eight_patterns_at_two_presets_print_both_correlations(tmp_path):
    patterns = ";".join("".join(layers) for layers in itertools.product("AM", repeat=3))
    command = [
        sys.executable,
        ROOT / "scripts" / "halving.py",
        f"--patterns={patterns}",
        "--rungs=smoke,demo",
        "--eta=1",
    ]
    trained = {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"}  # fast to compile, slow to run
    options = {"env": trained, "capture_output": True, "text": True, "check": True}
    first = subprocess.run([*command, f"--cache_dir={tmp_path}"], **options)
    assert "smoke against demo over 8 patterns: Spearman" in first.stdout
    assert ", Kendall" in first.stdout
    again = subprocess.run([*command, f"--cache_dir={tmp_path}", "--json"], **options)
    assert json.loads(again.stdout)["provenance"]["preset"] == ["demo", "smoke"]
    assert all(s["cached"] for rung in json.loads(again.stdout)["rungs"] for s in rung["ranked"])
