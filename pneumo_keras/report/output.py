"""Where the figures and tables of a study go, with the caption that they all share."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd
from matplotlib.figure import Figure

from pneumo_keras.files import write_bytes
from pneumo_keras.report.style import save_figure
from pneumo_keras.report.tables import write_table
from pneumo_keras.study import Study


class Output:
    """Writes figures and tables into the study's `figures/`.

    Args:
        study: the study.
        split: part by image name; with it the caption tells the numbers of images.

    Attributes:
        caption: data, target, n and recipe.
    """

    def __init__(self, study: Study, split: pd.Series | None = None):
        self.folder = study.figures
        self.caption = study.caption(split)

    def figure(self, figure: Figure, name: str, title: str) -> Figure:
        """Write a figure as PNG and SVG with its caption, and give it back to be shown.

        Args:
            figure: the figure.
            name: of the files, without suffix.
            title: first sentence of the caption, without a full stop.
        """
        save_figure(figure, name, f"{title}. {self.caption}.", self.folder)
        return figure

    def table(
        self, table: pd.DataFrame, name: str, title: str, numbers: pd.DataFrame | None = None
    ) -> pd.DataFrame:
        """Write a table as CSV, Markdown and LaTeX with its caption, and give it back to be shown.

        Args:
            table: as it is read.
            name: of the files, without suffix.
            title: the caption, without data and recipe.
            numbers: for the CSV, where the table to read holds text.
        """
        write_table(table, name, f"{title} ({self.caption}).", self.folder, numbers=numbers)
        return table

    def text(self, sentences: Iterable[str], name: str) -> None:
        """Write sentences as `<name>.txt`, one per line."""
        write_bytes(self.folder / f"{name}.txt", ("\n".join(sentences) + "\n").encode())
