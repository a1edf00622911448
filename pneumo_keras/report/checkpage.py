"""The report on a data folder as a page: one HTML file with its pictures in it."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from jinja2 import Environment, PackageLoader

from pneumo_keras.dataset.checking import Examination, Finding
from pneumo_keras.dataset.films import read_film, read_mask
from pneumo_keras.errors import StudyError
from pneumo_keras.evaluation.overlay import overlay
from pneumo_keras.report.checktext import tables, verdict

SIGNATURE = '<meta name="generator" content="pneumo_keras check">'
SIDE = 220  # of a picture, pixels
MOST = 40  # findings with pictures
TOGETHER = 4  # pictures of one finding
GROUPS = 12


@dataclass(frozen=True)
class Picture:
    """A film with what is marked on it.

    Attributes:
        caption: its name and what is worth saying.
        source: a data URI.
    """

    caption: str
    source: str


def report_page(examination: Examination) -> str:
    """The report as HTML that needs no other file and no network.

    Args:
        examination: of `examine`, its folder of masks still there.
    """
    template = Environment(
        loader=PackageLoader("pneumo_keras.report", "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    ).get_template("check.html")
    return template.render(
        verdict=verdict(examination),
        refused=bool(examination.refusals),
        tables={title: _table(table) for title, table in tables(examination).items()},
        findings=_findings(examination),
        examples=_examples(examination),
    )


def _table(table: pd.DataFrame) -> dict[str, list]:
    columns = ["", *table.columns]
    return {"columns": columns, "rows": [list(map(_cell, row)) for row in table.itertuples()]}


def _cell(value: object) -> str:
    if isinstance(value, float):
        return "–" if np.isnan(value) else f"{value:g}"
    return str(value)


def _findings(examination: Examination) -> list[tuple[Finding, list[Picture]]]:
    """Every finding, the first of them with pictures of their films."""
    index = examination.index
    by_file = {} if index.empty else {row.film: row for row in index.itertuples()}
    shown, pictured = [], 0
    for finding in examination.findings:
        rows = [by_file[file] for file in finding.files if file in by_file][:TOGETHER]
        rows = rows if pictured < MOST else []
        pictured += bool(rows)
        pictures = [_picture(examination, row, f"{row.film} · {row.patient}") for row in rows]
        shown.append((finding, pictures))
    return shown


def _examples(examination: Examination) -> list[Picture]:
    """Of each group the films with the least, the median and the most of the target."""
    if examination.index.empty:
        return []
    pictures = []
    marked = examination.index[examination.index["target_share"] > 0]
    for group, films in list(marked.groupby("group"))[:GROUPS]:
        ordered = films.sort_values(["target_share", "name"])
        places = dict.fromkeys((0, len(ordered) // 2, len(ordered) - 1))
        for row in ordered.iloc[list(places)].itertuples():
            caption = f"{row.film} · {group} · {row.target_share:.1%} marked"
            pictures.append(_picture(examination, row, caption))
    return pictures


def _picture(examination: Examination, row: tuple, caption: str) -> Picture:
    film = read_film(examination.data / row.film)
    mask = read_mask(examination.masks / row.mask)
    scale = SIDE / max(film.shape)
    size = tuple(max(1, round(side * scale)) for side in film.shape[::-1])
    film = cv2.resize(film, size, interpolation=cv2.INTER_AREA)
    mask = cv2.resize(mask.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)
    marked = overlay(film, mask.astype(bool))[..., ::-1]  # OpenCV's order is BGR
    _, content = cv2.imencode(".jpg", marked, [cv2.IMWRITE_JPEG_QUALITY, 80])
    source = "data:image/jpeg;base64," + base64.b64encode(content).decode()
    return Picture(caption, source)


def refuse_foreign(folder: Path, files: tuple[str, ...]) -> None:
    """Refuses a folder that holds files of these names which `check` did not write.

    Args:
        folder: where the report is to go.
        files: its names, the page first.

    Raises:
        StudyError: naming the file in the way.
    """
    page = folder / files[0]
    ours = page.is_file() and SIGNATURE in page.read_text("utf-8", errors="replace")[:1000]
    for name in files:
        if (folder / name).exists() and not ours:
            raise StudyError(
                f"{folder / name} is there and no report of ours: name another folder with --out"
            )
