"""The one look of all figures, and the one way they are written.

Figures are made apart from pyplot, so that none is shown twice in a notebook and none stays
open. Widths are inches of a journal page, type is 7 or 8 points at that width.
"""

from __future__ import annotations

import io
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import matplotlib.colors
import matplotlib.style  # does not import pyplot
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from pneumo_keras.dataset.files import written_whole

PAGE_WIDTH = 7.2  # inches, both columns of a page
TEXT, SMALL = 8.0, 7.0  # points
CHARACTER, LINE_HEIGHT = 0.058, 0.13  # of small type, inches
PRINT_DPI, SCREEN_DPI = 200, 120

# Okabe and Ito's palette, which colour-blind readers can tell apart.
NETWORK_COLOURS = {"SegNet": "#0072B2", "DeepLabV3": "#D55E00"}
BASELINE = "#8C8C8C"
INK, FAINT = "#222222", "#C8C8C8"
TRUTH = "#F0E442"
TRUE_POSITIVE, FALSE_POSITIVE, FALSE_NEGATIVE = "#56B4E9", "#E69F00", "#CC3D8F"
GROUP_COLOURS = ("#56B4E9", "#009E73", "#E69F00", "#CC79A7", "#BBBBBB")
GROUP_MARKERS = "os^Dv"  # with the colours, told apart in black and white too
# Of outlines whose labels have no colour of their own.
OUTLINES = (TRUTH, "#56B4E9", "#E69F00", "#CC79A7", "#009E73")

LOOK = {
    "font.family": ["DejaVu Sans", "sans-serif"],  # shipped with matplotlib
    "font.size": TEXT,
    "axes.titlesize": TEXT,
    "axes.labelsize": TEXT,
    "xtick.labelsize": SMALL,
    "ytick.labelsize": SMALL,
    "legend.fontsize": SMALL,
    "legend.frameon": False,
    "legend.borderaxespad": 0.0,
    "legend.columnspacing": 1.4,
    "legend.handlelength": 1.4,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.linewidth": 0.7,
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "lines.linewidth": 1.4,
    "hatch.linewidth": 0.5,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "svg.fonttype": "none",
    "svg.hashsalt": "pneumo_keras",
}


class NotebookFigure(Figure):
    """A figure that a notebook shows when it is the last value of a cell, pyplot or not.

    Attributes:
        foot: height that the lines of its note beyond the first take up at the bottom, inches.
    """

    foot = 0.0

    def at(self, x: float, y: float) -> tuple[float, float]:
        """A place in inches from the lower left, the foot left out, as shares of the figure."""
        width, height = self.get_size_inches()
        return float(x / width), float((y + self.foot) / height)

    def axes_at(self, x: float, y: float, width: float, height: float) -> Axes:
        """New axes with their lower left corner at a place, all in inches."""
        whole = self.get_size_inches()
        return self.add_axes((*self.at(x, y), width / whole[0], height / whole[1]))

    def _repr_png_(self) -> bytes:
        stream = io.BytesIO()
        with matplotlib.style.context(["default", LOOK]):
            self.savefig(stream, format="png", dpi=SCREEN_DPI)
        return stream.getvalue()


@contextmanager
def drawing(width: float, height: float, data: str = "") -> Iterator[NotebookFigure]:
    """A new figure, and the look for as long as it is drawn.

    Args:
        width: inches.
        height: inches; a note of more than one line adds to it.
        data: what the figure was measured on, printed small at its bottom.

    Yields:
        The empty figure.

    Example:
        >>> with drawing(3, 2, "phantoms, 100 test films") as figure:
        ...     axes = figure.axes_at(0.5, 0.5, 2.4, 1.4)
        >>> figure.texts[0].get_text()
        'Data: phantoms, 100 test films'
    """
    with matplotlib.style.context(["default", LOOK]):
        note = textwrap.wrap(f"Data: {data}", int((width - 0.16) / CHARACTER)) if data else []
        foot = LINE_HEIGHT * max(0, len(note) - 1)
        figure = NotebookFigure(figsize=(width, height + foot), dpi=SCREEN_DPI)
        figure.foot = foot
        FigureCanvasAgg(figure)
        if note:
            figure.text(
                *figure.at(width - 0.08, 0.06 - foot),
                "\n".join(note),
                ha="right",
                va="bottom",
                fontsize=SMALL,
                color="#666666",
                gid="data",
            )
        yield figure


def tinted(colour: str, lightness: float) -> tuple[float, float, float]:
    """A colour mixed with white (lightness 0..1) or, below 0, with black.

    Example:
        >>> tinted("black", 0.5)
        (0.5, 0.5, 0.5)
    """
    target = 1.0 if lightness > 0 else 0.0
    share = abs(lightness)
    return tuple(
        float((1 - share) * part + share * target) for part in matplotlib.colors.to_rgb(colour)
    )


def save_figure(figure: Figure, name: str, caption: str, folder: str | Path) -> Figure:
    """Writes a figure as `<name>.png` and `<name>.svg`, and its caption as `<name>.txt`.

    The same figure gives the same bytes: no date, no random identifiers. In the SVG, text stays
    text.

    Args:
        figure: as one of the figure functions returned it.
        name: of the files, without suffix.
        caption: what the figure shows.
        folder: where they go; made if need be.

    Returns:
        The figure, for a notebook to show.

    Example:
        >>> from tempfile import mkdtemp
        >>> folder = Path(mkdtemp())
        >>> with drawing(1, 1) as figure:
        ...     _ = figure.text(0.5, 0.5, "x")
        >>> _ = save_figure(figure, "figure_0", "An x.", folder)
        >>> sorted(path.name for path in folder.iterdir())
        ['figure_0.png', 'figure_0.svg', 'figure_0.txt']
    """
    folder = Path(folder)
    with (
        matplotlib.style.context(["default", LOOK]),
        written_whole(folder / f"{name}.png") as png,
        written_whole(folder / f"{name}.svg") as svg,
        written_whole(folder / f"{name}.txt") as txt,
    ):
        figure.savefig(png, format="png", dpi=PRINT_DPI, metadata={"Software": None})
        figure.savefig(svg, format="svg", dpi=PRINT_DPI, metadata={"Date": None, "Creator": None})
        txt.write_text(caption.strip() + "\n", "utf-8")
    return figure
