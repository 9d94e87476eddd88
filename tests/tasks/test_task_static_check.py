"""The static check of a submission answers within a fraction of a second: it imports no array library."""

import subprocess
import sys

import pytest

from aira_jax.core import sources
from aira_jax.tasks import loader, mounts

ONE_OF_EACH_FAMILY = (
    "LongContextReasoningLRAListOpsAccuracy",
    "NeuralArchitectureSearchMix2PrimitivesRelativeError",
    "NeuralArchitectureSearchMAD2PrimitivesOptionsAccuracy",
    "ArchitectureAggregationMAD2PrimitivesAccuracy",
)
WITHOUT_ARRAYS = """
import runpy, sys
del sys.argv[0]
script = sys.argv[0]
try:
    runpy.run_path(script, run_name="__main__")
finally:
    loaded = {"jax", "flax", "numpy"} & set(sys.modules)
    print(*loaded)
"""


@pytest.mark.parametrize("name", ONE_OF_EACH_FAMILY)
def test_the_check_of_a_starter_imports_no_array_library(name, tmp_path):
    task = loader.load(name)
    (tmp_path / task.artifact).write_text(task.starter[task.artifact])
    flags = [task.folder / "evaluate.py", "--stage=check", "--profile=smoke"]
    command = [sys.executable, "-c", WITHOUT_ARRAYS, *flags]
    env = mounts.script_environment()
    done = subprocess.run(command, env=env, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []


@pytest.mark.parametrize("name", ONE_OF_EACH_FAMILY)
def test_what_makes_the_data_of_a_task_is_known_and_trains_nothing(name):
    imported = sources.imported_by((loader.load(name).folder / "prepare.py").read_text())
    makers = sources.closure(imported)
    assert "aira_jax.tasks.preparation" in makers
    trainers = {"aira_jax.proxies.evaluator", "aira_jax.proxies.lanes", "lra.train", "lra.model"}
    assert not trainers & set(makers)
