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


def test_there_are_five():
    assert [path.name[:2] for path in NOTEBOOKS] == ["01", "02", "03", "04", "05"]


def test_every_cell_was_executed_in_order_without_error(notebook):
    cells = code_cells(notebook)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert not [o for cell in cells for o in cell.outputs if o.output_type == "error"]


def test_nothing_is_written_to_the_error_stream(notebook):
    for cell in code_cells(notebook):
        for output in cell.outputs:
            assert output.get("name") != "stderr", output.text


def test_no_path_of_a_machine(notebook):
    assert not MACHINE_PATH.search(nbformat.writes(notebook))


def test_no_definitions_and_short_cells(notebook):
    for cell in code_cells(notebook):
        kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)
        assert not [node for node in ast.walk(ast.parse(cell.source)) if isinstance(node, kinds)]
        imports = [line for line in cell.source.splitlines() if line.startswith(("from", "import"))]
        assert len(cell.source.splitlines()) <= 15 or imports


def test_parameters_stand_in_the_first_notebook_only():
    books = [nbformat.read(path, as_version=4) for path in NOTEBOOKS]
    assert [len(tagged(book, "parameters")) for book in books] == [1, 0, 0, 0, 0]
    assert not any(tagged(book, "injected-parameters") for book in books)


def test_keras_is_visible_where_networks_are_trained():
    for path, network in zip(NOTEBOOKS[2:4], ("segnet(", "deeplab_v3("), strict=True):
        source = "\n".join(cell.source for cell in code_cells(nbformat.read(path, as_version=4)))
        for call in (network, "model.summary(", "model.compile(", "model.fit("):
            assert call in source


def test_every_step_is_introduced(notebook):
    """Up to three code cells may share an introduction, figures of the same kind more."""
    kinds = "".join("c" if cell.cell_type == "code" else "m" for cell in notebook.cells)
    assert kinds.startswith("m") and "cccccc" not in kinds


def test_outputs_are_short(notebook):
    for cell in code_cells(notebook):
        printed = "".join(output.get("text", "") for output in cell.outputs)
        assert len(printed.splitlines()) <= 100


def test_something_is_compared_strictly(notebook):
    """Training results are free; facts in every notebook are compared by nbval."""
    strict = [
        cell
        for cell in code_cells(notebook)
        if cell.outputs and "nbval-ignore-output" not in cell.metadata.get("tags", [])
    ]
    assert strict
    for cell in strict:
        assert "model.fit(" not in cell.source and "results_table(" not in cell.source
