"""The notebooks as they are committed: executed, clean, and telling a story."""

import ast
import re
from pathlib import Path

import nbformat
import pytest

NOTEBOOKS = sorted((Path(__file__).resolve().parents[1] / "notebooks").glob("*.ipynb"))
TOP_FOLDERS = ("home", "Users", "root", "work", "tmp", "opt")
MACHINE_PATH = re.compile(rf"/({'|'.join(TOP_FOLDERS)})/|[A-Z]:\\")


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem)
def notebook(request):
    return nbformat.read(request.param, as_version=4)


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def tagged(notebook, tag):
    return [cell for cell in notebook.cells if tag in cell.metadata.get("tags", [])]


def imports(cell):
    nodes = ast.walk(ast.parse(cell.source))
    return [node for node in nodes if isinstance(node, (ast.Import, ast.ImportFrom))]


def test_there_are_five():
    assert [path.name[:2] for path in NOTEBOOKS] == ["01", "02", "03", "04", "05"]


def test_every_cell_was_executed_in_order_without_error(notebook):
    cells = code_cells(notebook)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert not [o for cell in cells for o in cell.outputs if o.output_type == "error"]


def test_nothing_is_written_to_the_error_stream_but_progress(notebook):
    for cell in code_cells(notebook):
        for output in cell.outputs:
            if output.get("name") == "stderr":
                assert re.fullmatch(r"\s*|(\s*[\w ]+: +\d+%.*\s*)+", output.text), output.text


def test_no_path_of_a_machine(notebook):
    assert not MACHINE_PATH.search(nbformat.writes(notebook))


def test_no_definitions_and_short_cells(notebook):
    for cell in code_cells(notebook):
        kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)
        assert not [node for node in ast.walk(ast.parse(cell.source)) if isinstance(node, kinds)]
        assert len(cell.source.splitlines()) <= 15


def test_one_cell_of_imports_and_one_of_parameters(notebook):
    assert len([cell for cell in code_cells(notebook) if imports(cell)]) == 1
    assert len(tagged(notebook, "parameters")) == 1
    assert not tagged(notebook, "injected-parameters")


def test_every_step_is_introduced(notebook):
    """Two code cells may share an introduction, not more."""
    kinds = "".join("c" if cell.cell_type == "code" else "m" for cell in notebook.cells)
    assert kinds.startswith("m") and "cccc" not in kinds


def test_outputs_are_short(notebook):
    for cell in code_cells(notebook):
        printed = "".join(output.get("text", "") for output in cell.outputs)
        assert len(printed.splitlines()) <= 100


def test_values_that_differ_between_machines_are_not_compared(notebook):
    """Training results are free; something in every notebook is compared strictly."""
    strict = [
        cell
        for cell in code_cells(notebook)
        if cell.outputs and "nbval-ignore-output" not in cell.metadata.get("tags", [])
    ]
    assert strict
    for cell in strict:
        assert "train(" not in cell.source and "certainty_table(" not in cell.source
