"""The report as one HTML file that a browser opens without a network.

Tables, figures and thumbnails are inside the file. Whatever comes from data (names of films,
groups, patients) is escaped, and a content security policy lets no script run but the page's own.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import jinja2
import numpy as np
import pandas as pd

import pneumo_keras
from pneumo_keras.dataset.files import write_whole
from pneumo_keras.errors import StudyError
from pneumo_keras.evaluation.overlay import MARK
from pneumo_keras.report.page.thumbnails import Thumbnails
from pneumo_keras.report.style import FALSE_NEGATIVE, FALSE_POSITIVE, TRUE_POSITIVE


@dataclass(frozen=True, eq=False)
class Page:
    """What the report says and shows.

    Attributes:
        title: of the page.
        facts: what was run, from `run_facts`.
        tables: by caption, in their order; the first column heads the rows.
        figures: PNG files as `save_figure` writes them, the caption in the `.txt` beside each.
        films: the test films that are shown, all with the same networks.
        films_in_all: how many test films there are.
        phantoms: whether the films are phantoms, which the page then says at its top.
    """

    title: str
    facts: dict[str, str]
    tables: dict[str, pd.DataFrame]
    figures: Sequence[Path]
    films: Sequence[Thumbnails]
    films_in_all: int
    phantoms: bool


def page_html(page: Page) -> str:
    """The report as HTML.

    Raises:
        StudyError: if a figure is not there.

    Example:
        >>> html = page_html(Page("A <b> c", {"Recipe": "quick"}, {}, [], [], 0, phantoms=True))
        >>> "<h1>A &lt;b&gt; c</h1>" in html, "drawn by a program" in html
        (True, True)
    """
    script = _part("page.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True
    )
    return environment.from_string(_part("template.html")).render(
        title=page.title,
        facts=page.facts,
        phantoms=page.phantoms,
        tables=[_table(caption, table) for caption, table in page.tables.items()],
        figures=[_figure(path) for path in page.figures],
        films=page.films,
        films_in_all=page.films_in_all,
        networks=list(page.films[0].dice) if page.films else [],
        groups=sorted({film.group for film in page.films}),
        colours={
            "truth": MARK,
            "tp": TRUE_POSITIVE,
            "fp": FALSE_POSITIVE,
            "fn": FALSE_NEGATIVE,
        },
        style=_part("page.css"),
        script=script,
        script_hash=f"sha256-{digest}",
        version=pneumo_keras.__version__,
    )


def write_page(path: Path, page: Page) -> None:
    """Writes the report whole or not at all.

    Args:
        path: the HTML file; its folder is made.
        page: what it says and shows.

    Raises:
        StudyError: if a figure is not there, or the file cannot be written.
    """
    write_whole(path, page_html(page).encode())


def run_facts(source: str, runs: dict[str, dict]) -> dict[str, str]:
    """What was run, from the `run.json` of each network, for the head of the report.

    Args:
        source: what the films are, `phantoms` or the name of their folder.
        runs: by network as the paper writes it; data and recipe are the same in all.

    Example:
        >>> run = {
        ...     "target": "pneumonia", "films": {"train": 6, "validation": 2, "test": 3},
        ...     "recipe": {"name": "quick", "size": 96, "split_by": "patient", "seed": 1},
        ...     "weights": "random", "epochs_run": 2, "threshold": 0.5, "seconds": 90.0,
        ...     "device": "CPU, 2 cores", "system": "Linux x86_64", "python": "3.11.7",
        ...     "backend": "tensorflow", "versions": {"keras": "3.15.1"},
        ... }
        >>> facts = run_facts("phantoms", {"SegNet": run})
        >>> facts["Films"], facts["SegNet"]
        ('6 train, 2 validation, 3 test', 'weights: random; 2 epochs in 90 s; threshold 0.5')
    """
    run = next(iter(runs.values()))
    recipe = run["recipe"]
    facts = {
        "Data": source,
        "Target": run["target"],
        "Films": ", ".join(f"{count} {part}" for part, count in run["films"].items()),
        "Split": f"by {recipe['split_by']}, seed {recipe['seed']}",
        "Recipe": f"{recipe['name']}, films {recipe['size']}×{recipe['size']} pixels",
    }
    for network, one in runs.items():
        facts[network] = (
            f"weights: {one['weights']}; {one['epochs_run']} epochs in {one['seconds']:.0f} s; "
            f"threshold {one['threshold']:g}"
        )
    versions = ", ".join(f"{package} {version}" for package, version in run["versions"].items())
    facts["Hardware"] = f"{run['device']}, {run['system']}"
    facts["Software"] = f"Python {run['python']}, {versions}"
    return facts


def _part(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text("utf-8")


def _table(caption: str, table: pd.DataFrame) -> dict:
    rows = [[_cell(value) for value in row] for row in table.itertuples(index=False)]
    return {"caption": caption, "heads": [str(head) for head in table.columns], "rows": rows}


def _cell(value) -> tuple[str, bool]:
    """A value as text, and whether it is a number."""
    if pd.isna(value):
        return "–", True
    if isinstance(value, (float, np.floating)):
        return f"{value:.3f}", True
    return str(value), isinstance(value, (int, np.integer))


def _figure(path: Path) -> dict:
    try:
        picture = Path(path).read_bytes()
        caption = Path(path).with_suffix(".txt").read_text("utf-8").strip()
    except OSError as error:
        raise StudyError(
            f"{error.filename}: figure or caption not there; run notebook 05 from its top"
        ) from None
    return {
        "uri": "data:image/png;base64," + base64.b64encode(picture).decode(),
        "caption": caption,
    }
