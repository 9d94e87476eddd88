"""The floors of the house: imports run down, and the coordinator of a search starts without an array library."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CONTRACTS = [Path(sys.executable).with_name("lint-imports"), "--no-cache", "--no-logo"]
COORDINATOR = (
    "aira_jax.search.run", "aira_jax.llm", "aira_jax.sandbox", "aira_jax.tasks.loader", "aira_jax.statistics",
    "aira_jax.compose.aggregate", "aira_jax.compose.extrapolate", "aira_jax.reports.run.derived",
)  # fmt: skip


@pytest.fixture
def house(tmp_path) -> Path:
    """A copy of the sources and of their contracts."""
    for package in ("aira_jax", "kernels_pallas", "lra"):
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copyfile(ROOT / "pyproject.toml", tmp_path / "pyproject.toml")
    return tmp_path


@pytest.mark.parametrize(
    "below, above",
    [
        ("aira_jax/patterns", "aira_jax.search.run"),
        ("aira_jax/tasks/loader", "aira_jax.reports.run.derived"),
        ("kernels_pallas/cases", "aira_jax.core.files"),
    ],
)
def test_an_arrow_that_runs_back_up_fails_the_lint(house, below, above):
    stem = house / below
    file = stem / "__init__.py" if stem.is_dir() else stem.with_suffix(".py")
    file.write_text(file.read_text() + f"\nimport {above}\n")
    done = subprocess.run(CONTRACTS, cwd=house, capture_output=True, text=True)
    assert done.returncode == 1
    assert f"{below.replace('/', '.')} -> {above}" in done.stdout


def test_the_coordinator_starts_without_an_array_library():
    loaded = "[n for n in ('jax', 'flax', 'matplotlib') if n in sys.modules]"
    program = f"import sys, {', '.join(COORDINATOR)}; print({loaded})"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
