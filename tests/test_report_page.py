"""The HTML report: whole in one file, escaped, sortable; opened in a browser where there is one."""

import base64
import hashlib
import io
import re
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pneumo_keras.errors import StudyError
from pneumo_keras.report.films.panels import TestedFilm as Film
from pneumo_keras.report.page.page import Page, page_html, run_facts, write_page
from pneumo_keras.report.page.thumbnails import choose_shown, thumbnails
from pneumo_keras.report.style import (
    FALSE_NEGATIVE,
    FALSE_POSITIVE,
    TRUE_POSITIVE,
    drawing,
    save_figure,
)

NAN = float("nan")
EVIL = "<script>alert('x')</script>\" onload=\"alert(1)"
BROWSER = shutil.which("chromium") or shutil.which("google-chrome") or shutil.which("chrome")


class Elements(HTMLParser):
    """Every element of a page with its attributes, and the text of all of it."""

    def __init__(self, html: str):
        super().__init__()
        self.found, self.text = [], []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text.append(data)

    def of(self, tag: str) -> list[dict]:
        return [attributes for name, attributes in self.found if name == tag]


def tested(name: str, dice: float, group: str = "virus", patient: str = "17") -> Film:
    film = np.full((320, 160), 100, np.uint8)
    truth, predicted = np.zeros((2, 320, 160), bool)
    truth[:160] = not np.isnan(dice)
    predicted[80:240] = True
    networks = {"SegNet": predicted, "DeepLabV3": truth}
    scores = {"SegNet": dice, "DeepLabV3": NAN if np.isnan(dice) else 1.0}
    return Film(name, patient, group, film, truth, networks, scores)


SMALL = thumbnails(tested("a", 0.5))


def page(films=(), **changes) -> Page:
    content = {
        "title": "Two networks",
        "facts": {"Data": "phantoms"},
        "tables": {},
        "figures": [],
        "films": [thumbnails(film) for film in films],
        "films_in_all": len(films),
        "phantoms": True,
    }
    return Page(**{**content, **changes})


def digest(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def picture(uri: str) -> np.ndarray:
    head, content = uri.split(",")
    assert head == "data:image/webp;base64"
    with Image.open(io.BytesIO(base64.b64decode(content))) as image:
        return np.asarray(image.convert("RGB")).astype(int)


def test_thumbnails_keep_the_shape_and_show_the_errors():
    small = thumbnails(tested("a", 0.5))
    assert (small.width, small.height) == (80, 160)
    assert small.area == 50 and small.marked == {"SegNet": 50, "DeepLabV3": 50}
    errors = picture(small.pictures["SegNet"])
    assert errors.shape == (160, 80, 3)
    # From top to bottom: overlooked, found, marked wrongly, rightly left alone.
    for row, colour in ((20, FALSE_NEGATIVE), (60, TRUE_POSITIVE), (100, FALSE_POSITIVE)):
        tint = np.array([int(colour[place : place + 2], 16) for place in (1, 3, 5)])
        assert np.abs(errors[row, 40] - (0.55 * 100 + 0.45 * tint)).max() < 12
    assert np.abs(errors[140, 40] - 100).max() < 4
    assert np.abs(picture(small.pictures["film"]) - 100).max() < 4


def test_small_films_are_not_enlarged():
    film, mask = np.zeros((30, 50), np.uint8), np.zeros((30, 50), bool)
    small = thumbnails(Film("a", "", "x", film, mask, {"SegNet": mask}, {"SegNet": NAN}))
    assert (small.width, small.height) == (50, 30)


@settings(max_examples=30)
@given(st.lists(st.one_of(st.just(NAN), st.floats(0, 1)), min_size=1, max_size=40))
def test_of_too_many_films_worst_and_last_are_shown(dice):
    table = pd.DataFrame({"dice": np.array(dice, float)})
    shown = choose_shown({"SegNet": table}, most=7)
    assert shown == sorted(set(shown)) and len(shown) == min(7, len(dice))
    scored = [one for one in dice if not np.isnan(one)]
    if scored:
        assert min(scored) in [dice[row] for row in shown]


def test_networks_tested_on_unequal_films_are_refused():
    tables = {"SegNet": pd.DataFrame({"dice": [0.1]}), "DeepLabV3": pd.DataFrame({"dice": []})}
    with pytest.raises(StudyError, match="unequal numbers of films"):
        choose_shown(tables)


def test_nothing_from_data_becomes_markup():
    html = page_html(
        page(
            [tested(EVIL, 0.5, group=EVIL, patient=EVIL)],
            title=EVIL,
            facts={EVIL: EVIL},
            tables={EVIL: pd.DataFrame({EVIL: [EVIL], "Dice": [0.5]})},
        )
    )
    elements = Elements(html)
    assert len(elements.of("script")) == 1
    assert not any("onload" in attributes for _, attributes in elements.found)
    assert [item["data-name"] for item in elements.of("li") if "data-name" in item] == [EVIL]
    assert "".join(elements.text).count(EVIL) >= 9  # all of it is there to read


NAMES = st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), min_size=1, max_size=20)


@settings(max_examples=10, deadline=None)
@given(st.lists(NAMES, min_size=1, max_size=8))
def test_any_name_is_read_back_as_it_was(names):
    films = [replace(SMALL, name=name) for name in names]
    elements = Elements(page_html(replace(page(), films=films, films_in_all=len(films))))
    assert [item["data-name"] for item in elements.of("li") if "data-name" in item] == names


def test_page_needs_no_network_and_runs_no_other_script():
    html = page_html(page([tested("a", 0.5)]))
    elements = Elements(html)
    for tag, attributes in elements.found:
        for key in ("src", "href", "action", "srcset", "data"):
            if key in attributes:
                assert attributes[key].startswith(("data:image/", "#")), (tag, attributes[key])
    assert "url(" not in html and "@import" not in html
    policy = next(
        one["content"]
        for one in elements.of("meta")
        if "content" in one and one.get("http-equiv") == "Content-Security-Policy"
    )
    script = re.search(r"<script>(.*)</script>", html, re.DOTALL).group(1)
    assert policy.startswith("default-src 'none'")
    assert f"script-src 'sha256-{digest(script)}'" in policy


def test_every_picture_has_a_text_and_every_control_a_label(tmp_path):
    with drawing(1, 1) as figure:
        figure.text(0.5, 0.5, "x")
    save_figure(figure, "figure_9", "Nine <of> them.", tmp_path)
    html = page_html(page([tested("a", 0.5)], figures=[tmp_path / "figure_9.png"]))
    elements = Elements(html)
    assert elements.of("html") == [{"lang": "en"}]
    texts = [image["alt"] for image in elements.of("img")]
    assert texts == [
        "Nine <of> them.",
        "a: film",
        "a: truth",
        "a: errors of SegNet",
        "a: errors of DeepLabV3",
    ]
    assert all(
        re.search(rf'<label>[^<]+<select id="{one["id"]}"', html) for one in elements.of("select")
    )
    embedded = elements.of("img")[0]["src"].removeprefix("data:image/png;base64,")
    assert base64.b64decode(embedded) == (tmp_path / "figure_9.png").read_bytes()


def test_page_says_what_the_films_are_and_how_many_are_shown():
    films = [tested("a", 0.5), tested("b", NAN, group="normal")]
    said = " ".join("".join(Elements(page_html(page(films))).text).split())
    assert "not for diagnosis" in said and "drawn by a program, of no patient" in said
    assert "All 2 test films." in said
    assert "nothing to find" in said and "50.0 % marked" in said and "Dice 0.50" in said
    fewer = page(films, films_in_all=900, phantoms=False)
    said = " ".join("".join(Elements(page_html(fewer)).text).split())
    assert "2 of 900 test films, spread evenly" in said and "of no patient" not in said


def test_tables_show_numbers_to_three_decimals_and_gaps_as_dashes():
    table = pd.DataFrame(
        {"Network": ["SegNet"], "Dice": [0.12345], "n": [250], "HD95": [NAN], "Text": ["1 to 2"]}
    ).astype({"n": "Int64"})
    html = page_html(page(tables={"Table 2": table}))
    assert '<th scope="row">SegNet</th>' in html
    assert re.findall(r"<td[^>]*>([^<]*)</td>", html) == ["0.123", "250", "–", "1 to 2"]


def test_a_figure_that_is_not_there_is_named_and_nothing_is_written(tmp_path):
    path = tmp_path / "report.html"
    with pytest.raises(StudyError, match="figure_5.png: figure or caption not there"):
        write_page(path, page(figures=[tmp_path / "figure_5.png"]))
    assert list(tmp_path.iterdir()) == []
    write_page(path, page())
    assert path.read_text("utf-8").startswith("<!doctype html>")


def test_facts_are_those_of_the_run():
    run = {
        "target": "lung",
        "films": {"train": 6, "validation": 2, "test": 3},
        "recipe": {"name": "paper", "size": 256, "split_by": "image", "seed": 4},
        "weights": "imagenet",
        "epochs_run": 50,
        "threshold": 0.35,
        "seconds": 12.4,
        "device": "GPU",
        "system": "Linux",
        "python": "3.12.1",
        "versions": {"keras": "3.15.1"},
    }
    facts = run_facts("lungs", {"SegNet": run, "DeepLabV3": {**run, "epochs_run": 7}})
    assert facts["Split"] == "by image, seed 4"
    assert facts["DeepLabV3"] == "weights: imagenet; 7 epochs in 12 s; threshold 0.35"
    assert facts["Hardware"] == "GPU, Linux"


@pytest.mark.slow
@pytest.mark.skipif(not BROWSER, reason="no Chromium on this machine")
def test_a_browser_sorts_and_filters(tmp_path):
    films = [
        tested("film10", 0.9),
        tested("film9", 0.2),
        tested("film8", NAN, group="normal"),
        tested(EVIL, 0.5),
    ]
    path = tmp_path / "report.html"
    write_page(path, page(films))

    def shown(changes: str) -> tuple[list[str], str]:
        # The policy lets no script run but the one whose digest it names.
        html = path.read_text("utf-8")
        script = re.search(r"<script>(.*)</script>", html, re.DOTALL).group(1)
        html = html.replace(script, script + changes).replace(
            digest(script), digest(script + changes)
        )
        (tmp_path / "changed.html").write_text(html, "utf-8")
        command = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"]
        command += [f"--user-data-dir={tmp_path / 'profile'}", (tmp_path / "changed.html").as_uri()]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
        elements = Elements(done.stdout)
        names = [item["data-name"] for item in elements.of("li") if "data-name" in item]
        return names, re.search(r"<output[^>]*>([^<]*)<", done.stdout).group(1)

    assert shown("sort.value = 'dice-0'; update();") == (
        ["film9", EVIL, "film10", "film8"],
        "4 of 4 films",
    )
    assert shown("sort.value = 'dice-0'; order.value = '-1'; group.value = 'virus'; update();") == (
        ["film10", EVIL, "film9"],
        "3 of 4 films",
    )
    by_name, _ = shown("sort.value = 'name'; update();")
    assert by_name[1:] == ["film8", "film9", "film10"]
