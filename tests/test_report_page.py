"""The HTML report and its conclusion: numbers as in the tables, one file, safe with any name."""

import base64
import dataclasses
import hashlib
import io
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser

import cv2
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from report_study import make_study, run

from pneumo_keras.errors import StudyError
from pneumo_keras.evaluation.comparison import compare
from pneumo_keras.evaluation.metrics import score_masks
from pneumo_keras.report.conclusion import conclusion
from pneumo_keras.report.examples import TestedImage as Tested
from pneumo_keras.report.page import choose_shown, make_tile, write_report

NAN = float("nan")
EVIL = "<script>alert('x')</script>\" onload=\"alert(1)"
BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
ROW = {"dice": 0.5, "sensitivity": 0.5, "precision": 0.5, "hd95": 2.0}
ROW |= {"missed": False, "false_alarm": False}


@pytest.fixture(scope="module")
def phantoms(tmp_path_factory):
    return make_study(tmp_path_factory.mktemp("phantoms"))


class Page(HTMLParser):
    """The elements of a page with their attributes, and its text."""

    def __init__(self, html: str):
        super().__init__()
        self.found, self.text = [], ""
        self.feed(html)
        self.text = " ".join(self.text.split())

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data

    def of(self, tag: str) -> list[dict]:
        return [attributes for name, attributes in self.found if name == tag]

    def images(self) -> dict[str, dict]:
        items = [json.loads(item["data-image"]) for item in self.of("li") if "data-image" in item]
        return {item["name"]: item for item in items}


def written(made) -> Page:
    return Page(write_report(made.study, made.findings, *made.test).read_text("utf-8"))


def digest(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def corners(path: str) -> np.ndarray:
    """The points of an SVG path, (points, 2)."""
    return np.array(re.findall(r"\d+", path), int).reshape(-1, 2)


def test_page_has_the_numbers_of_the_tables(phantoms):
    page, findings = written(phantoms), phantoms.findings
    for place, (network, table) in enumerate(findings.scores.items()):
        for row in table.to_dict("records"):
            shown = page.images()[row["name"]]["networks"][place]
            for key in ("dice", "sensitivity", "precision", "hd95"):
                assert shown[key] == (None if np.isnan(row[key]) else round(row[key], 4)), network
    assert page.images()["e"]["networks"][0]["area"] == 12.5  # 20 of 80 rows, 20 of 40 columns
    assert page.images()["e"]["networks"][1]["lungs"] == 50  # twice that, of half the image
    (link,) = [one["href"] for one in page.of("a") if one.get("download")]
    table = pd.read_csv(io.BytesIO(base64.b64decode(link.partition("base64,")[2])))
    both = pd.concat(findings.scores.values())
    assert table["name"].tolist() == both["name"].tolist()
    np.testing.assert_allclose(table["dice"], both["dice"], atol=1e-6)
    for said in ("All 4 test images", "0.625", "not for diagnosis", "HD95, px", "Caption of audit"):
        assert said in page.text, said
    for sentence in findings.conclusion.sentences:
        assert sentence in page.text
    warnings = [one for one in page.of("p") if one.get("class") == "bad"]
    assert len(warnings) == len(findings.conclusion.warnings) == 1


def test_missed_images_and_false_alarms_are_listed(phantoms):
    page = written(phantoms)
    flags = {
        (name, kind): [network[kind] for network in item["networks"]]
        for name, item in page.images().items()
        for kind in ("missed", "false_alarm")
    }
    found = {key: networks for key, networks in flags.items() if any(networks)}
    assert found == {("g", "missed"): [True, False], ("h", "false_alarm"): [True, False]}
    jumps = [one["href"] for one in page.of("a") if one.get("class") == "jump"]
    assert jumps == ["#image-2", "#image-3"]


def test_predictions_of_letterboxed_images_lie_on_their_reference(tmp_path):
    made = make_study(tmp_path, letterbox=True)
    paths = {one["id"]: one["d"] for one in written(made).of("path") if "id" in one}
    reference, predicted = corners(paths["r0"]), corners(paths["p0-1"])
    assert reference.min(axis=0).tolist() == [80, 160]  # 640 pixels for 80 rows
    for side in ("min", "max"):
        apart = getattr(reference, side)(axis=0) - getattr(predicted, side)(axis=0)
        assert np.abs(apart).max() < 640 / 32 / 2  # half a pixel of the network


def test_a_missing_figure_is_named_and_nothing_is_written(phantoms, tmp_path):
    out = shutil.copytree(phantoms.study.out, tmp_path / "copy")
    (out / "figures" / "figure_5.txt").unlink()
    (out / "data" / "report.html").unlink(missing_ok=True)
    with pytest.raises(StudyError, match="figure_5"):
        study = dataclasses.replace(phantoms.study, out=out)
        write_report(study, phantoms.findings, *phantoms.test)
    assert not (out / "data" / "report.html").exists()


def test_outlines_enclose_the_mask_and_leave_out_its_holes():
    rows, columns = np.mgrid[:900, :700]
    radius = np.hypot(rows - 400, columns - 300)
    mask = (radius < 250) & (radius > 100)
    image = np.full(mask.shape, 100, np.uint8)
    tested = Tested("a", "", "virus", image, mask, {"SegNet": mask}, {"SegNet": 1.0})
    tile = make_tile(0, tested, {"SegNet": pd.Series(ROW)})
    assert (tile["width"], tile["height"]) == (498, 640) and tile["data"]["lungs"] is None
    outlines = [corners(part) for part in tile["predicted"][0].split("Z")[:-1]]
    filled = cv2.fillPoly(np.zeros((640, 498), np.uint8), outlines, 1)
    expected = cv2.resize(mask.astype(np.uint8), (498, 640))
    assert len(outlines) == 2 and (filled != expected).mean() < 0.01
    with Image.open(io.BytesIO(base64.b64decode(tile["image"].partition(",")[2]))) as shown:
        assert shown.size == (498, 640)
        assert np.abs(np.asarray(shown.convert("L")).astype(int) - 100).max() < 4


@pytest.mark.parametrize("real", ["", EVIL.replace("/", "")])
def test_page_is_one_safe_file_whatever_the_names(tmp_path, real):
    names = [*"abcd", EVIL, "' & \"", "名 </li>", "\\u003c&lt;{{ x }}"]
    made = make_study(tmp_path, real=real, names=names)
    page = written(made)
    assert list(page.images()) == names[4:]
    labels = [one["aria-label"] for one in page.of("button") if "data-network" in one]
    networks = list(made.findings.scores)
    assert labels == [f"Enlarge {name}, {network}" for name in names[4:] for network in networks]
    assert not any("onload" in attributes for _, attributes in page.found)
    for tag, attributes in page.found:
        for key in {"src", "href", "action", "srcset", "data"} & set(attributes):
            assert attributes[key].startswith(("data:image/", "data:text/csv", "#")), tag
    html = (tmp_path / "data" / "report.html").read_text("utf-8")
    assert "@import" not in html and not re.search(r"url\((?!#)", html)
    (script,) = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)
    (policy,) = [one["content"] for one in page.of("meta") if "http-equiv" in one]
    assert policy.startswith("default-src 'none'")
    assert f"script-src 'sha256-{digest(script)}'" in policy
    assert ("show no patient" in page.text) == (not real)


@settings(max_examples=30)
@given(st.lists(st.one_of(st.just(NAN), st.floats(0, 1)), min_size=1, max_size=40))
def test_of_too_many_images_the_worst_is_shown(dice):
    shown = choose_shown({"SegNet": pd.DataFrame({"dice": np.array(dice, float)})}, count=7)
    assert shown == sorted(set(shown)) and len(shown) == min(7, len(dice))
    scored = [one for one in dice if not np.isnan(one)]
    assert not scored or min(scored) in [dice[row] for row in shown]


def concluded(first: float, second: float, baseline: float, **run_changes):
    """The conclusion about 30 patients of whose 100 pixels such shares are found."""
    generator = np.random.default_rng(3)
    reference = np.ones((30, 10, 10), bool)
    images = pd.DataFrame({"name": [f"i{n}" for n in range(30)]})
    images = images.assign(patient=images["name"], group="virus")

    def table(share: float) -> pd.DataFrame:
        return score_masks(generator.random(reference.shape) < share, reference, images)

    scores = {"SegNet": table(first), "DeepLabV3": table(second)}
    compared = compare(*scores.values(), tuple(scores), metrics=("dice", "sensitivity"))
    runs = {key: run(key, **run_changes) for key in ("segnet", "deeplabv3")}
    return scores, compared, conclusion("x", scores, compared, {"b": table(baseline)}, runs)


def test_conclusion_names_the_better_network_with_the_numbers_of_the_comparison():
    scores, compared, result = concluded(0.3, 0.6, 0.1)
    row = compared[(compared["score"] == "dice") & (compared["average"] == "per image")].iloc[0]
    said = result.sentences[0].replace("−", "-")
    assert "DeepLabV3 is better than SegNet" in said and "30 patients" in said
    assert row["first"] == pytest.approx(scores["SegNet"]["dice"].mean())
    for key in ("first", "second", "difference", "low", "high"):
        assert f"{row[key]:.3f}" in said, key
    assert any("Both networks" in sentence for sentence in result.sentences)
    assert result.warnings == []
    assert "is better" not in concluded(0.5, 0.5, 0.1)[2].sentences[0]


def test_conclusion_warns_of_networks_that_came_to_nothing():
    _, _, result = concluded(0, 1, 0.5, predicts="nothing")
    warnings = "\n".join(result.warnings)
    assert "SegNet marks no pixel" in warnings and "DeepLabV3 marks every pixel" in warnings
    assert "SegNet is no better than the best baseline (b," in warnings
    assert "DeepLabV3 is no better" not in warnings
    assert any("Only DeepLabV3" in sentence for sentence in result.sentences)
    assert warnings.count("predicts nothing") == 2
    (warning,) = concluded(0.5, 0.9, 0.5)[2].warnings
    assert re.match("SegNet is (no|not shown to be) better than the best baseline", warning)


@pytest.mark.slow
@pytest.mark.skipif(not BROWSER, reason="no Chromium on this machine")
def test_a_browser_filters_and_enlarges(tmp_path):
    made = make_study(tmp_path, names=[*"abcd", "image10", EVIL, "image9", "image8"])
    html = write_report(made.study, made.findings, *made.test).read_text("utf-8")
    (script,) = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)
    changed = script + (
        "at('list').value = '0.missed'; at('search').value = 'IMAGE'; update();"
        "gallery.querySelector('button').click(); at('fill').click();"
    )
    html = html.replace(script, changed).replace(digest(script), digest(changed))
    (tmp_path / "changed.html").write_text(html, "utf-8")
    command = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"]
    command += [f"--user-data-dir={tmp_path / 'profile'}", (tmp_path / "changed.html").as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    page = Page(done.stdout)
    assert list(page.images()) == ["image9"]
    assert "open" in page.of("dialog")[0] and "no-fill" in page.of("html")[0]["class"]
    (picture,) = [one for one in page.of("image") if "id" not in one]
    assert picture["href"].startswith("data:image/webp;base64,")
