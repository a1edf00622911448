"""The HTML report: one file that a browser opens without a network.

Text is in `templates/report.html`. Names from the data are escaped, and a content security policy
lets no script run but the page's own.
"""

import base64
import hashlib
import io
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from PIL import Image

import pneumo_keras
from pneumo_keras.config import NETWORKS
from pneumo_keras.errors import StudyError
from pneumo_keras.files import csv_bytes, write_bytes
from pneumo_keras.report.conclusion import Findings
from pneumo_keras.report.examples import TestedImage, tested_images
from pneumo_keras.report.results import comparison_table, parameter_table, readable
from pneumo_keras.report.style import FALSE_NEGATIVE, FALSE_POSITIVE, REFERENCE, TRUE_POSITIVE
from pneumo_keras.report.templates import render
from pneumo_keras.study import Study

SIDE = 640  # longer side of an image in the report, pixels
QUALITY = 60  # of its WebP
MAX_IMAGES = 200  # keeps the file below about 10 MB
FIGURE_WIDTH, FIGURE_QUALITY = 1440, 85
TOLERANCE = 0.7  # of an outline, pixels
COLOURS = {"reference": REFERENCE, "tp": TRUE_POSITIVE, "fp": FALSE_POSITIVE, "fn": FALSE_NEGATIVE}
FIGURES = (
    *("figure_1", "figure_2", "figure_3", "figure_4", "figure_5", "figure_6", "figure_7"),
    *("figure_8", "differences", "agreement", "errors_segnet", "errors_deeplabv3", "error_maps"),
    *("reliability", "precision_recall", "threshold", "audit"),
)


def write_report(
    study: Study,
    findings: Findings,
    images: pd.DataFrame,
    probabilities: dict[str, np.ndarray],
    thresholds: dict[str, float],
) -> Path:
    """Write the HTML report, `data/report.html` in the study's folder, and return its path.

    Args:
        study: its figures are embedded.
        findings: results of notebook 05.
        images: one row per test image, of the index of masks.
        probabilities: by network, (images, size, size), 0..1.
        thresholds: by network.

    Raises:
        StudyError: if a figure is missing or the report cannot be written.
    """
    scores = {name: _with_failures(table) for name, table in findings.scores.items()}
    rows = choose_shown(scores)
    places = (images, study.data, study.masks)
    results = (probabilities, thresholds, scores)
    tested = tested_images(rows, *places, *results, study.recipe.letterbox)
    lungs = images.get("share_lung", pd.Series(np.nan, images.index)).to_numpy(float)
    tiles = []
    for row, one in zip(rows, tested, strict=True):
        of_image = {name: table.iloc[row] for name, table in scores.items()}
        tiles.append(make_tile(len(tiles), one, of_image, lungs[row]))
    names = tuple(scores)
    unit = scores[names[0]]["unit"].iloc[0]
    tables = {
        "Table 1. Parameters": parameter_table(findings.runs),
        "Table 2. Test images, 95 % intervals over patients": readable(findings.table_2),
    }
    compared = f"{names[0]} minus {names[1]} (HD95, ASSD: {unit})"
    tables[compared] = comparison_table(findings.comparison, names)
    tables |= {f"Variation: {key}": readable(one) for key, one in findings.variations.items()}
    script = render("report.js")
    html = render(
        "report.html",
        title=f"{' and '.join(names)}: {study.target} on {study.title}",
        phantoms=study.is_phantoms,
        source=study.title,
        conclusion=findings.conclusion,
        csv=_base64(_csv(scores, images)),
        tiles=tiles,
        numbers={tile["name"]: tile["number"] for tile in tiles},
        images_total=len(images),
        networks=names,
        failures={
            name: {kind: table["name"][table[kind]].tolist() for kind in ("missed", "false_alarm")}
            for name, table in scores.items()
        },
        groups=sorted({tile["group"] for tile in tiles}),
        lungs=any(tile["data"]["lungs"] is not None for tile in tiles),
        unit=unit,
        size=study.recipe.size,
        figures=[_figure(study.figures / f"{name}.png") for name in FIGURES],
        tables=tables,
        runs={NETWORKS[key]: run for key, run in findings.runs.items()},
        colours=COLOURS,
        script=script,
        script_hash="sha256-" + _base64(hashlib.sha256(script.encode()).digest()),
        version=pneumo_keras.__version__,
    )
    path = study.out / "data" / "report.html"
    write_bytes(path, html.encode())
    return path


def choose_shown(scores: dict[str, pd.DataFrame], count: int = MAX_IMAGES) -> list[int]:
    """Choose the rows of the images that the report shows: all, or `count` of them.

    If there are too many, the images are ranked by the mean Dice of the networks, those with an
    empty reference last, and evenly spaced ranks are chosen, with the first and the last.

    Example:
        >>> table = pd.DataFrame({"dice": [0.9, 0.1, float("nan"), 0.5, 0.4]})
        >>> choose_shown({"SegNet": table}, count=3)
        [1, 2, 3]
    """
    dice = np.mean([table["dice"].to_numpy(float) for table in scores.values()], axis=0)
    ranked = np.argsort(dice, kind="stable")  # NaN comes last
    if len(ranked) > count:
        ranked = ranked[np.round(np.linspace(0, len(ranked) - 1, count)).astype(int)]
    return sorted(int(row) for row in ranked)


def make_tile(
    number: int, tested: TestedImage, scores: dict[str, pd.Series], lungs: float = np.nan
) -> dict:
    """Reduce a test image and its masks to what the report shows.

    Args:
        number: of the tile.
        tested: the image at its own size.
        scores: by network, the image's row in the table of scores, with `missed` (nothing of the
            target was found) and `false_alarm` (something was marked though there is no target).
        lungs: share of the image that the outlined lungs take up, 0..1; NaN if not known.

    Returns:
        `width` and `height` of the frame of the outlines, pixels; `image` as data URI; `reference`
        and `predicted`, by network, as SVG paths; `data`, what the page sorts by and prints:
        `area` and `lungs`, the marked area in percent of the image and of the lungs, and
        `networks` with the same and the scores of each.

    Example:
        >>> image, mask = np.zeros((400, 200), np.uint8), np.zeros((400, 200), bool)
        >>> mask[100:200, 50:150] = True
        >>> row = pd.Series({"dice": 1, "sensitivity": 1, "precision": 1, "hd95": 0.0,
        ...                  "missed": False, "false_alarm": False})
        >>> tested = TestedImage("a", "", "virus", image, mask, {"SegNet": mask}, {"SegNet": 1.0})
        >>> tile = make_tile(0, tested, {"SegNet": row}, lungs=0.25)
        >>> tile["width"], tile["height"], tile["data"]["area"], tile["data"]["lungs"]
        (320, 640, 12.5, 50.0)
    """
    height, width = tested.image.shape
    scale = SIDE / max(height, width)
    frame = (max(1, round(scale * width)), max(1, round(scale * height)))
    image = tested.image
    if scale < 1:
        image = cv2.resize(image, frame, interpolation=cv2.INTER_AREA)

    def of_area(mask: np.ndarray) -> dict[str, float | None]:
        area = 100 * float(mask.mean())
        return {"area": _rounded(area), "lungs": _rounded(area / (lungs or np.nan))}

    networks = [
        {
            **{key: _rounded(row[key]) for key in ("dice", "sensitivity", "precision", "hd95")},
            **of_area(tested.predicted[name]),
            "missed": bool(row["missed"]),
            "false_alarm": bool(row["false_alarm"]),
        }
        for name, row in scores.items()
    ]
    common = {"name": tested.name, "group": tested.group}
    return common | {
        "number": number,
        "patient": tested.patient,
        "width": frame[0],
        "height": frame[1],
        "image": _webp(Image.fromarray(image), QUALITY),
        "reference": _path(tested.reference, frame),
        "predicted": [_path(tested.predicted[name], frame) for name in scores],
        "data": common | of_area(tested.reference) | {"networks": networks},
    }


def _rounded(value: float) -> float | None:
    return None if not np.isfinite(value) else round(float(value), 4)


def _path(mask: np.ndarray, frame: tuple[int, int]) -> str:
    """The outlines of a mask as SVG path, holes included, in a frame of (width, height)."""
    shrinks = frame[0] < mask.shape[1]
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    scaled = cv2.resize(mask.astype(np.float32), frame, interpolation=method) >= 0.5
    contours, _ = cv2.findContours(scaled.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    simple = [cv2.approxPolyDP(contour, TOLERANCE, closed=True) for contour in contours]
    return "".join("M" + " ".join(map(str, points.ravel())) + "Z" for points in simple)


def _with_failures(table: pd.DataFrame) -> pd.DataFrame:
    target, hit = table["tp"] + table["fn"] > 0, table["tp"] > 0
    return table.assign(missed=target & ~hit, false_alarm=~target & (table["fp"] > 0))


def _csv(scores: dict[str, pd.DataFrame], images: pd.DataFrame) -> bytes:
    table = pd.concat(scores, names=["network"]).reset_index(level="network")
    shares = [column for column in ("share_lung", "target_share_in_lung") if column in images]
    table = table.merge(images[["name", *shares]], on="name", how="left")
    return csv_bytes(table.round(6))


def _figure(path: Path) -> dict[str, str | int]:
    try:
        caption = path.with_suffix(".txt").read_text("utf-8").strip()
        with Image.open(path) as image:
            image.thumbnail((FIGURE_WIDTH, image.height))
            source = _webp(image, FIGURE_QUALITY)
    except OSError:
        raise StudyError(
            f"{path}: figure or caption is missing; run notebook 05 from the top"
        ) from None
    return {"source": source, "caption": caption, "width": image.width, "height": image.height}


def _webp(image: Image.Image, quality: int) -> str:
    stream = io.BytesIO()
    image.save(stream, "WEBP", quality=quality)
    return "data:image/webp;base64," + _base64(stream.getvalue())


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()
