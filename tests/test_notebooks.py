"""The notebooks: valid, without stored outputs or paths of a machine, and they run."""

import ast
import importlib
import os
from pathlib import Path

import nbclient
import nbformat
import pytest
from IPython.core.inputtransformer2 import TransformerManager

import aira_jax

FOLDER = Path(__file__).parents[1] / "scripts" / "colab"
NAMES = sorted(path.stem for path in FOLDER.glob("*.ipynb"))
OURS = ("aira_jax", "lra")
PUBLIC = ("quickstart",)  # need no more than `import aira_jax`


def read(name: str):
    return nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def run(name: str, tmp_path, monkeypatch) -> tuple[list, str]:
    """All outputs of a notebook executed in an empty home, and the text that it printed."""
    notebook = read(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    place = {"metadata": {"path": str(tmp_path)}}
    nbclient.NotebookClient(notebook, timeout=900, kernel_name="python3", resources=place).execute()
    outputs = [output for cell in code_cells(notebook) for output in cell.outputs]
    return outputs, "".join(output.get("text", "") for output in outputs)


def pictures(outputs) -> int:
    return sum("image/png" in output.get("data", {}) for output in outputs)


@pytest.mark.parametrize("name", NAMES)
def test_it_is_valid_and_stores_no_output(name):
    notebook = read(name)
    nbformat.validate(notebook)
    assert code_cells(notebook)
    for cell in code_cells(notebook):
        assert cell.outputs == []
        assert cell.execution_count is None


@pytest.mark.parametrize("name", NAMES)
def test_it_names_no_place_on_a_machine(name):
    text = (FOLDER / f"{name}.ipynb").read_text()
    assert not [root for root in ("/home", "/work", "/tmp", "/root", "/Users", "C:\\") if root in text]


@pytest.mark.parametrize("name", NAMES)
def test_its_code_parses_and_what_it_takes_from_the_project_exists(name):
    trees = [ast.parse(TransformerManager().transform_cell(cell.source)) for cell in code_cells(read(name))]
    imports = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    ours = [node for node in imports if node.module.split(".")[0] in OURS]
    assert bool(ours) == (name not in PUBLIC)
    nodes = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Attribute)]
    used = {node.attr for node in nodes if isinstance(node.value, ast.Name) and node.value.id == "aira_jax"}
    used.discard("__file__")
    assert used <= set(aira_jax.__all__)
    assert bool(used) == (name in PUBLIC)
    for node in ours:
        module = importlib.import_module(node.module)
        for item in node.names:
            assert hasattr(module, item.name) or importlib.import_module(f"{node.module}.{item.name}")


@pytest.mark.slow
def test_the_quickstart_searches_and_plots_it(tmp_path, monkeypatch):
    outputs, printed = run("quickstart", tmp_path, monkeypatch)
    report = Path(tmp_path, printed.strip().splitlines()[-1])
    assert pictures(outputs)
    assert report.name == "report.html"
    assert report.is_file()
    assert "6 of 6 steps used" in printed


@pytest.mark.slow
def test_the_listops_notebook_trains_a_model_that_beats_the_root_operator(tmp_path, monkeypatch):
    flags = os.environ.get("XLA_FLAGS", "").replace("--xla_backend_optimization_level=0", "")  # of this test suite
    monkeypatch.setenv("XLA_FLAGS", flags.strip())
    outputs, printed = run("lra_listops", tmp_path, monkeypatch)
    assert pictures(outputs) == 2
    assert "beats root operator" in printed
    accuracy = float(printed.rsplit("test accuracy ", 1)[1].split()[0])
    assert accuracy >= 0.42
    assert (tmp_path / "runs" / "lra_listops" / "report.json").is_file()


@pytest.mark.slow
def test_the_pretraining_notebook_trains_two_models_and_samples_from_them(tmp_path, monkeypatch):
    flags = os.environ.get("XLA_FLAGS", "").replace("--xla_backend_optimization_level=0", "")  # of this test suite
    monkeypatch.setenv("XLA_FLAGS", flags.strip())
    outputs, printed = run("pretrain", tmp_path, monkeypatch)
    assert pictures(outputs) == 1
    losses = [
        float(line.split("validation loss ")[1].split()[0]) for line in printed.splitlines() if "bits per byte" in line
    ]
    assert len(losses) == 2
    assert max(losses) < 2.0
    assert printed.count(": Once ") == 2
