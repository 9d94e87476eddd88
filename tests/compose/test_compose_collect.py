"""Collection: every readable run becomes rows, every pattern one entry, and nothing that differs in kind is mixed."""

import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest
import run_logs
from run_logs import MAD2, MAD3

from aira_jax.compose import election, ranking, rows
from aira_jax.compose.election import ElectionOptions
from aira_jax.compose.ranking import Score
from aira_jax.patterns import parse
from aira_jax.runs import collect

ROOT = Path(__file__).parents[2]


def pattern(head):
    """16 layers that begin with `head`."""
    return head + "M" * (16 - len(head))


def test_a_row_tells_where_its_pattern_comes_from_and_what_it_scored(tmp_path):
    run_logs.write(tmp_path, [("8(A-M)", 0.5, {0: 0.4, 1: 0.6}, 0.7)], seed=3, submitted=0)
    (row,) = collect.collect([tmp_path]).rows
    assert (row.pattern, row.given, row.layers, row.space) == ("-".join(["A-M"] * 8), "8(A-M)", 16, 2)
    assert (row.agent, row.seed, row.step, row.proposer, row.scaffold) == ("greedy-opus", 3, 0, "anthropic", "greedy")
    assert (row.validation.value, row.validation.macro, row.validation.sources) == (0.5, 0.25, "1")
    assert [(t.eval_seed, t.value, t.loss) for t in row.tests] == [(0, 0.4, 0.7), (1, 0.6, 0.7)]
    assert row.submitted
    assert row.rationale == "idea 0"


def test_unreadable_runs_are_listed_and_the_others_counted(tmp_path):
    good = run_logs.write(tmp_path, [(pattern("A"), 0.5), (None, None), (pattern("AA"), None)])
    damaged = run_logs.write(tmp_path, [(pattern("A"), 0.5)], seed=1) / "events.jsonl"
    damaged.write_bytes(damaged.read_bytes().replace(b"idea 0", b"idea 1"))
    alien = run_logs.write(tmp_path, [(pattern("A"), 0.5)], seed=2) / "events.jsonl"
    alien.write_bytes(b"")
    run_logs.write(tmp_path, [(pattern("A"), 0.5)], task="NoSuchTask")
    collection = collect.collect([tmp_path])
    assert [(run.path, run.steps, run.rows) for run in collection.runs] == [(str(good), 3, 2)]
    reasons = {Path(run.path).name: run.reason for run in collection.skipped if MAD2 in run.path}
    assert "checksum does not match" in reasons["seed_1"] or "damaged" in reasons["seed_1"]
    assert "no run_start" in reasons["seed_2"]
    assert any("unknown task 'NoSuchTask'" in run.reason for run in collection.skipped)


@pytest.mark.parametrize("made, message", [(False, "is no folder"), (True, "holds no run")])
def test_a_folder_without_runs_is_an_error(tmp_path, made, message):
    if made:
        (tmp_path / "x").mkdir()
    with pytest.raises(ValueError, match=message):
        collect.collect([tmp_path / "x"])


def test_a_run_named_twice_counts_once(tmp_path):
    folder = run_logs.write(tmp_path, [(pattern("A"), 0.5)])
    assert len(collect.collect([tmp_path, tmp_path]).rows) == len(collect.collect([folder]).rows) == 1


def test_a_run_named_in_two_ways_counts_once(tmp_path, monkeypatch):
    folder = run_logs.write(tmp_path / "runs", [(pattern("A"), 0.5)])
    monkeypatch.chdir(tmp_path)
    assert collect.find_runs(["runs", tmp_path / "runs", folder]) == [folder.relative_to(tmp_path)]


def test_a_folder_without_a_name_is_not_the_folder_we_stand_in(tmp_path, monkeypatch):
    run_logs.write(tmp_path / "runs", [(pattern("A"), 0.5)])
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="a folder of runs has no name"):
        collect.collect(["runs", ""])


def test_the_table_reads_back_and_does_not_depend_on_the_order_of_the_runs(tmp_path):
    for seed in range(3):
        run_logs.write(tmp_path / "runs", [(pattern("A" * n), n / 10, {0: n / 9}) for n in range(1, 4)], seed=seed)
    collection = collect.collect([tmp_path / "runs"])
    rows.write_table(collection.rows, tmp_path / "a.jsonl")
    assert rows.read_table(tmp_path / "a.jsonl") == collection.rows
    seeds = [tmp_path / "runs" / MAD2 / "greedy-opus" / f"seed_{seed}" for seed in (2, 0, 1)]
    rows.write_table(collect.collect(seeds).rows, tmp_path / "b.jsonl")
    assert (tmp_path / "a.jsonl").read_bytes() == (tmp_path / "b.jsonl").read_bytes()


def test_a_damaged_table_names_its_line(tmp_path):
    (tmp_path / "t.jsonl").write_text('{"task": "T"}\n')
    with pytest.raises(ValueError, match=r"t\.jsonl line 1 is no row"):
        rows.read_table(tmp_path / "t.jsonl")


def test_equal_patterns_make_one_entry_whose_score_is_the_mean_over_evaluator_seeds(tmp_path):
    run_logs.write(tmp_path, [("8(A-M)", 0.5, {0: 0.2, 1: 0.6}), ("AMAMAMAMAMAMAMAM", 0.5, {0: 0.2})])
    run_logs.write(tmp_path, [("8A-8M", 0.5, {0: 0.3}), ("8(A-M)", 0.5)], agent="greedy-haiku")
    first, second = ranking.entries(collect.collect([tmp_path]).rows)
    assert (first.pattern, first.score, first.evaluations, first.proposals) == ("-".join(["A-M"] * 8), 0.4, 2, 2)
    assert (second.pattern, second.score, second.agents) == ("8A-8M", 0.3, ("greedy-haiku",))


@pytest.mark.parametrize("lower, expected", [(False, ["AAA", "AA", "A", "AAAA"]), (True, ["AAAA", "AA", "A", "AAA"])])
def test_ties_go_to_the_lower_loss_then_to_the_canonical_string(tmp_path, lower, expected):
    steps = [("A", 0.5, 0.9), ("AA", 0.5, 0.8), ("AAA", 0.7, 1.0), ("AAAA", 0.4, 0.1)]
    log = [(pattern(head), value, {0: value}, loss) for head, value, loss in steps]
    run_logs.write(tmp_path, log, lower_is_better=lower)
    found = ranking.entries(collect.collect([tmp_path]).rows)
    canonical = [parse(pattern(head)).canonical() for head in expected]
    assert [entry.pattern for entry in found] == canonical
    (ranked,) = ranking.rankings(found)
    assert [(v.pattern.canonical(), v.rank) for v in ranked.voters] == list(zip(canonical, (1, 2, 3, 4), strict=True))


def test_rows_without_a_valid_test_score_are_not_ranked_by_it(tmp_path):
    run_logs.write(tmp_path, [(pattern("A"), 0.5, {0: None}), (pattern("AA"), 0.5, {0: 0.4}), (pattern("AAA"), 0.9)])
    rows = collect.collect([tmp_path]).rows
    assert [e.pattern for e in ranking.entries(rows)] == ["2A-14M"]
    assert len(ranking.entries(rows, Score.VALIDATION)) == 3


@pytest.mark.parametrize("tested, chosen", [(2, Score.TEST), (1, Score.VALIDATION), (0, Score.VALIDATION)])
def test_auto_ranks_by_test_where_half_of_the_patterns_have_one(tmp_path, tested, chosen):
    steps = [(pattern("A" * n), 0.5, {0: 0.5} if n <= tested else {}) for n in range(1, 5)]
    run_logs.write(tmp_path, steps)
    assert ranking.choose(collect.collect([tmp_path]).rows, Score.AUTO) is chosen


def test_an_agent_report_separates_submitted_from_explored_and_counts_repetitions(tmp_path):
    steps = [(pattern("A"), 0.6, {0: 0.5}), (pattern("AA"), 0.4, {0: 0.7}), (pattern("A"), 0.6), (pattern("AAA"), None)]
    run_logs.write(tmp_path, steps, submitted=0)
    run_logs.write(tmp_path, [(pattern("AA"), 0.4)], agent="control")
    control, opus = ranking.agents(collect.collect([tmp_path]).rows)
    assert opus.best_submitted == {"pattern": "A-15M", "validation": 0.6, "test": 0.5}
    assert opus.best_explored == {"pattern": "2A-14M", "validation": 0.4, "test": 0.7}
    assert (opus.patterns, opus.unique_share, opus.duplicate_rate) == (3, 2 / 3, 0.25)
    assert opus.curves == {"0": (0.6, 0.6, 0.6, 0.6)}
    assert (control.best_submitted, control.unique_share) == (None, 0.0)


def base(folder, **choice):
    return election.base_pattern(collect.collect([folder]), ElectionOptions(**choice))


def test_the_base_pattern_is_the_vote_of_the_top_cluster(tmp_path):
    heads = {"AMAA": 0.9, "AMAM": 0.89, "MMAA": 0.88, "MMMM": 0.2, "MMMA": 0.19, "AAAA": 0.5}
    run_logs.write(tmp_path, [(head * 4, score, {0: score}) for head, score in heads.items()])
    found = base(tmp_path, clusters=3)
    assert found.result.pattern == parse("AMAA" * 4)
    assert (found.score, found.patterns) == (Score.TEST, 6)
    assert len(found.result.members) == 3
    assert {o.pattern for o in found.outcomes} >= {found.result.pattern}


def test_multiplicity_lets_a_pattern_vote_as_often_as_it_was_proposed(tmp_path):
    steps = [("8A-8M", 0.9, {0: 0.9})] * 3 + [("A-15M", 0.8, {0: 0.8}), ("2A-14M", 0.7, {0: 0.7})]
    run_logs.write(tmp_path, steps)
    assert base(tmp_path, clusters=0).result.pattern == parse("2A-14M")
    assert base(tmp_path, clusters=0, multiplicity=True).result.pattern == parse("8A-8M")


def test_two_tasks_count_alike_and_presets_are_never_mixed(tmp_path):
    many = [(pattern("A" * n), n / 20, {0: n / 20}) for n in range(1, 9)]
    run_logs.write(tmp_path, many)
    run_logs.write(tmp_path, many, profile="cpu-s", seed=1)
    with pytest.raises(ValueError, match=r"mixed presets \(8 of cpu-s, 8 of smoke\)(.|\n)*--profile=cpu-s or smoke"):
        base(tmp_path)
    assert base(tmp_path, preset="cpu-s").presets == ("cpu-s",)


def test_scores_of_scaled_widths_are_a_preset_of_their_own(tmp_path):
    run_logs.write(tmp_path, [(pattern("A"), 0.5)])
    run_logs.write(tmp_path, [(pattern("A"), 0.5)], seed=1, width_scaling=True)
    assert {row.preset for row in collect.collect([tmp_path]).rows} == {"smoke", "smoke, width 8 per layer"}
    with pytest.raises(ValueError, match="mixed presets"):
        base(tmp_path)


def test_mixed_spaces_lengths_and_too_few_scores_name_the_mend(tmp_path):
    run_logs.write(tmp_path / "a", [(pattern("A"), 0.5)])
    run_logs.write(tmp_path / "a", [("15A-Mb", 0.6)], task=MAD3)
    with pytest.raises(ValueError, match=r"mixed spaces(.|\n)*--task="):
        base(tmp_path / "a", clusters=0)
    run_logs.write(tmp_path / "b", [(pattern("A"), 0.5), ("A-5M", 0.6)])
    with pytest.raises(ValueError, match=r"layers(.|\n)*--layers=6 or 16"):
        base(tmp_path / "b", clusters=0)
    with pytest.raises(ValueError, match="3 clusters need 3 distinct scores, got 1"):
        base(tmp_path / "b", layers=6, clusters=3)
    with pytest.raises(ValueError, match=r"none of 2 patterns has a test score(.|\n)*score_tests.py"):
        base(tmp_path / "b", score=Score.TEST)
    with pytest.raises(ValueError, match="unknown preset 'cpu'"):
        base(tmp_path / "b", preset="cpu")


def script(name, *arguments):
    return subprocess.run(
        [sys.executable, ROOT / "scripts" / name, *arguments], capture_output=True, text=True, cwd=ROOT, check=False
    )


def test_the_scripts_print_json_and_end_bad_input_with_exit_2(tmp_path):
    heads = {"AMAA": 0.9, "AMAM": 0.89, "MMAA": 0.88, "MMMM": 0.2, "AAAA": 0.5}
    run_logs.write(tmp_path, [(head * 4, score, {0: score}) for head, score in heads.items()])
    run_logs.write(tmp_path, [("x", 0.5)], seed=1) / "events.jsonl"
    done = script("aggregate.py", f"--runs={tmp_path}", "--method=n0", "--clusters=3", "--json")
    assert done.returncode == 0, done.stderr
    told = run_logs.printed(done.stdout)
    assert told["pattern"] == parse("AMAA" * 4).canonical()
    assert (told["ranked_by"], told["layers"], told["presets"]) == ("test", 16, ["smoke"])
    assert told["provenance"]["data seeds"] == ["12345"]
    bad = script("aggregate.py", f"--runs={tmp_path}", "--clusters=9")
    assert (bad.returncode, "9 clusters need 9 distinct scores, got 5" in bad.stderr) == (2, True)
    assert "Traceback" not in bad.stderr
    done = script("collect.py", f"--runs={tmp_path}", f"--out={tmp_path / 'c.jsonl'}", "--json")
    assert [run["rows"] for run in run_logs.printed(done.stdout)["runs"]] == [5, 0]
    assert len((tmp_path / "c.jsonl").read_text().splitlines()) == 5


def test_macro_accuracy_ranks_where_it_is_asked_for_and_known(tmp_path):
    run_logs.write(tmp_path, [(pattern("A"), 0.5), (pattern("M"), 0.6)])
    rows = collect.collect([tmp_path]).rows
    swapped = [dataclasses.replace(r, validation=dataclasses.replace(r.validation, macro=1 - r.validation.value))
               for r in rows]  # fmt: skip
    by = {a: ranking.entries(swapped, Score.VALIDATION, a)[0] for a in ranking.Accuracy}
    assert {a: (e.pattern, e.score) for a, e in by.items()} == {
        "micro": (parse(pattern("M")).canonical(), 0.6),
        "macro": (parse(pattern("A")).canonical(), 0.5),
    }
    unknown = [dataclasses.replace(r, validation=dataclasses.replace(r.validation, macro=None)) for r in rows]
    with pytest.raises(ValueError, match="has no macro accuracy: rank by micro"):
        ranking.entries(unknown, Score.VALIDATION, ranking.Accuracy.MACRO)
    assert base(tmp_path, clusters=0, accuracy=ranking.Accuracy.MACRO).ranked_by == (
        "validation scores (macro accuracy)"
    )


def test_of_patterns_that_grow_only_the_longest_are_ranked_as_finds(tmp_path):
    run_logs.write(tmp_path, [("4A", 0.9), ("A-3M", 0.95), (pattern("A"), 0.5), (pattern("M"), 0.6)], submitted=3)
    (report,) = ranking.agents(collect.collect([tmp_path]).rows)
    assert report.best_explored["validation"] == report.best_submitted["validation"] == 0.6
    assert report.curves == {"0": (None, None, 0.5, 0.6)}


def test_rows_are_plain_data(tmp_path):
    run_logs.write(tmp_path, [(pattern("A"), 0.5)])
    (row,) = collect.collect([tmp_path]).rows
    assert dataclasses.asdict(row)["validation"]["value"] == 0.5
