"""Films side by side in rows of their own height, and what is drawn on and beside them."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke

from pneumo_keras.report.style import PAGE_WIDTH, SMALL, NotebookFigure

LABEL = 1.12  # room for the label of a row, inches
SIDE, GAP, HEAD, FOOT = 0.08, 0.06, 0.24, 0.5  # margins and gaps, inches
NAME_LENGTH = 15  # characters of a line of a film's name
# Dark about a bright line, so that it is seen on bright film and white paper too.
HALO = [withStroke(linewidth=2.2, foreground="#202020")]


class FilmGrid:
    """Where the films of a page-wide figure stand; rows are as high as their film asks for.

    Args:
        films: one of each row, (H, W).
        columns: how many films a row has.
        label: room left of the rows, inches.

    Attributes:
        height: of the figure, inches.

    Example:
        >>> round(FilmGrid([np.zeros((4, 4))], 1).height, 2)
        7.78
    """

    def __init__(self, films: Sequence[np.ndarray], columns: int, label: float = 0.0):
        self.columns, self.label = columns, label
        self.width = (PAGE_WIDTH - label - 2 * SIDE - GAP * (columns - 1)) / columns
        ratios = [np.clip(film.shape[0] / film.shape[1], 0.5, 1.5) for film in films]
        self.heights = [self.width * float(ratio) for ratio in ratios]
        self.height = HEAD + FOOT + sum(self.heights) + GAP * (len(films) - 1)

    def legend(self, figure: NotebookFigure, handles: list) -> None:
        """The legend under the films, at the right."""
        figure.legend(
            handles=handles,
            ncols=len(handles),
            loc="lower right",
            bbox_to_anchor=figure.at(PAGE_WIDTH - SIDE, 0.23),
        )

    def panels(self, figure: NotebookFigure, heads: Sequence[str]) -> list[list[Axes]]:
        """Axes row by row, with a heading above each column."""
        top, panels = self.height - HEAD, []
        for height in self.heights:
            lefts = [
                self.label + SIDE + number * (self.width + GAP) for number in range(self.columns)
            ]
            panels.append([figure.axes_at(x, top - height, self.width, height) for x in lefts])
            top -= height + GAP
        for axes, head in zip(panels[0], heads, strict=True):
            axes.set_title(head, pad=4)
        return panels


def show(axes: Axes, image: np.ndarray) -> None:
    """A film, 0..255, or a coloured one, undistorted and without axes."""
    axes.imshow(image, cmap="gray", vmin=0, vmax=255, aspect="equal")
    axes.axis("off")


def outline(axes: Axes, mask: np.ndarray, colour: str, width: float = 1.0) -> None:
    """The border of a mask, drawn over a film of the same shape; its width is in points."""
    if mask.any():
        # A margin, so that the border also closes along the edge of the film.
        padded = np.pad(mask, 1).astype(float)
        rows, columns = (np.arange(side) - 1 for side in padded.shape)
        lines = axes.contour(columns, rows, padded, [0.5], colors=[colour], linewidths=width)
        lines.set_path_effects([withStroke(linewidth=2.2 * width, foreground="#202020")])


def outline_handle(colour: str, name: str) -> Line2D:
    """What stands for an outline in a legend."""
    return Line2D([], [], color=colour, linewidth=1.0, label=name, path_effects=HALO)


def wrapped_name(name: str) -> list[str]:
    """A film's name in at most three lines, broken behind dashes, dots and underscores.

    Example:
        >>> wrapped_name("person1946_bacteria_4874")
        ['person1946_', 'bacteria_4874']
    """
    words = re.findall(rf"[^-_. ]{{1,{NAME_LENGTH - 1}}}[-_. ]*|[-_. ]+", name)
    parts = [""]
    for word in words:
        if parts[-1] and len(parts[-1] + word.rstrip()) > NAME_LENGTH:
            parts.append("")
        parts[-1] += word
    return parts if len(parts) <= 3 else [parts[0] + "…", *parts[-2:]]


def label(axes: Axes, line: str, name: str, heading: str = "") -> None:
    """Left of a row: why it is shown, its score or share, and its film's name."""
    parts = [*([heading] if heading else []), line, *wrapped_name(name)]
    for number, part in enumerate(parts):
        axes.annotate(
            part,
            (0, 0.5),
            (-6, 9.5 * ((len(parts) - 1) / 2 - number)),
            xycoords="axes fraction",
            textcoords="offset points",
            ha="right",
            va="center",
            fontsize=SMALL,
            fontweight="bold" if heading and number == 0 else "normal",
        )
