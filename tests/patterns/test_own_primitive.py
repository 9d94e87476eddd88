"""A primitive from outside the package is parsed, trained, searched, scaled and reported like those inside."""

import json
import os
import pathlib
import shutil
import subprocess
import sys

import pytest

from aira_jax.core.machine import ROOT

ROWS = pathlib.Path(__file__).with_name("own_primitive.py")
KNOWN = """
import dataclasses, json, sys
from aira_jax import patterns
from aira_jax.compose import dims, extrapolate
space = dims.space_of(("A", "M", "D"))
fit = extrapolate.fit(patterns.parse("2(A-2D-M)-D"), "1B", "stretch", space=space).to_json()
print(json.dumps([space, fit["counts"]["D"] > 0, fit["non_embedding"] > 5e8, "jax" in sys.modules]))
from aira_jax.proxies import evaluator, fidelity
tiny = dataclasses.replace(fidelity.get("smoke"), d=16, train=32, test=32, epochs=1)
result = evaluator.evaluate("D-M", preset=tiny, tasks=["memorization"])
print(json.dumps([result.pattern, result.parameters["memorization"]]))
result = evaluator.evaluate("2M", preset=tiny, tasks=["memorization"])
print(json.dumps([result.pattern, result.parameters["memorization"]]))
"""
CAMPAIGN = """
import json, sys
from aira_jax import search
found = search("smoke,budget.steps=3", "runs", task=sys.argv[1])
print(json.dumps(sorted({layer for node in found.nodes for layer in node.key if layer.isupper()})))
"""


def run(folder, *argv, **env):
    env = {**os.environ, "AIRA_JAX_CACHE": str(folder / "cache"), "AIRA_JAX_PRIMITIVES": str(ROWS), **env}
    return subprocess.run([sys.executable, *argv], cwd=folder, env=env, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_an_own_primitive_is_scaled_without_jax_and_trained(tmp_path):
    done = run(tmp_path, "-c", KNOWN)
    assert done.returncode == 0, done.stderr
    scaled, decay, mlp = map(json.loads, done.stdout.splitlines())
    assert scaled == ["A+M+D", True, True, False]
    assert (decay[0], mlp[1] - decay[1]) == ("D-M", 8 * 16**2 - (16**2 + 16))


def test_a_row_whose_path_is_relative_or_whose_token_is_taken_is_refused(tmp_path):
    relative = run(tmp_path, "-c", "import aira_jax.patterns", AIRA_JAX_PRIMITIVES="own.py")
    assert "own.py is no absolute path of a file" in relative.stderr
    twice = run(tmp_path, "-c", "import aira_jax.patterns", AIRA_JAX_PRIMITIVES=f"{ROWS}:{ROWS}")
    assert "primitive D exists already" in twice.stderr


@pytest.mark.slow
def test_an_own_primitive_is_searched_collected_scaled_and_reported(tmp_path):
    name = "NeuralArchitectureSearchMAD2PrimitivesAccuracy"
    task = tmp_path / name
    shutil.copytree(ROOT / "aira_jax" / "tasks" / name, task)
    space = (task / "space.py").read_text().replace('("A", "M")', '("A", "M", "D")')
    (task / "space.py").write_text(space)
    found = run(tmp_path, "-c", CAMPAIGN, str(task))
    assert found.returncode == 0, found.stderr
    assert json.loads(found.stdout.splitlines()[-1]) == ["A", "D", "M"]
    done = run(tmp_path, ROOT / "scripts" / "campaign.py", "--runs=runs", "--out=out")
    assert done.returncode == 0, done.stderr
    numbers = json.loads((tmp_path / "out" / "campaign.json").read_text())
    assert numbers["space"] == "A+M+D"
    assert ".p-D { fill: #147a56; }" in (tmp_path / "out" / "report.html").read_text()
