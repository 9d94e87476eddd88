"""`import aira_jax`: what it costs, what it names, and that each name does what its docstring says."""

import inspect
import subprocess
import sys

import pytest

import aira_jax
import kernels_pallas

FUNCTIONS = ("parse", "evaluate", "search", "load_task", "aggregate", "extrapolate")


def test_importing_the_package_is_fast_and_loads_no_array_library():
    program = (
        "import time; start = time.perf_counter(); import aira_jax; seconds = time.perf_counter() - start; import sys;"
        "print(seconds < 0.1, any(name in sys.modules for name in ('jax', 'numpy', 'absl')))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "False"]


def test_the_public_names_are_listed_and_found():
    assert {"Pattern", *FUNCTIONS} <= set(aira_jax.__all__)
    assert set(aira_jax.__all__) <= set(dir(aira_jax))
    with pytest.raises(AttributeError, match="serch"):
        aira_jax.serch  # noqa: B018


@pytest.mark.parametrize(
    "program",
    [
        "from aira_jax import search; import aira_jax.search.run as run; assert callable(search); search.run is run",
        "from aira_jax.search import run; from aira_jax import search; assert callable(search)",
        "import aira_jax.search.log.tree, aira_jax; assert callable(aira_jax.search); aira_jax.search.log.tree.Tree",
    ],
)
def test_search_is_a_function_and_the_package_of_its_parts(program):
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.parametrize("name", [*aira_jax.__all__, *(f"kernels_pallas.{name}" for name in kernels_pallas.__all__)])
def test_every_public_name_is_documented(name):
    package, _, name = name.rpartition(".")
    value = getattr(kernels_pallas if package else aira_jax, name)
    own = value.__doc__ or ""
    made_by_python = own.startswith(f"{name}(")
    assert own, f"{name} has no docstring"
    assert not made_by_python, f"{name} has only the docstring of its dataclass or enum"


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_public_function_tells_its_arguments_result_and_errors(name):
    function = getattr(aira_jax, name)
    for part in ("Args:", "Returns:", "Raises:"):
        assert part in function.__doc__
    for parameter in inspect.signature(function).parameters.values():
        assert f"{parameter.name}:" in function.__doc__
        assert parameter.annotation is not inspect.Parameter.empty
    assert inspect.signature(function).return_annotation is not inspect.Signature.empty


def test_a_pattern_is_voted_from_patterns_and_brought_to_a_model():
    base = aira_jax.aggregate(["3A-M", "2A-2M", "3A-M"], [0.9, 0.2, 0.8], clusters=None)
    assert base == aira_jax.parse("3A-M")
    model = aira_jax.extrapolate(base, scale="350M", method="stack")
    assert set(model.counts()) == {"A", "M"}
    assert len(model) > len(base)


def test_the_space_of_a_model_is_that_of_its_pattern():
    mixed = aira_jax.parse("2A-M-Mb")
    stacked = aira_jax.extrapolate(mixed, scale="1B", method="stack")
    assert stacked == aira_jax.extrapolate(mixed, scale="1B", method="stack", space=3)


def test_a_task_is_a_name_or_a_folder():
    by_name = aira_jax.load_task("NeuralArchitectureSearchMAD2PrimitivesAccuracy")
    assert aira_jax.load_task(by_name.folder).sha == by_name.sha
    with pytest.raises(ValueError, match="did you mean"):
        aira_jax.load_task("NeuralArchitectureSearchMAD2PrimitivesAcuracy")


@pytest.mark.slow
def test_a_search_tells_what_it_found_and_evaluate_repeats_its_kind_of_score(tmp_path, monkeypatch):
    monkeypatch.setenv("AIRA_JAX_CACHE", str(tmp_path / "cache"))
    lines = []
    found = aira_jax.search("smoke,budget.steps=2", tmp_path / "runs", observe=lines.append)
    assert (found.reason, found.detail, len(found.nodes)) == ("steps", "2 of 2 steps used", 2)
    assert sum(line.startswith("node ") for line in lines) == 2
    assert f"node {found.best.id}" in found.verdict
    assert found.best in found.nodes
    assert found.report.is_file()
    scored = aira_jax.evaluate(found.pattern, preset="smoke", split="validation")
    assert scored.score == pytest.approx(found.fitness, abs=1e-6)
