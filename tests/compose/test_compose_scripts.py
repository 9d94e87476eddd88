"""The compose scripts as a user runs them: output, exit codes, and no jax."""

import csv
import io
import json
import subprocess
import sys
from pathlib import Path

import pytest

from aira_jax.compose import flops, zoo
from aira_jax.patterns import parse

ROOT = Path(__file__).parents[2]


def run(script, *flags):
    command = [sys.executable, str(ROOT / "scripts" / script), *flags]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)


def test_isoflop_table_has_every_model_and_its_steps():
    for space, models in ((2, 9), (3, 12)):
        rows = list(csv.DictReader(io.StringIO(run("isoflop_table.py", f"--space={space}").stdout)))
        assert len(rows) == models * 3 * 5
        assert list(rows[0]) == ["scale", "architecture", "A", "M", "Mb", "budget_flops", "steps"]
        for row in rows:
            counts = {p: int(row[p]) for p in ("A", "M", "Mb")}
            steps = flops.training_steps(counts=counts, scale=row["scale"], space=space, budget=row["budget_flops"])
            assert steps == int(row["steps"])
        known = {(m.scale, m.key): m.counts for m in zoo.scaled() if m.space == space}
        assert {(r["scale"], r["architecture"]) for r in rows} == set(known)
        assert all(known[r["scale"], r["architecture"]]["Mb"] == int(r["Mb"]) for r in rows)


def test_isoflop_table_gives_the_published_steps_where_the_layers_are_the_same(published):
    ours = {}
    for space in (2, 3):
        for row in csv.reader(io.StringIO(run("isoflop_table.py", f"--space={space}").stdout)):
            ours[tuple(row[:6])] = row[6]
    same = [r for r in published("isoflop_steps.csv") if tuple(r.values())[:6] in ours]
    assert len(same) == 34 * 5  # the paper's tables count other layers in 8 of their 42 models
    assert all(ours[tuple(r.values())[:6]] == r["steps"] for r in same)


def test_isoflop_markdown_for_a_pattern_of_ones_own():
    done = run("isoflop_table.py", "--space=2", "--format=markdown", "--pattern=9A-18M", "--scale=1B", "--budget=2e19")
    assert done.stdout.splitlines() == [
        "| scale | architecture | A | M | Mb | budget_flops | steps |",
        "| --- | --- | --- | --- | --- | --- | --- |",
        "| 1B | 9A-18M | 9 | 18 | 0 | 2e19 | 4882 |",
    ]


def test_extrapolate_prints_all_scales_as_json():
    done = run("extrapolate.py", "--pattern=2A-5M-2A-3M-A-3M", "--method=stretch", "--space=2", "--json")
    result = json.loads(done.stdout)
    assert (result["base"], result["method"], result["space"]) == ("2A-5M-2A-3M-A-3M", "stretch", 2)
    patterns = {scale: fit["pattern"] for scale, fit in result["scales"].items()}
    assert patterns == {"350M": "3A-8M-3A-5M-2A-5M", "1B": "4A-9M-4A-5M-2A-5M", "3B": "7A-16M-7A-10M-4A-10M"}
    assert result["scales"]["1B"]["steps"]["2e19"] == 4552
    assert result["scales"]["1B"]["counts"] == {"A": 10, "M": 19, "Mb": 0}
    assert "warning" in done.stderr
    assert "+11.5%" in done.stderr


def test_extrapolate_prints_text():
    done = run(
        "extrapolate.py", "--pattern=2Mb-M-3A", "--method=stack", "--space=3", "--remainder=prefix", "--scale=3B"
    )
    assert "9(2Mb-M-3A)-2Mb-M" in done.stdout
    assert "2,982,729,344 non-embedding parameters (-0.6% of the target)" in done.stdout


def test_zoo_prints_tables_and_json():
    assert len(run("zoo.py").stdout.splitlines()) == 63
    assert len(run("zoo.py", "--scale=base").stdout.splitlines()) == 17
    (model,) = json.loads(run("zoo.py", "--name=AIRAformer-D", "--variant=stretched", "--scale=3B", "--json").stdout)
    assert parse(model["build"]) == parse("4(10A-5M)-7A-3M")
    assert model["printed_counts"] == model["counts"]
    assert not model["agrees"]
    assert "45 of 63" in run("zoo.py", "--check").stdout


@pytest.mark.parametrize(
    "script, flags, words",
    [
        ("isoflop_table.py", [], ["--space"]),
        ("isoflop_table.py", ["--space=4"], ["space 4", "2 (A and M) or 3"]),
        ("isoflop_table.py", ["--space=2", "--format=tex"], ["--format", "csv"]),
        ("isoflop_table.py", ["--space=2", "--scale=7B"], ["'7B'", "350M, 1B, 3B"]),
        ("isoflop_table.py", ["--space=2", "--budget=many"], ["budget 'many'"]),
        ("isoflop_table.py", ["--space=2", "--pattern=A-Mb"], ["Mb", "use space=3"]),
        ("extrapolate.py", ["--pattern=2A-4X", "--method=stack", "--space=2"], ["position 4", "use A, M or Mb"]),
        ("extrapolate.py", ["--pattern=A-M", "--method=stck", "--space=2"], ["'stck'", 'did you mean "stack"']),
        ("extrapolate.py", ["--pattern=30(A-M)", "--method=stack", "--space=2"], ["30(A-M)", "use stretch"]),
        ("zoo.py", ["--name=AIRAformerD"], ['did you mean "AIRAformer-D"']),
        ("zoo.py", ["--variant=stacked"], ["--name"]),
        ("zoo.py", ["--nmae=Mamba"], ["nmae"]),
    ],
)
def test_bad_input_ends_with_exit_2_and_one_message(script, flags, words):
    done = run(script, *flags)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    assert done.stderr.count("error:") == 1
    assert all(word in done.stderr for word in words), done.stderr


@pytest.mark.parametrize(
    "script, flags",
    [
        ("isoflop_table.py", ["--space=3"]),
        ("extrapolate.py", ["--pattern=2A-4M", "--method=stack", "--space=2"]),
        ("zoo.py", []),
    ],
)
def test_scripts_do_not_import_jax(script, flags):
    source = "import runpy, sys, atexit; atexit.register(lambda: print('JAX' if 'jax' in sys.modules else 'NONE'));"
    source += (
        f"sys.argv = {[script, *flags]!r}; runpy.run_path({str(ROOT / 'scripts' / script)!r}, run_name='__main__')"
    )
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.stdout.splitlines()[-1] == "NONE", done.stderr


def test_no_module_of_compose_imports_jax():
    modules = [p.stem for p in (ROOT / "aira_jax" / "compose").glob("*.py") if p.stem != "__init__"]
    source = "import sys, importlib; [importlib.import_module('aira_jax.compose.' + m) for m in sys.argv[1:]];"
    source += "sys.exit('jax' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", source, *modules], cwd=ROOT, check=False).returncode == 0
