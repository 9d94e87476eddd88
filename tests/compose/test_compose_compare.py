"""The paired comparison: equal seeds, equal numbers of unique evaluations, and no claim from fewer than ten pairs."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import run_logs
from run_logs import MAD2
from scipy import stats

from aira_jax.compose import compare, measuring
from aira_jax.patterns import parse
from aira_jax.runs import collect, confirm

ROOT = Path(__file__).parents[2]


def steps(values, heads=None):
    """Steps with distinct patterns and these validation scores."""
    heads = heads or range(1, 1 + len(values))
    return [("A" * h + "M" * (16 - h), value) for h, value in zip(heads, values, strict=True)]


def arms(tmp_path, runs_a, runs_b, **options):
    """Two collected arms; `runs_*` maps seeds to steps."""
    found = []
    for agent, runs in (("a", runs_a), ("b", runs_b)):
        for seed, log in runs.items():
            run_logs.write(tmp_path, log, agent=agent, seed=seed, submitted=0, **options)
        found.append(collect.collect([tmp_path / MAD2 / agent]))
    return found


def test_curves_area_and_differences_of_a_pair(tmp_path):
    a = steps([0.1, 0.4, 0.3, 0.6])
    b = steps([0.2, 0.2, 0.5, 0.5], [1, 5, 6, 7])
    found = compare.compare(*arms(tmp_path, {0: a}, {0: b}))
    (pair,) = found.pairs
    assert (pair.curve_a, pair.curve_b) == ((0.1, 0.4, 0.4, 0.6), (0.2, 0.2, 0.5, 0.5))
    assert (pair.auc_a, pair.auc_b, pair.shared) == (pytest.approx(0.375), pytest.approx(0.35), 1)
    best, area = found.differences
    assert (best.mean, area.mean) == (pytest.approx(0.1), pytest.approx(0.025))
    assert best.verdict == "No claim: 1 pairs, at least 10 are needed."
    assert (best.low, best.p) == (None, None)
    assert found.provenance["preset"] == ("smoke",)
    assert (found.provenance["data seeds"], found.provenance["unique evaluations"]) == (("12345",), ("1",))
    assert found.to_text().endswith("code 1")


def test_repeated_patterns_do_not_count_and_the_longer_run_is_cut(tmp_path):
    a = [*steps([0.1, 0.2]), *steps([0.1]), *steps([0.9], [9])]
    b = steps([0.3, 0.2])
    (pair,) = compare.compare(*arms(tmp_path, {0: a}, {0: b})).pairs
    assert pair.evaluations == 2
    assert pair.curve_a == (0.1, 0.2)


def test_positive_differences_favour_a_also_where_lower_is_better(tmp_path):
    found = compare.compare(*arms(tmp_path, {0: steps([2.0, 1.0])}, {0: steps([1.5, 1.2])}, lower_is_better=True))
    assert found.differences[0].mean == pytest.approx(0.2)
    assert found.pairs[0].curve_a == (2.0, 1.0)


def test_test_scores_of_the_submissions_are_compared_where_both_have_one(tmp_path):
    def log(test):
        return [("A" + "M" * 15, 0.5, {0: test})]

    found = compare.compare(*arms(tmp_path, {0: log(0.8), 1: log(0.7)}, {0: log(0.5), 1: log(None)}))
    assert found.differences[2].what == "test score of the submission"
    assert found.differences[2].differences == (pytest.approx(0.3),)


def test_patterns_on_the_way_to_full_length_count_as_evaluations_and_have_no_score(tmp_path):
    grown = [("4A", 0.9), ("A-3M", 0.8), ("4A-12M", 0.5), ("3A-13M", 0.6)]
    a, b = arms(tmp_path, {0: grown}, {0: steps([0.3, 0.2, 0.7, 0.1, 0.9])})
    found = compare.compare(a, b)
    (pair,) = found.pairs
    assert (pair.evaluations, pair.curve_a, pair.curve_b) == (4, (None, None, 0.5, 0.6), (0.3, 0.3, 0.7, 0.7))
    assert pair.auc_a == pytest.approx(0.55)
    assert any("2 steps tried fewer than 16 layers" in note for note in found.notes)
    assert "evaluator seconds: A 8, B 10" in found.to_text()
    assert [c.pattern for c in confirm.confirm(a.rows, lambda p, seed: 0.5, seeds=1)] == ["3A-13M", "4A-12M"]
    a, b = arms(tmp_path / "unfinished", {0: grown[:2]}, {0: [("4A", 0.1)]})
    assert compare.compare(a, b).differences[0].mean == pytest.approx(0.8)
    with pytest.raises(ValueError, match="no good pattern of full length among its first 2 evaluations"):
        compare.compare(a, arms(tmp_path / "whole", {0: steps([0.1])}, {0: steps([0.3, 0.2])})[1])


def many(gain, noise, seed=0, pairs=12):
    rng = np.random.default_rng(seed)
    base = {k: float(rng.normal(0.5, 0.1)) for k in range(pairs)}
    a = {k: steps([base[k] + gain + float(rng.normal(0, noise))]) for k in base}
    return a, {k: steps([value]) for k, value in base.items()}


def test_ten_pairs_and_a_clear_difference_make_a_claim(tmp_path):
    found = compare.compare(*arms(tmp_path, *many(0.05, 0.01)))
    best = found.differences[0]
    assert best.verdict == "A is better."
    assert best.low < best.mean < best.high
    assert best.p == pytest.approx(stats.wilcoxon(best.differences).pvalue)


def test_the_weaker_arm_is_named_and_noise_is_no_claim(tmp_path):
    assert compare.compare(*arms(tmp_path / "1", *many(-0.05, 0.01))).differences[0].verdict == "B is better."
    found = compare.compare(*arms(tmp_path / "2", *many(0.0, 0.05)))
    assert found.differences[0].verdict == "No difference shown."
    same = compare.compare(*arms(tmp_path / "3", *many(0.0, 0.0)))
    assert (same.differences[0].p, same.differences[0].verdict) == (1.0, "No difference shown.")


def test_the_interval_over_pairs_is_students_and_two_pairs_have_none():
    found = compare.difference("score", [0.1, 0.2, 0.6])
    assert (found.low, found.high) == pytest.approx(stats.t(2, 0.3, stats.sem([0.1, 0.2, 0.6])).interval(0.95))
    assert compare.difference("score", [0.1, 0.2]).low is None


def test_runs_without_a_partner_are_listed_and_left_out(tmp_path):
    found = compare.compare(*arms(tmp_path, {0: steps([0.5]), 1: steps([0.5])}, {0: steps([0.4]), 7: steps([0.4])}))
    assert [(p.seed) for p in found.pairs] == [0]
    assert found.unpaired == (("A", MAD2, 1), ("B", MAD2, 7))
    assert any("2 runs without a partner" in note for note in found.notes)


def test_what_cannot_be_compared_is_refused(tmp_path):
    a, b = arms(tmp_path / "1", {0: steps([0.5])}, {1: steps([0.4])})
    with pytest.raises(ValueError, match="run both arms with the same seeds"):
        compare.compare(a, b)
    with pytest.raises(ValueError, match=r"arm A holds several agents \(a, b\)"):
        compare.compare(collect.collect([tmp_path / "1"]), b)
    run_logs.write(tmp_path / "2", steps([0.5]), agent="c", profile="cpu-s")
    with pytest.raises(ValueError, match="mixed presets"):
        compare.compare(a, collect.collect([tmp_path / "2"]))
    run_logs.write(tmp_path / "5", steps([0.5]), agent="c", eval_seeds=3)
    with pytest.raises(ValueError, match=r"mixed numbers of evaluator seeds \(config.eval.seeds\)"):
        compare.compare(a, collect.collect([tmp_path / "5"]))
    run_logs.write(tmp_path / "3" / "x", steps([0.5]), agent="a")
    run_logs.write(tmp_path / "3" / "y", steps([0.5]), agent="a")
    with pytest.raises(ValueError, match="arm A holds several runs"):
        compare.compare(collect.collect([tmp_path / "3"]), b)
    run_logs.write(tmp_path / "4", [(None, None)], agent="a")
    with pytest.raises(ValueError, match="arm A has no evaluated pattern"):
        compare.compare(collect.collect([tmp_path / "4"]), b)


def test_the_best_are_evaluated_again_with_fresh_seeds(tmp_path):
    arm, _ = arms(tmp_path, {0: [*steps([0.9, 0.5, 0.7]), *steps([0.9])], 1: steps([0.8], [9])}, {0: steps([0.1])})
    asked = []

    def evaluate(pattern, seed):
        asked.append((pattern, seed))
        return 0.1 * len(pattern.runs()) + 0.01 * (seed % 2) + 0.001 * pattern.counts()["A"]

    found = confirm.confirm(arm.rows, evaluate, top=3, seeds=2)
    assert {c.pattern for c in found} == {"A-15M", "9A-7M", "3A-13M"}
    assert [c.mean for c in found] == sorted((c.mean for c in found), reverse=True)
    assert {seed for _, seed in asked} == {confirm.FRESH, confirm.FRESH + 1}
    assert (found[0].pattern, found[0].validation) == ("9A-7M", 0.8)


def test_a_re_evaluation_uses_the_preset_and_proxy_of_the_run(tmp_path, monkeypatch):
    run_logs.write(tmp_path, steps([0.5]), width_scaling=True)
    (row,) = collect.collect([tmp_path]).rows
    calls = []

    def measure(pattern, preset, **options):
        calls.append((preset, options))
        return measuring.Scored(pattern, preset, 0.25, 1.0, "ok", True)

    monkeypatch.setattr(measuring, "measure", measure)
    assert confirm.evaluator(row)(parse("16A"), 7) == 0.25
    ((preset, options),) = calls
    assert preset == "smoke"
    assert (options["proxy"], options["width_scaling"], options["data_seed"], options["eval_seed"]) == (
        "mad",
        True,
        7,
        7,
    )


def test_the_script_prints_json(tmp_path):
    arms(tmp_path, *many(0.05, 0.01, pairs=3))
    command = [sys.executable, ROOT / "scripts" / "compare.py", f"--runs_a={tmp_path / MAD2 / 'a'}"]
    done = subprocess.run([*command, f"--runs_b={tmp_path / MAD2 / 'b'}", "--json"], capture_output=True, text=True)
    told = run_logs.printed(done.stdout)
    assert (len(told["pairs"]), told["arm_a"], told["confirmed"]) == (3, "a", None)
    assert told["differences"][0]["verdict"].startswith("No claim: 3 pairs")


def test_arms_that_share_all_evaluations_are_not_compared(tmp_path):
    found = compare.compare(*arms(tmp_path, {0: steps([0.5, 0.6])}, {0: steps([0.5, 0.6])}))
    assert "all evaluations are shared" in found.notes[0]
