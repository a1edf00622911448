"""Figures of errors: the films they choose, the rates they draw, the wins they count."""

import numpy as np
import pandas as pd
import pytest
from figure_checks import assert_readable, by_gid, words
from hypothesis import given
from hypothesis import strategies as st

from pneumo_keras.errors import StudyError
from pneumo_keras.report.charts.agreement import agreement_figure, count_wins, paired_scores
from pneumo_keras.report.films.errormaps import error_map_figure, error_rates
from pneumo_keras.report.films.errors import choose_extremes, error_figure
from pneumo_keras.report.films.panels import Example
from pneumo_keras.report.style import FALSE_NEGATIVE

DATA = "phantoms, 5 test films, recipe quick"
NAN = float("nan")


def example(name: str, height: int, width: int, dice: float) -> Example:
    truth, predicted = np.zeros((2, height, width), bool)
    truth[5:15, 5:15] = predicted[10:20, 5:15] = True
    return Example(name, "worst", np.full((height, width), 90, np.uint8), truth, predicted, dice)


def scores(dice: list[float], names: str = "abcdefgh", group: str = "virus") -> pd.DataFrame:
    """Films of 100 pixels, 20 of them marked in the truth where there is a Dice."""
    counts = {"tp": 10, "fp": 0, "fn": [0 if np.isnan(one) else 10 for one in dice], "tn": 80}
    return pd.DataFrame({"name": list(names[: len(dice)]), "group": group, **counts, "dice": dice})


def test_extremes_are_of_films_with_something_to_find():
    table = pd.DataFrame({"dice": [0.9, NAN, 0.1, 0.5, 0.3, 0.7, NAN, 0.2]}, index=range(40, 48))
    # Ranked: rows 2, 7, 4, 3, 5, 0; the two in the middle of six are the third and the fourth.
    assert choose_extremes(table) == {"worst": [2, 7], "median": [4, 3], "best": [5, 0]}
    assert choose_extremes(table, films=1) == {"worst": [2], "median": [3], "best": [0]}


def test_extremes_of_few_films_and_of_none():
    assert choose_extremes(pd.DataFrame({"dice": [NAN, 0.4]})) == {
        "worst": [1],
        "median": [1],
        "best": [1],
    }
    assert set(map(tuple, choose_extremes(pd.DataFrame({"dice": [NAN]})).values())) == {()}


@given(
    st.lists(st.one_of(st.just(NAN), st.floats(0, 1)), max_size=20),
    st.integers(min_value=1, max_value=4),
)
def test_worst_is_never_better_than_median_nor_median_than_best(dice, films):
    chosen = choose_extremes(pd.DataFrame({"dice": np.array(dice, float)}), films)
    worst, median, best = ([dice[row] for row in rows] for rows in chosen.values())
    expected = min(films, len([one for one in dice if not np.isnan(one)]))
    assert len(worst) == len(median) == len(best) == expected
    assert all(a <= b <= c for a, b, c in zip(worst, median, best, strict=True))


@pytest.mark.parametrize("data", [DATA, "phantoms, target pneumonia, " * 8], ids=["short", "long"])
def test_error_figure_names_every_film_and_is_readable(data):
    shown = {
        "worst": [example("a", 60, 60, 0.0), example("x" * 80, 90, 60, 0.1)],
        "median": [example("b", 40, 60, 0.5), example("person1946_bacteria_4874", 60, 60, 0.5)],
        "best": [example("c", 60, 60, 0.9), example("d", 200, 60, 0.95)],
    }
    figure = error_figure(shown, "SegNet", data)
    said = words(figure)
    assert {"Worst", "Median", "Best", "SegNet", "Dice 0.00\na", "Dice 0.90\nc"} <= set(said)
    assert len(figure.axes) == 12
    assert_readable(figure)


def test_error_figure_without_any_film_says_so():
    figure = error_figure({"worst": [], "median": [], "best": []}, "SegNet", DATA)
    assert "the target is marked on no test film" in words(figure)


def test_error_rates_are_shares_of_all_films():
    truth = np.array([[[1, 1, 0, 0]], [[1, 0, 0, 0]], [[0, 0, 0, 0]], [[1, 0, 0, 0]]])
    predicted = np.array([[[0, 1, 1, 0]], [[1, 0, 1, 0]], [[0, 0, 1, 0]], [[0, 0, 0, 0]]])
    rates = error_rates(truth, predicted)
    assert rates["false negative"].tolist() == [[0.5, 0, 0, 0]]
    assert rates["false positive"].tolist() == [[0, 0, 0.75, 0]]


def test_error_maps_draw_the_rates_over_the_mean_film():
    films = np.stack([np.full((8, 8), 0, np.uint8), np.full((8, 8), 100, np.uint8)])
    truth = np.zeros((2, 8, 8), bool)
    truth[0, :4] = True
    figure = error_map_figure(films, truth, {"SegNet": ~truth, "DeepLabV3": truth}, DATA)
    panels = {axes.get_title(): axes for axes in figure.axes[:5]}
    mean, marked = (image.get_array() for image in figure.axes[0].images)
    np.testing.assert_allclose(mean, 0.6 * 50 / 255)
    assert np.asarray(marked)[0, 0] == 0.5 and np.asarray(marked)[7, 7] == 0
    # Titles repeat for the second network, whose panels are the last ones.
    assert len(panels) == 3
    false_positive, false_negative = (
        np.asarray(axes.images[1].get_array()) for axes in figure.axes[1:3]
    )
    assert false_positive[0, 0] == 0.5 and false_positive[7, 7] == 1
    assert false_negative[0, 0] == 0.5 and false_negative[7, 7] == 0
    assert all(np.asarray(axes.images[1].get_array()).max() == 0 for axes in figure.axes[3:5])
    scales = {tuple(axes.images[1].get_clim()) for axes in figure.axes[1:5]}
    assert scales == {(0, 1)}  # one for all errors
    assert f"Colours: share of all {len(films)} films" in " ".join(words(figure))
    assert_readable(figure)


def test_no_error_leaves_the_film_bare_and_the_most_is_opaque():
    films, truth = np.zeros((2, 4, 4), np.uint8), np.ones((2, 4, 4), bool)
    figure = error_map_figure(films, truth, {"SegNet": ~truth}, DATA)
    false_positives, false_negatives = (axes.images[1] for axes in figure.axes[1:3])
    assert false_positives.to_rgba(np.zeros((1, 1)))[0, 0, 3] == 0
    assert false_negatives.to_rgba(np.ones((1, 1)))[0, 0].tolist() == [1, 1, 1, 1]
    red, green, blue = (int(FALSE_NEGATIVE[place : place + 2], 16) / 255 for place in (1, 3, 5))
    assert false_negatives.to_rgba(np.full((1, 1), 0.7))[0, 0, :3] == pytest.approx(
        [red, green, blue], abs=0.02
    )


def test_films_are_paired_by_name_whatever_their_order():
    one = scores([0.1, 0.5, NAN, 0.9])
    other = scores([0.2, 0.6, NAN, 0.8]).iloc[::-1].reset_index(drop=True)
    pairs = paired_scores({"SegNet": one, "DeepLabV3": other})
    assert pairs["name"].tolist() == ["a", "b", "d"]
    assert pairs["SegNet"].tolist() == [0.1, 0.5, 0.9]
    assert pairs["DeepLabV3"].tolist() == [0.2, 0.6, 0.8]
    assert pairs["truth_share"].tolist() == [0.2] * 3
    assert count_wins(pairs, "SegNet", "DeepLabV3") == {"SegNet": 1, "DeepLabV3": 2, "equal": 0}


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (scores([0.1, 0.2]), "film c is missing from one of them"),
        (scores([0.1, 0.2, 0.3, 0.4]), "film d is missing from one of them"),
        (scores([0.1, 0.2, 0.3], names="abb"), "scores of DeepLabV3: film b occurs twice"),
    ],
)
def test_films_that_cannot_be_paired_are_named(other, said):
    with pytest.raises(StudyError, match=said):
        paired_scores({"SegNet": scores([0.3, 0.2, 0.1]), "DeepLabV3": other})
    with pytest.raises(StudyError, match="two networks are compared, not 1"):
        paired_scores({"SegNet": other})


def test_agreement_shows_each_film_once_in_its_group():
    one = pd.concat([scores([0.1, 0.5, 0.0]), scores([0.9, NAN], names="xy", group="bacteria")])
    other = one.assign(dice=[0.4, 0.4, 0.0, 0.95, NAN])
    figure = agreement_figure({"SegNet": one, "DeepLabV3": other}, DATA)
    dots = by_gid(figure, "films:")
    assert {group: len(line.get_xdata()) for group, line in dots.items()} == {
        "bacteria": 1,
        "virus": 3,
    }
    wins = {network: text.get_text() for network, text in by_gid(figure, "wins:").items()}
    assert wins == {
        "SegNet": "SegNet better\non 1 film",
        "DeepLabV3": "DeepLabV3 better\non 2 films",
    }
    assert "equal on 1 film" in words(figure)
    assert_readable(figure)


def test_more_groups_than_colours_are_put_together():
    many = pd.concat(
        [
            scores([0.5] * (9 - n), names=[f"{n}{k}" for k in range(9)], group=f"g{n}")
            for n in range(8)
        ]
    )
    figure = agreement_figure({"SegNet": many, "DeepLabV3": many}, DATA)
    assert set(by_gid(figure, "films:")) == {"g0", "g1", "g2", "g3", "other groups"}
    assert len(by_gid(figure, "films:")["other groups"].get_xdata()) == 5 + 4 + 3 + 2
    assert_readable(figure)
