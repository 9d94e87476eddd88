"""Made-up runs, written once per session; tests that change a run directory copy it."""

import shutil

import pytest
import synthetic_run

from aira_jax.runs.view import RunView


@pytest.fixture(scope="session")
def small_run(tmp_path_factory):
    return synthetic_run.write(tmp_path_factory.mktemp("small") / "seed_0", synthetic_run.Shape(nodes=15))


@pytest.fixture(scope="session")
def small_view(small_run):
    return RunView.read(small_run)


@pytest.fixture(scope="session")
def hostile_run(tmp_path_factory):
    shape = synthetic_run.Shape(nodes=40, seed=3, hostile=True, priced=False)
    return synthetic_run.write(tmp_path_factory.mktemp("hostile") / "seed_3", shape)


@pytest.fixture
def own_run(small_run, tmp_path):
    """A copy of the small run that a test may change."""
    return shutil.copytree(small_run, tmp_path / "seed_0")
