"""The ledger of searches: from runs to a table and back, and what votes make of it."""

import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest
import run_logs

from aira_jax.compose import aggregate, ledger
from aira_jax.patterns import parse
from aira_jax.runs import ledgers
from aira_jax.tasks import loader, mounts
from aira_jax.tasks.aggregation import scaled_submission

TASK = "ArchitectureAggregationMAD2PrimitivesAccuracy"
FOLDER = loader.FOLDER / TASK
STEPS = [("8(A-M)", 0.3), ("5(2A-M)-A", 0.5), ("16A", None), ("8(M-A)", 0.4)]


def test_runs_become_a_ledger_best_first(tmp_path):
    run_logs.write(tmp_path, STEPS, seed=0)
    run_logs.write(tmp_path, [("8(A-M)", 0.3), ("(A-M)8(M)6(A)", 0.2)], seed=1, agent="greedy-other")
    found = ledgers.from_runs([tmp_path])
    assert found.preset == "smoke"
    assert [(line.pattern.canonical(), line.accuracy, line.proposals) for line in found.lines] == [
        (parse("5(2A-M)-A").canonical(), 0.5, 1),
        (parse("8(M-A)").canonical(), 0.4, 1),
        (parse("8(A-M)").canonical(), 0.3, 2),
        ("A-9M-6A", 0.2, 1),
    ]
    assert found.lines[2].agents == "greedy-opus greedy-other"
    assert "run: greedy-other seed 1, 2 steps" in found.notes


def test_a_table_is_read_as_it_was_written(tmp_path):
    run_logs.write(tmp_path / "runs", STEPS)
    found = ledgers.from_runs([tmp_path / "runs"])
    path = tmp_path / "ledger.csv"
    path.write_text(found.to_csv())
    assert ledger.read(path) == found


def test_presets_do_not_mix_and_other_tasks_do_not_count(tmp_path):
    run_logs.write(tmp_path, STEPS, profile="smoke")
    run_logs.write(tmp_path, STEPS, profile="demo", seed=1)
    run_logs.write(tmp_path, [("8(Mb-A)", 0.9)], task=run_logs.MAD3, profile="smoke")
    with pytest.raises(ValueError, match=r"several presets \(demo, smoke\).*--profile=demo"):
        ledgers.from_runs([tmp_path])
    assert len(ledgers.from_runs([tmp_path], "demo").lines) == 3
    with pytest.raises(ValueError, match=r"unknown profile of NeuralArchitectureSearchMAD2.*valid: demo, smoke"):
        ledgers.from_runs([tmp_path], "paper")
    with pytest.raises(ValueError, match="no score of NeuralArchitectureSearchMAD2PrimitivesAccuracy"):
        ledgers.from_runs([tmp_path / run_logs.MAD3])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("# preset: smoke\n", ""), "no line `# preset: <name>`"),
        (("pattern,accuracy", "pattern,score"), "columns must be pattern,accuracy"),
        (("0.500000", "1.500000"), "line 5: accuracy 1.500000 must lie in 0..1"),
        (("0.500000", "much"), "line 5: could not convert"),
        (("0.500000,", ""), "line 5: not enough values"),
        (("2A-M-2A-M", "2A-M-2A"), "line 5: 16 layers required, got 15"),
        ((parse("8(M-A)").canonical(), parse("8(A-M)").canonical()), "line 7: .* stands in line 6 already"),
    ],
)
def test_a_damaged_table_is_refused_with_its_line(tmp_path, change, message):
    run_logs.write(tmp_path / "runs", STEPS)
    found, path = ledgers.from_runs([tmp_path / "runs"]), tmp_path / "ledger.csv"
    assert change[0] in found.to_csv()
    path.write_text(found.to_csv().replace(*change, 1))
    with pytest.raises(ValueError, match=message) as caught:
        ledger.read(path)
    assert str(path) in str(caught.value)


def test_a_table_in_another_order_is_read_best_first(tmp_path):
    run_logs.write(tmp_path / "runs", STEPS)
    found, path = ledgers.from_runs([tmp_path / "runs"]), tmp_path / "ledger.csv"
    path.write_text(dataclasses.replace(found, lines=found.lines[::-1]).to_csv())
    assert ledger.read(path) == found


def test_a_file_that_is_no_text_is_named(tmp_path):
    path = tmp_path / "ledger.csv"
    path.write_bytes(b"# preset: demo\n\xd7")
    with pytest.raises(ValueError, match=r"ledger.csv: byte 15 is not UTF-8"):
        ledger.read(path)


def test_the_built_in_ledger_and_the_answer_that_comes_with_it():
    found = ledger.read(FOLDER / "ledger.csv")
    assert (found.preset, len(found.lines)) == ("demo", 41)
    assert [line.accuracy for line in found.lines] == sorted((line.accuracy for line in found.lines), reverse=True)
    answer = scaled_submission.closest(ledger.statistical_base(found))
    assert (FOLDER / "gold_submission.csv").read_text() == answer.to_csv()
    assert loader.load(TASK).starter["submission.csv"] == answer.to_csv()
    assert any("scripts/search.py --config=configs/search.py:demo" in note for note in found.notes)


def test_the_statistical_base_is_the_vote_of_the_best_cluster_that_is_large_enough():
    found = ledger.read(FOLDER / "ledger.csv")
    strings, scores = [str(line.pattern) for line in found.lines], [line.accuracy for line in found.lines]
    by_clusters = {k: aggregate.aggregate(strings, scores, method="n0", clusters=k) for k in (2, 3)}
    assert by_clusters[2] != by_clusters[3]
    assert ledger.statistical_base(found) == by_clusters[2]  # the best of 3 clusters holds fewer than 5
    few = ledger.Ledger(found.preset, found.lines[:4])
    assert ledger.statistical_base(few) == aggregate.aggregate(strings[:4], scores[:4], clusters=None)


def test_outcomes_are_the_votes_over_the_ledger():
    found = ledger.read(FOLDER / "ledger.csv")
    outcomes = ledger.outcomes(found)
    elected = {by: outcome.pattern for outcome in outcomes for by in outcome.elected_by}
    strings, scores = [str(line.pattern) for line in found.lines], [line.accuracy for line in found.lines]
    assert elected["best cluster of 3", "nall"] == aggregate.aggregate(strings, scores, method="nall", clusters=3)
    assert len({outcome.pattern for outcome in outcomes}) == len(outcomes)


def script(*flags, cwd):
    command = [sys.executable, str(loader.FOLDER.parent.parent / "scripts" / "ledger.py"), *flags]
    env = mounts.script_environment()
    return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False)


def test_the_script_writes_the_table_and_names_a_missing_folder(tmp_path):
    run_logs.write(tmp_path / "runs", STEPS)
    done = script("--runs=runs", "--out=out.csv", "--note=two\nlines", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert ledger.read(tmp_path / "out.csv").notes[-2:] == ("two", "lines")
    missing = script("--runs=absent", cwd=tmp_path)
    assert missing.returncode == 2
    assert "absent" in missing.stderr
    assert "Traceback" not in missing.stderr
    assert not Path(tmp_path / "ledger.csv").exists()
