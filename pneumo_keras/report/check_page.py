"""The report of `check`, as text for the terminal and as one HTML file with its pictures."""

import base64
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from pneumo_keras.dataset.check import Examination
from pneumo_keras.dataset.images import read_image, read_mask
from pneumo_keras.dataset.mask_index import label_counts
from pneumo_keras.errors import StudyError
from pneumo_keras.evaluation.predict import overlay
from pneumo_keras.files import write_bytes, write_csv
from pneumo_keras.report.tables import image_table, share_table, split_table
from pneumo_keras.report.templates import render

FILES = ("report.html", "findings.csv", "images.csv")
SIGNATURE = '<meta name="generator" content="pneumo_keras check">'  # in the template
SIDE = 220  # of a picture, pixels
MAX_LINES = 10  # of a kind of finding that `run` does not refuse, and of a table
AREAS = (0, 1, 5, 10, 20, 30, 50, 100)  # upper limits of the annotated area, percent


def verdict(examination: Examination) -> str:
    """What `run` would say, in one line."""
    reasons = len(examination.refusals)
    answer = f"refuse it, for {reasons} reason(s)" if reasons else "accept it"
    return f"{examination.data}: run would {answer}; {len(examination.index)} usable images"


def report_text(examination: Examination) -> str:
    """The report as text: tables, all refusals, and the first findings of each other kind."""
    tables = {title: table.to_string() for title, table in _tables(examination).items()}
    return render("check.txt", tables=tables, examination=examination, limit=MAX_LINES).rstrip()


def report_html(examination: Examination) -> str:
    """The report as HTML that needs no other file and no network; `masks` must still exist."""
    examples, rows = [], {row.image: row for row in examination.index.itertuples()}
    marked = examination.index.query("target_share > 0") if rows else examination.index
    for _, images in marked.groupby("group") if len(marked) else ():
        images = images.sort_values(["target_share", "name"])
        places = sorted({0, len(images) // 2, len(images) - 1})
        examples.append(list(images.iloc[places].itertuples()))
    return render(
        "check.html",
        verdict=verdict(examination),
        examination=examination,
        tables={
            title: table.astype(str).replace("nan", "–").reset_index(names="")
            for title, table in _tables(examination).items()
        },
        images_of=lambda finding: [rows[file] for file in finding.files if file in rows],
        examples=examples,
        picture=lambda row: _picture(examination, row),
    )


def write_reports(examination: Examination, folder: Path) -> Path:
    """Write `report.html`, `findings.csv` and `images.csv`; return the path of the first."""
    page, findings, images = (folder / name for name in FILES)
    write_bytes(page, report_html(examination).encode())
    table = pd.DataFrame(examination.findings, columns=["kind", "files", "message", "refused"])
    table["files"] = table["files"].map(" | ".join)
    table["refused"] = table["refused"].map({True: "yes", False: "no"})
    write_csv(findings, table[["kind", "refused", "files", "message"]])
    write_csv(images, examination.index.drop(columns=["stamp", "mask"], errors="ignore"))
    return page


def refuse_other_files(folder: Path) -> None:
    """Raise StudyError if the folder holds files of these names that `check` did not write."""
    page = folder / FILES[0]
    if page.is_file() and SIGNATURE in page.read_text("utf-8", errors="replace")[:1000]:
        return
    for path in (folder / name for name in FILES):
        if path.exists():
            raise StudyError(f"{path} was not written by check: name another folder with --out")


def _tables(examination: Examination) -> dict[str, pd.DataFrame]:
    """The tables of the report by title; only the first where no image can be used."""
    index, tables = examination.index, {}
    if examination.records:
        tables["Images and patients"] = image_table(list(examination.records)).rename_axis(None)
    if index.empty:
        return tables
    names = ["nothing", *(f"to {percent} %" for percent in AREAS[1:])]
    area = pd.cut(100 * index["target_share"], [-1, *AREAS], labels=names)
    sizes = index["width"].astype(str) + "×" + index["height"].astype(str)
    labels = pd.Series(label_counts(index.to_dict("records")), name="files", dtype=int)
    tables |= {
        "Annotated area, share of the image": share_table(index),
        "Annotated area, images": area.value_counts(sort=False).rename("images").to_frame(),
        "Sizes, width × height in pixels": _counted(sizes),
        "Formats": _counted(index["format"]),
        "Labels": labels.sort_index().to_frame(),
    }
    for name, parts in examination.splits.items():
        tables[name.capitalize()] = split_table(index, parts)
    return {title: table.rename_axis(None) for title, table in tables.items()}


def _counted(values: pd.Series) -> pd.DataFrame:
    """The number of images of each value, the most common first, the rest in one row."""
    counts = values.value_counts()
    common, rest = counts[:MAX_LINES], counts[MAX_LINES:]
    others = pd.Series({f"{len(rest)} others": rest.sum()} if len(rest) else {}, dtype=int)
    return pd.concat([common, others]).rename("images").to_frame()


def _picture(examination: Examination, row: tuple) -> str:
    """An image with its mask, as a data URI."""
    image = read_image(examination.data / row.image)
    mask = read_mask(examination.masks / row.mask).astype(np.uint8)
    scale = SIDE / max(image.shape)
    size = tuple(max(1, round(side * scale)) for side in image.shape[::-1])
    image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    mask = cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST).astype(bool)
    marked = overlay(image, mask)[..., ::-1]  # OpenCV's order is BGR
    _, content = cv2.imencode(".jpg", marked, [cv2.IMWRITE_JPEG_QUALITY, 80])
    return "data:image/jpeg;base64," + base64.b64encode(content).decode()
