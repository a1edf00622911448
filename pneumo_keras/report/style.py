"""The style of all figures, and how a study writes figures and tables.

Figures are made without pyplot, so that none stays open and a notebook shows each once.
"""

import io
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import matplotlib.style  # does not import pyplot
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from pneumo_keras.files import atomic_write, write_bytes
from pneumo_keras.report.tables import write_table
from pneumo_keras.study import Study

PAGE_WIDTH, COLUMN_WIDTH = 7.2, 4.4  # inches: of both columns of a page, and of a single chart
TEXT, SMALL = 8.0, 7.0  # points
CHARACTER, LINE_HEIGHT = 0.058, 0.13  # of small text, inches
PRINT_DPI, SCREEN_DPI = 300, 120

# From Okabe and Ito's palette, whose colours remain distinct to colour-blind readers.
NETWORK_COLOURS = {"SegNet": "#0072B2", "DeepLabV3": "#D55E00"}
NETWORK_MARKERS = {"SegNet": "o", "DeepLabV3": "s"}
BASELINE = "#8C8C8C"
INK, NOTE, FAINT = "#222222", "#666666", "#C8C8C8"
REFERENCE = "#F0E442"
# Over grey images, deuteranopes can tell these apart too (tests/test_overlays.py).
TRUE_POSITIVE, FALSE_POSITIVE, FALSE_NEGATIVE = "#56B4E9", "#E69F00", "#3311CC"
GROUP_COLOURS = ("#56B4E9", "#009E73", "#E69F00", "#CC79A7", "#BBBBBB")
GROUP_MARKERS = "os^Dv"  # with the colours, so that groups differ in black and white too
LABEL_COLOURS = (REFERENCE, "#56B4E9", "#E69F00", "#CC79A7", "#009E73")

STYLE = {
    "font.family": ["DejaVu Sans", "sans-serif"],  # comes with matplotlib
    **dict.fromkeys(("font.size", "axes.titlesize", "axes.labelsize"), TEXT),
    **dict.fromkeys(("xtick.labelsize", "ytick.labelsize", "legend.fontsize"), SMALL),
    **dict.fromkeys(("text.color", "axes.labelcolor", "axes.edgecolor"), INK),
    **dict.fromkeys(("xtick.color", "ytick.color"), INK),
    **dict.fromkeys(("axes.linewidth", "xtick.major.width", "ytick.major.width"), 0.7),
    **dict.fromkeys(("axes.spines.top", "axes.spines.right", "legend.frameon"), False),
    **dict.fromkeys(("figure.facecolor", "savefig.facecolor"), "white"),
    "figure.constrained_layout.w_pad": 0.06,
    "figure.constrained_layout.h_pad": 0.06,
    "axes.titlelocation": "left",
    "legend.borderaxespad": 0.6,
    "legend.columnspacing": 1.4,
    "legend.handlelength": 1.8,
    "lines.linewidth": 1.4,
    "svg.fonttype": "none",
    "svg.hashsalt": "pneumo_keras",
}


class NotebookFigure(Figure):
    """A figure that a notebook shows as the last value of a cell."""

    def _repr_png_(self) -> bytes:
        stream = io.BytesIO()
        with matplotlib.style.context(["default", STYLE]):
            self.savefig(stream, format="png", dpi=SCREEN_DPI)
        return stream.getvalue()


@contextmanager
def drawing(width: float, height: float, data: str = "") -> Iterator[NotebookFigure]:
    """Yield an empty figure of some inches, with the common style while it is drawn.

    Axes made by `subplots` are placed by constrained layout, axes made by `add_axes` by the caller.
    `data` says what was measured on; it is printed at the bottom, and more than one line of it
    adds to the height.
    """
    with matplotlib.style.context(["default", STYLE]):
        note = textwrap.wrap(f"Data: {data}", int((width - 0.16) / CHARACTER)) if data else []
        height += LINE_HEIGHT * max(0, len(note) - 1)
        figure = NotebookFigure(figsize=(width, height), dpi=SCREEN_DPI, layout="constrained")
        FigureCanvasAgg(figure)
        if note:
            look = {"fontsize": SMALL, "color": NOTE, "gid": "data"}
            figure.supxlabel("\n".join(note), x=1 - 0.08 / width, ha="right", **look)
        yield figure
        # The layout is fixed here, so that all files are alike; ticks depend on it, hence twice.
        for _ in range(2 if any(axes.get_subplotspec() for axes in figure.axes) else 0):
            figure.draw_without_rendering()
        figure.set_layout_engine("none")


def letter(panels: Sequence[Axes], titles: Sequence[str]) -> None:
    """Title panels "(a) …", "(b) …"; a single panel has no letter."""
    for number, (axes, title) in enumerate(zip(panels, titles, strict=True)):
        axes.set_title(f"({chr(ord('a') + number)}) {title}".strip() if len(panels) > 1 else title)


def unit_ticks(axes: Axes) -> None:
    """Let both axes run from 0 to 1 with ticks at 0, 0.2, …, 1."""
    ticks = [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    axes.set(xlim=(0, 1), ylim=(0, 1), xticks=ticks, yticks=ticks)


def tinted(colour: str, lightness: float) -> tuple[float, float, float]:
    """A colour mixed with white (lightness 0..1) or, below 0, with black."""
    target = 1.0 if lightness > 0 else 0.0
    return tuple(part + abs(lightness) * (target - part) for part in to_rgb(colour))


def save_figure(figure: Figure, name: str, caption: str, folder: Path) -> None:
    """Write a figure as `<name>.png` and `<name>.svg`, and its caption as `<name>.txt`.

    Equal figures give equal bytes: no date, no random identifiers. In the SVG, text is text.

    Raises:
        StudyError: if a file cannot be written.
    """
    with (
        matplotlib.style.context(["default", STYLE]),
        atomic_write(folder / f"{name}.png") as png,
        atomic_write(folder / f"{name}.svg") as svg,
        atomic_write(folder / f"{name}.txt") as txt,
    ):
        figure.savefig(png, format="png", dpi=PRINT_DPI, metadata={"Software": None})
        figure.savefig(svg, format="svg", dpi=PRINT_DPI, metadata={"Date": None, "Creator": None})
        txt.write_text(caption + "\n", "utf-8")


class Output:
    """Writes figures and tables into a study's `figures/`, each with the caption they all share.

    Attributes:
        caption: data, target and recipe; with a split (part by image name) also the numbers of
            images.
    """

    def __init__(self, study: Study, split: pd.Series | None = None):
        self.folder = study.figures
        self.caption = study.caption(split)
        pd.set_option("display.max_colwidth", None)  # tables are not cut in notebooks

    def figure(self, figure: Figure, name: str, title: str) -> Figure:
        """Write a figure with its caption, and return it to be shown."""
        save_figure(figure, name, f"{title}. {self.caption}.", self.folder)
        return figure

    def table(
        self, table: pd.DataFrame, name: str, title: str, numbers: pd.DataFrame | None = None
    ) -> pd.DataFrame:
        """Write a table with its caption (see `write_table`), and return it as it is shown."""
        write_table(table, name, f"{title} ({self.caption}).", self.folder, numbers)
        shown = table.astype(object).where(table.notna(), "–")
        return shown.set_index(table.columns[0])

    def text(self, sentences: Iterable[str], name: str) -> None:
        """Write sentences as `<name>.txt`, one per line."""
        write_bytes(self.folder / f"{name}.txt", ("\n".join(sentences) + "\n").encode())
