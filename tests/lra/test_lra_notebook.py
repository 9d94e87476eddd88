"""The ListOps notebook: valid, without stored outputs or paths of a machine, and it trains a model."""

import ast
import importlib
import os
from pathlib import Path

import nbclient
import nbformat
import pytest
from IPython.core.inputtransformer2 import TransformerManager

NOTEBOOK = Path(__file__).parents[2] / "scripts" / "colab" / "lra_listops.ipynb"
OURS = ("aira_jax", "lra")


@pytest.fixture(scope="module")
def notebook():
    return nbformat.read(NOTEBOOK, as_version=4)


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def test_it_is_valid_and_stores_no_output(notebook):
    nbformat.validate(notebook)
    assert code_cells(notebook)
    for cell in code_cells(notebook):
        assert cell.outputs == []
        assert cell.execution_count is None


def test_it_names_no_place_on_a_machine():
    text = NOTEBOOK.read_text()
    assert not [root for root in ("/home", "/work", "/tmp", "/root", "/Users", "C:\\") if root in text]


def test_its_code_parses_and_what_it_takes_from_the_project_exists(notebook):
    trees = [ast.parse(TransformerManager().transform_cell(cell.source)) for cell in code_cells(notebook)]
    imports = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    ours = [node for node in imports if node.module.split(".")[0] in OURS]
    assert len(ours) > 3
    for node in ours:
        module = importlib.import_module(node.module)
        for name in node.names:
            assert hasattr(module, name.name) or importlib.import_module(f"{node.module}.{name.name}")


@pytest.mark.slow
def test_it_trains_a_model_that_beats_the_root_operator_and_plots_it(notebook, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    flags = os.environ.get("XLA_FLAGS", "").replace("--xla_backend_optimization_level=0", "")  # of this test suite
    monkeypatch.setenv("XLA_FLAGS", flags.strip())
    place = {"metadata": {"path": str(tmp_path)}}
    nbclient.NotebookClient(notebook, timeout=900, kernel_name="python3", resources=place).execute()
    outputs = [output for cell in code_cells(notebook) for output in cell.outputs]
    printed = "".join(output.get("text", "") for output in outputs)
    assert sum("image/png" in output.get("data", {}) for output in outputs) == 2
    assert "beats root operator" in printed
    accuracy = float(printed.rsplit("test accuracy ", 1)[1].split()[0])
    assert accuracy >= 0.42
    assert (tmp_path / "runs" / "lra_listops" / "report.json").is_file()
