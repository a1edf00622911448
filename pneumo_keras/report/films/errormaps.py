"""How often each place of the chest is marked wrongly, over the mean test film."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure

from pneumo_keras.report.style import (
    FALSE_NEGATIVE,
    FALSE_POSITIVE,
    PAGE_WIDTH,
    SMALL,
    TRUE_POSITIVE,
    NotebookFigure,
    drawing,
)

SIDE, GAP, HEAD, FOOT = 0.08, 0.06, 0.42, 0.74  # inches
DIMMED = 0.6  # of the mean film's brightness, under the colours


def error_rates(truth: np.ndarray, predicted: np.ndarray) -> dict[str, np.ndarray]:
    """The share of films on which each pixel is marked wrongly, and overlooked.

    Args:
        truth: (films, height, width), bool or 0 and 1.
        predicted: the same shape.

    Returns:
        `false positive` and `false negative`, each (height, width) float, 0..1: counts of films
        divided by all films, whatever is marked there.

    Example:
        >>> rates = error_rates(np.array([[[1, 0]], [[1, 0]]]), np.array([[[0, 1]], [[1, 1]]]))
        >>> rates["false positive"].tolist(), rates["false negative"].tolist()
        ([[0.0, 1.0]], [[0.5, 0.0]])
    """
    truth, predicted = np.asarray(truth, bool), np.asarray(predicted, bool)
    return {
        "false positive": (~truth & predicted).mean(axis=0),
        "false negative": (truth & ~predicted).mean(axis=0),
    }


def error_map_figure(
    films: np.ndarray, truth: np.ndarray, predicted: dict[str, np.ndarray], data: str
) -> Figure:
    """False positives and false negatives of each network over the mean of the films.

    Beside them the truth: a place that is often marked offers more to overlook.

    Args:
        films: (films, size, size) uint8, 0..255.
        truth: the same shape, bool or 0 and 1.
        predicted: the same for each network.
        data: what was segmented, and by which recipe.

    Returns:
        The figure, a page wide; one scale for all errors, one for the truth.

    Example:
        >>> films, truth = np.zeros((2, 4, 4), np.uint8), np.ones((2, 4, 4), bool)
        >>> figure = error_map_figure(films, truth, {"SegNet": ~truth}, "phantoms, 2 films")
        >>> [axes.get_title() for axes in figure.axes[:3]]
        ['marked in truth', 'false positives', 'false negatives']
    """
    mean = np.asarray(films).mean(axis=0) / 255
    marked = np.asarray(truth, bool).mean(axis=0)
    rates = {name: error_rates(truth, masks) for name, masks in predicted.items()}
    most = max((rate.max() for one in rates.values() for rate in one.values()), default=0)
    panels = [("marked in truth", marked, TRUE_POSITIVE, _scale(marked.max()))]
    colours = {"false positive": FALSE_POSITIVE, "false negative": FALSE_NEGATIVE}
    for name, one in rates.items():
        for kind, rate in one.items():
            panels.append((f"{kind}s", rate, colours[kind], _scale(most)))
    columns = len(panels)
    side = (PAGE_WIDTH - 2 * SIDE - GAP * (columns - 1)) / columns
    with drawing(PAGE_WIDTH, HEAD + side + FOOT, data) as figure:
        for number, (title, rate, colour, scale) in enumerate(panels):
            axes = figure.axes_at(SIDE + number * (side + GAP), FOOT, side, side)
            _draw(axes, mean, rate, _shades(colour), scale)
            axes.set_title(title, pad=4)
        for number, name in enumerate(rates):
            middle = SIDE + (1 + 2 * number) * (side + GAP) + side + GAP / 2
            place = figure.at(middle, HEAD / 2 + side + FOOT + 0.03)
            figure.text(*place, name, ha="center", fontweight="bold")
        figure.text(
            *figure.at(SIDE, 0.22),
            f"Colours: share of all {len(films)} films; errors on one scale throughout",
            fontsize=SMALL,
        )
        for number, (_, _, colour, scale) in enumerate(panels[:3]):
            _draw_scale(figure, SIDE + number * (side + GAP), side, _shades(colour), scale)
    return figure


def _scale(most: float) -> Normalize:
    """From none to the most, rounded up to whole twentieths."""
    return Normalize(0, max(0.05, np.ceil(20 * most) / 20))


def _shades(colour: str) -> Colormap:
    """From the bare film to the full colour, over white at its end so that strong means light."""
    return LinearSegmentedColormap.from_list(
        colour, [(0, (*_rgb(colour), 0.0)), (0.7, (*_rgb(colour), 0.9)), (1, (1, 1, 1, 1))]
    )


def _rgb(colour: str) -> tuple[float, ...]:
    return tuple(int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5))


def _draw(
    axes: Axes, mean: np.ndarray, rate: np.ndarray, shades: Colormap, scale: Normalize
) -> None:
    axes.imshow(DIMMED * mean, cmap="gray", vmin=0, vmax=1)
    axes.imshow(rate, cmap=shades, norm=scale)
    axes.axis("off")


def _draw_scale(
    figure: NotebookFigure, x: float, width: float, shades: Colormap, scale: Normalize
) -> None:
    """A scale under the panel at x, the mean film's grey behind it as in the panels."""
    axes = figure.axes_at(x + 0.2, FOOT - 0.14, width - 0.4, 0.07)
    axes.set_facecolor((DIMMED / 2,) * 3)
    bar = figure.colorbar(ScalarMappable(scale, shades), cax=axes, orientation="horizontal")
    bar.outline.set_visible(False)
    ticks = np.linspace(0, scale.vmax, 3)
    bar.set_ticks(ticks, labels=[f"{100 * tick:.3g} %" for tick in ticks])
    bar.ax.tick_params(length=2, pad=1.5)
