"""The quickstart notebook: valid, without stored outputs, and it runs."""

import ast
import importlib
from pathlib import Path

import nbclient
import nbformat
import pytest
from IPython.core.inputtransformer2 import TransformerManager

NOTEBOOK = Path(__file__).parents[2] / "scripts" / "colab" / "quickstart.ipynb"


@pytest.fixture
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


def test_its_code_parses_and_what_it_takes_from_the_package_exists(notebook):
    trees = [ast.parse(TransformerManager().transform_cell(cell.source)) for cell in code_cells(notebook)]
    imports = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    ours = [node for node in imports if node.module.startswith("aira_jax")]
    assert ours
    for node in ours:
        module = importlib.import_module(node.module)
        for name in node.names:
            assert hasattr(module, name.name) or importlib.import_module(f"{node.module}.{name.name}")


@pytest.mark.slow
def test_it_runs_the_search_and_plots_it(notebook, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    place = {"metadata": {"path": str(tmp_path)}}
    nbclient.NotebookClient(notebook, timeout=900, kernel_name="python3", resources=place).execute()
    outputs = [output for cell in code_cells(notebook) for output in cell.outputs]
    printed = "".join(output.get("text", "") for output in outputs)
    report = Path(tmp_path, printed.strip().splitlines()[-1])
    assert any("image/png" in output.get("data", {}) for output in outputs)
    assert report.name == "report.html"
    assert report.is_file()
    assert "6 of 6 steps used" in printed
