"""The aggregation task: rules that scale a base, files that are refused, and rows that nobody saw."""

import csv
import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest
import run_logs
from hypothesis import given, settings
from hypothesis import strategies as st

from aira_jax.compose import ledger
from aira_jax.patterns import Pattern
from aira_jax.patterns import parse as pattern
from aira_jax.proxies.result import TaskScore
from aira_jax.runs import ledgers
from aira_jax.tasks import loader, preparation, sources
from aira_jax.tasks.aggregation import ledger_source, preparing, scaled_submission, scripts
from aira_jax.tasks.aggregation.scaled_submission import TARGET, Scaling, Space, closest, parse, scale, size
from aira_jax.tasks.evaluation import EvaluatorError, Split, SubmissionError

sys.path.insert(0, str(Path(__file__).parents[1] / "tasks"))
import fake_training

NAME = "ArchitectureAggregationMAD2PrimitivesAccuracy"
FOLDER = loader.FOLDER / NAME
STEPS = [("8(A-M)", 0.3), ("5(2A-M)-A", 0.5), ("8(M-A)", 0.4)]


@pytest.fixture(autouse=True)
def _no_ledger(monkeypatch):
    monkeypatch.delenv(ledger_source.VARIABLE, raising=False)
    monkeypatch.delenv(preparation.HIDDEN_SEED, raising=False)


# Scaling.


def test_the_target_is_24_layers_half_of_them_each():
    assert size(pattern("12(A-M)")) == TARGET == 12 * (66_048 + 256 + 131_072 + 256)


@pytest.mark.parametrize(
    ("base", "scaling", "scaled"),
    [
        ("4A-8M-4A", "stretch", "6A-12M-6A"),
        ("4(2A-2M)", "stack", "4(2A-2M)-4(A-M)"),
        ("8(A-M)", "prefix", "12(A-M)"),
        ("2A-M", "prefix", "8(2A-M)-2A"),
        ("6(2A-2M)", "given", "6(2A-2M)"),
    ],
)
def test_every_rule_brings_a_base_to_the_target(base, scaling, scaled):
    found = scale(pattern(base), Scaling(scaling))
    assert found.scaled == pattern(scaled)
    assert abs(found.deviation) <= 0.1


@pytest.mark.parametrize(
    ("base", "scaling", "message"),
    [
        ("8(A-M)", "stretch", r"stretch gives 32 layers .*\+33.3% from the target"),
        ("8(A-M)", "given", r"given gives 16 layers .*-33.3% .*: add or remove layers"),
        ("24(A-M)", "given", "add or remove layers"),
        ("40M", "stack", "less than one copy"),
    ],
)
def test_a_rule_that_misses_the_target_is_refused(base, scaling, message):
    with pytest.raises(ValueError, match=message):
        scale(pattern(base), Scaling(scaling))


@given(st.lists(st.sampled_from(["A", "M"]), min_size=1, max_size=16).map(tuple))
@settings(max_examples=25)
def test_some_rule_always_fits(layers):
    base = Pattern(layers)
    assert abs(closest(base).deviation) <= 0.1
    found = scale(base, Scaling.PREFIX)
    assert found.scaled.layers == (layers * 40)[: len(found.scaled)]
    assert -0.06 < found.deviation <= 0


# Files.


@pytest.mark.parametrize("name", ["gold_submission.csv", "starter/submission.csv"])
def test_the_examples_are_read(name):
    text = (FOLDER / name).read_text()
    assert parse(text.encode()).to_csv() == text


def test_commas_and_blanks_are_read():
    assert parse(b'architecture, scaling\r\n" A,M ", prefix \r\n\r\n').base == pattern("A-M")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (b"architecture\n8(A-M)\n", "header: the columns must be architecture,scaling, found architecture"),
        (b"architecture,scaling\n", "0 rows after the header"),
        (b"architecture,scaling\nA,stack\nM,stack\n", "2 rows after the header"),
        (b"architecture,scaling\nA,M,stack\n", "3 columns, 2 required; quote a pattern that holds commas"),
        (b"architecture,scaling\n8(A-M,prefix\n", "column architecture: this parenthesis is never closed"),
        (b"architecture,scaling\n8(A-Mb),prefix\n", "primitive Mb does not belong to this space"),
        (b"architecture,scaling\n8(A-M),strech\n", 'unknown scaling .strech. .did you mean "stretch"'),
        (b"architecture,scaling\n8(A-M)-A,prefix\n", "at most 16 layers, this one has 17"),
        (b"architecture,scaling\n8(A-M),stretch\n", "from the target"),
        (b"architecture,scaling\n\xff,prefix\n", "byte 21 is not UTF-8"),
        (b'architecture,scaling\n"A,prefix\n', "not a CSV file"),
        (b"architecture,scaling\n" + b"A" * 2**16, "larger than 65536 bytes"),
    ],
)
def test_bad_files_are_refused_with_a_valid_one(content, message):
    with pytest.raises(SubmissionError, match=message) as caught:
        parse(content)
    assert scaled_submission.EXAMPLE in str(caught.value)


@settings(max_examples=15)
@given(st.integers(0, 2**32 - 1))
def test_moves_are_valid_and_change_something(seed):
    space, rng = Space(), np.random.default_rng(seed)
    a, b = space.sample(rng), space.sample(rng)
    assert a != b or space.canonical(a)
    for child in (space.mutate(a, rng), space.crossover(a, b, rng), space.crossover(a, a, rng)):
        assert space.canonical(child) not in (None, space.canonical(a))


@pytest.mark.parametrize("given", ["12(A-M)", "36A", "18M"])
def test_patterns_at_the_target_have_valid_neighbours(given):
    space, rng = Space(), np.random.default_rng(0)
    parent = {"submission.csv": f"architecture,scaling\n{given},given\n"}
    for _ in range(40):
        child = space.mutate(parent, rng)
        assert space.canonical(child) not in (None, space.canonical(parent))
        assert space.canonical(space.crossover(child, parent, rng))


def test_two_ways_to_the_same_model_are_one_candidate():
    space = Space()
    ways = [{"submission.csv": f"architecture,scaling\n{way}\n"} for way in ("8(A-M),prefix", "12(A-M),given")]
    assert space.canonical(ways[0]) == space.canonical(ways[1]) == "-".join(["A-M"] * 12)
    assert space.canonical({"submission.csv": "architecture,scaling\n8(A-M),stretch\n"}) is None
    assert space.canonical({"solution.py": ""}) is None


# Where the ledger comes from.


def test_the_ledger_is_a_table_or_runs_else_raw_data_else_built_in(tmp_path, monkeypatch):
    run_logs.write(tmp_path / "raw" / "ledger", STEPS)
    assert sources.choose("ledger").files == ()
    raw = sources.choose("ledger", tmp_path / "raw")
    assert raw.runs == (tmp_path / "raw" / "ledger",)
    (tmp_path / "own.csv").write_text(ledgers.from_runs(raw.runs).to_csv())
    monkeypatch.setenv(ledger_source.VARIABLE, str(tmp_path / "own.csv"))
    own = sources.choose("ledger", tmp_path / "raw")
    assert own.table == tmp_path / "own.csv"
    assert sources.files(own) == (tmp_path / "own.csv",)
    assert len({sources.choose("ledger", None).fingerprint, raw.fingerprint, ledger_source.Choice().fingerprint}) == 3
    before = raw.fingerprint
    run_logs.write(tmp_path / "raw" / "ledger", STEPS, seed=1)
    assert ledger_source.choose(raw=tmp_path / "raw").fingerprint == own.fingerprint != before


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("absent", "absent does not exist"),
        ("{table},{table}", "is a table, which stands alone"),
        (" ,", "names nothing"),
    ],
)
def test_a_wrong_place_is_named(tmp_path, monkeypatch, value, message):
    (tmp_path / "t.csv").write_text("")
    monkeypatch.setenv(ledger_source.VARIABLE, value.format(table=tmp_path / "t.csv"))
    with pytest.raises(ValueError, match=f"{ledger_source.VARIABLE}: .*{message}"):
        ledger_source.choose()


# Preparation and evaluation, with everything but the training.


def prepared(tmp_path, *flags, split=Split.VALIDATION):
    mount = tmp_path / f"data-{split}"
    mount.mkdir(parents=True)
    common = [f"--global-shared-data-dir={tmp_path}", f"--agent-data-mount-dir={mount}", "--profile=smoke"]
    assert preparing.prepare(FOLDER, [*common, *flags]) == 0
    assert preparing.evaluate_prepare([*common, f"--split={split}"]) == 0
    return mount


def evaluate(tmp_path, submission, *flags, data=None):
    (tmp_path / "submission.csv").write_text(f"architecture,scaling\n{submission}\n")
    result, data = tmp_path / "result.json", data or tmp_path / "absent"
    common = [f"--submission-file={tmp_path / 'submission.csv'}", f"--result-file={result}", f"--data-dir={data}"]
    code = scripts.evaluate(FOLDER, [*common, "--profile=smoke", *flags])
    return code, json.loads(result.read_text())


@pytest.fixture
def trained(tmp_path, monkeypatch):
    """What is trained, without training it: a pattern scores the share of its attention layers."""
    monkeypatch.setenv("AIRA_JAX_CACHE", str(tmp_path / "cache"))
    return fake_training.install(monkeypatch, lambda task, layers: TaskScore(layers.count("A") / len(layers), 0.0, 1.0))


def test_the_agent_sees_the_ledger_what_votes_make_of_it_and_no_seed(tmp_path, capsys):
    mount = prepared(tmp_path)
    assert "ledger: builtin" in capsys.readouterr().err
    assert (mount / "train" / "ledger.csv").read_bytes() == (FOLDER / "ledger.csv").read_bytes()
    with (mount / "train" / "aggregates.csv").open() as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        found = parse(f"architecture,scaling\n{row['architecture']},{row['scaling']}\n".encode())
        assert found.scaled.canonical() == row["scaled"]
    answer = parse((FOLDER / "gold_submission.csv").read_bytes())
    assert answer.scaled.canonical() in [row["scaled"] for row in rows]
    for place in ("train", "validation", "test"):
        assert "seed" not in json.loads((mount / place / "manifest.json").read_text())


def test_own_runs_replace_the_built_in_ledger(tmp_path, trained, capsys):
    run_logs.write(tmp_path / "runs", STEPS, profile="paper")
    mount = prepared(tmp_path, f"--runs={tmp_path / 'runs'}")
    assert "the ledger is of paper, above the fidelity smoke" in capsys.readouterr().err
    assert len(ledger.read(mount / "train" / "ledger.csv").lines) == 3
    code, result = evaluate(tmp_path, "8(A-M),prefix", "--split=validation", data=mount)
    assert (code, result["extra"]["ledger_preset"]) == (0, "paper")


def test_runs_that_hold_no_ledger_end_with_exit_2(tmp_path, capsys):
    (tmp_path / "mount").mkdir()
    flags = [f"--global-shared-data-dir={tmp_path}", f"--agent-data-mount-dir={tmp_path / 'mount'}"]
    assert preparing.prepare(FOLDER, [*flags, "--runs=absent"]) == 2
    assert "--runs" in capsys.readouterr().err
    assert preparing.prepare(FOLDER, [*flags, "--runs=,"]) == 2
    assert "--runs: names nothing" in capsys.readouterr().err


def test_a_bad_hidden_seed_ends_with_exit_2(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv(preparation.HIDDEN_SEED, "s3cret")
    flags = [f"--global-shared-data-dir={tmp_path}", f"--agent-data-mount-dir={tmp_path}"]
    assert preparing.evaluate_prepare(flags) == 2
    assert "must be a natural number" in capsys.readouterr().err


def test_the_score_stands_beside_that_of_the_statistical_answer(tmp_path, trained):
    code, result = evaluate(tmp_path, "2A-M,prefix", data=prepared(tmp_path, split=Split.TEST))
    answer = parse((FOLDER / "gold_submission.csv").read_bytes())
    extra = result["extra"]
    assert code == 0
    assert result["value"] == pytest.approx(18 / 26)
    assert extra["submission"]["scaled"] == extra["canonical"] == pattern("8(2A-M)-2A").canonical()
    assert extra["baseline"]["scaled"] == answer.scaled.canonical()
    assert extra["gain"] == pytest.approx(result["value"] - extra["baseline"]["accuracy"])
    assert {layers for _, layers in trained} == {pattern("8(2A-M)-2A").layers, answer.scaled.layers}


def test_the_statistical_answer_gains_nothing_and_is_trained_once(tmp_path, trained):
    text = (FOLDER / "gold_submission.csv").read_text().splitlines()[1]
    code, result = evaluate(tmp_path, text)
    assert (code, result["extra"]["gain"]) == (0, 0.0)
    assert len({layers for _, layers in trained}) == 1
    assert len(trained) == 6


def test_nothing_is_gained_over_an_answer_whose_training_failed(tmp_path, monkeypatch):
    monkeypatch.setenv("AIRA_JAX_CACHE", str(tmp_path / "cache"))
    answer = parse((FOLDER / "gold_submission.csv").read_bytes()).scaled.layers
    good = TaskScore(0.5, 0.5, 1.0)
    fake_training.install(monkeypatch, lambda task, layers: fake_training.DIVERGED if layers == answer else good)
    code, result = evaluate(tmp_path, "A-M,prefix")
    assert (code, result["value"], result["extra"]["gain"]) == (0, 0.5, None)
    assert result["extra"]["baseline"]["status"] == "diverged"


def test_validation_and_test_rows_are_drawn_from_seeds_of_their_own(tmp_path, trained, monkeypatch):
    seeds = {evaluate(tmp_path, "A-M,prefix", f"--split={split}")[1]["extra"]["proxy"]["seed"] for split in Split}
    mounted = prepared(tmp_path, split=Split.TEST)
    assert evaluate(tmp_path, "A-M,prefix", data=mounted)[1]["extra"]["proxy"]["seed"] in seeds
    monkeypatch.setenv(preparation.HIDDEN_SEED, str(2**63))
    hidden = {evaluate(tmp_path, "A-M,prefix", f"--split={split}")[1]["extra"]["proxy"]["seed"] for split in Split}
    assert len(seeds | hidden | {12345}) == 5
    assert max(seeds | hidden) < 2**32


def test_data_of_another_profile_or_damaged_are_the_evaluators_fault(tmp_path, trained, capsys):
    mount = prepared(tmp_path, split=Split.TEST)
    assert evaluate(tmp_path, "A-M,prefix", "--profile=demo", data=mount)[0] == 1
    assert "was prepared for profile smoke" in capsys.readouterr().err
    os.chmod(mount / "train" / "ledger.csv", 0o644)
    (mount / "train" / "ledger.csv").write_text("pattern\n")
    assert evaluate(tmp_path, "A-M,prefix", data=mount)[0] == 1
    assert "prepare the data again" in capsys.readouterr().err


def test_an_agent_measures_itself_where_it_has_the_seed(tmp_path, trained):
    own = prepared(tmp_path, "--self-reported")
    value = scripts.train_and_score("2A-M", "prefix", data_dir=own, cache_dir=tmp_path / "own")
    assert value == pytest.approx(18 / 26)
    with pytest.raises(EvaluatorError, match="fitness=self_reported"):
        scripts.train_and_score("2A-M", "prefix", data_dir=prepared(tmp_path / "other"))
