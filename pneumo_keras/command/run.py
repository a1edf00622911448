"""Executes the five notebooks, one after another, with one set of parameters."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from argparse import Namespace
from pathlib import Path

import nbformat
import pandas as pd
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, DeadKernelError
from tqdm import tqdm

from pneumo_keras.dataset.files import written_whole
from pneumo_keras.errors import StudyError
from pneumo_keras.report.certainty import readable
from pneumo_keras.study import Study, open_study

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"


def run(options: Namespace) -> None:
    """Runs `python -m pneumo_keras run`.

    The executed notebooks are kept in `data/notebooks` of the study; those of the clone stay
    as they are.

    Raises:
        StudyError: if the input does not allow the study, or a cell fails.
    """
    parameters = {
        "data": str(options.data.resolve()) if options.data else "",
        "target": options.target,
        "labels": options.labels,
        "recipe": options.recipe,
        "settings": parse_settings(options),
        "skip_bad": options.skip_bad,
        "source": options.source,
        "normals": options.normals,
        "allow_outside": options.allow_outside,
        "out": str(options.out.resolve()),
        "resume": options.resume,
    }
    notebooks = sorted(NOTEBOOKS.glob("0*.ipynb"))
    if not notebooks:
        raise StudyError(f"{NOTEBOOKS}: no notebooks; run from a clone of the repository")
    of_films = ("skip_bad", "allow_outside")
    study = open_study(**{key: value for key, value in parameters.items() if key not in of_films})
    _execute_all(notebooks, parameters, study.out / "data" / "notebooks")
    _say_where(study)


def parse_settings(options: Namespace) -> dict[str, str]:
    """What `--set`, `--seeds`, `--design` and `--devices` change of the recipe.

    Args:
        options: with `settings`, texts KEY=VALUE; and `seeds`, `design` and `devices` where the
            command has them, None if not given.

    Raises:
        StudyError: for text without `=`, a setting given twice and differently, or all devices
            of several hosts, which `run` cannot drive.

    Example:
        >>> parse_settings(Namespace(settings=["epochs=3", "segnet_weights=vgg16.h5"]))
        {'epochs': '3', 'segnet_weights': 'vgg16.h5'}
    """
    if getattr(options, "devices", None) == "all" and os.environ.get("TF_CONFIG"):
        raise StudyError(
            "TF_CONFIG: a run has one host; unset it here, then start "
            "`python -m pneumo_keras train NETWORK --out DIR` on every host"
        )
    for pair in options.settings:
        if "=" not in pair:
            raise StudyError(f"--set {pair}: write it as KEY=VALUE")
    settings = dict(pair.split("=", 1) for pair in options.settings)
    for name in ("seeds", "design", "devices"):
        value = getattr(options, name, None)
        if value is None:
            continue
        if settings.get(name, value) != value:
            raise StudyError(f"--{name} {value} and --set {name}={settings[name]}: give one")
        settings[name] = value
    return settings


def _execute_all(notebooks: list[Path], parameters: dict, folder: Path) -> None:
    books = {path: nbformat.read(path, as_version=4) for path in notebooks}
    for book in books.values():
        _inject(book, parameters)
    cells = sum(cell.cell_type == "code" for book in books.values() for cell in book.cells)
    with tqdm(total=cells, unit="cell", file=sys.stderr) as bar:
        for path, book in books.items():
            try:
                _execute(path, book, bar)
            except StudyError:
                raise  # the input, not the notebook: nothing is left behind
            except BaseException:
                _keep(book, folder / path.name)
                raise
            _keep(book, folder / path.name)


def _keep(book: nbformat.NotebookNode, path: Path) -> None:
    with written_whole(path) as temporary:
        nbformat.write(book, temporary)


def _inject(book: nbformat.NotebookNode, parameters: dict) -> None:
    """Puts this run's values behind the cell of default parameters, for those that stand there."""
    position = next(
        number
        for number, cell in enumerate(book.cells)
        if "parameters" in cell.metadata.get("tags", [])
    )
    body = ast.parse(book.cells[position].source).body
    names = [line.targets[0].id for line in body if isinstance(line, ast.Assign)]
    source = "\n".join(f"{name} = {parameters[name]!r}" for name in names)
    cell = nbformat.v4.new_code_cell(source, metadata={"tags": ["injected-parameters"]})
    book.cells.insert(position + 1, cell)


class _Client(NotebookClient):
    """A notebook client that hands on the last line that a cell prints."""

    def __init__(self, book: nbformat.NotebookNode, show, **settings):
        super().__init__(book, **settings)
        self._show = show

    def process_message(self, message, cell, cell_index):
        if message["msg_type"] == "stream":
            lines = message["content"]["text"].replace("\r", "\n").strip().splitlines()
            if lines:
                self._show(lines[-1])
        return super().process_message(message, cell, cell_index)


def _execute(path: Path, book: nbformat.NotebookNode, bar: tqdm) -> None:
    numbers = {
        position: number
        for number, position in enumerate(
            (p for p, cell in enumerate(book.cells) if cell.cell_type == "code"), start=1
        )
    }

    def started(cell, cell_index):
        if cell.cell_type == "code":
            bar.set_description(f"{path.stem}, cell {numbers[cell_index]} of {len(numbers)}")
            bar.set_postfix_str("")

    def ended(cell, cell_index, execute_reply):
        bar.update(cell.cell_type == "code")

    client = _Client(
        book,
        show=lambda line: bar.set_postfix_str(line[:90]),
        timeout=None,
        kernel_name="python3",
        resources={"metadata": {"path": str(path.parent)}},
        on_cell_start=started,
        on_cell_executed=ended,
    )
    try:
        # What a kernel logs is no news to the user; what goes wrong in a cell comes as its error.
        client.execute(stderr=subprocess.DEVNULL)
    except CellExecutionError as error:
        bar.close()
        if error.ename == "StudyError":
            raise StudyError(error.evalue) from None
        print(error.traceback, file=sys.stderr)
        raise SystemExit(f"pneumo_keras: {path.name} failed, see {path.name} in data/notebooks")
    except DeadKernelError:
        bar.close()
        raise StudyError(
            f"{path.name}: its kernel died, most likely for want of memory: "
            "try a smaller batch_size or size with --set"
        ) from None


def _say_where(study: Study) -> None:
    """Ends a run: where its results are, and Table 2."""
    table = pd.read_csv(study.figures / "table_2.csv")
    whole = [column for column in table if column.startswith(("Films", "Patients"))]
    table = readable(table.astype(dict.fromkeys(whole, "Int64")))
    print(
        f"\nTables and Figures are in {study.figures}, the executed notebooks in "
        f"{study.out / 'data' / 'notebooks'}.\n"
    )
    print(f"Table 2. {study.caption()}.\n")
    print(table.astype(object).where(table.notna(), "–").to_string(index=False))
