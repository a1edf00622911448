"""How tables are written, and the small tables of images and their split."""

import re
from pathlib import Path

import numpy as np
import pandas as pd

from pneumo_keras.dataset.records import ImageRecord
from pneumo_keras.dataset.splits import PARTS
from pneumo_keras.files import write_bytes, write_csv

_LATEX = {"~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "\\": r"\textbackslash{}"}
_LATEX |= {character: f"\\{character}" for character in "&%$#_{}"}


def plain(text: object) -> str:
    r"""Text on one line in which Markdown finds no markup.

    Example:
        >>> print(plain("a|b\n<script>_c_"))
        a\|b \<script\>\_c\_
    """
    return re.sub(r"([\\`*_\[\]<>|#&~])", r"\\\1", " ".join(str(text).split()))


def cell(value: object) -> str:
    """A value of a table as text: numbers to three decimals, an en dash if it is missing."""
    if pd.isna(value):
        return "–"
    return f"{value:.3f}" if isinstance(value, (float, np.floating)) else str(value)


def markdown_table(table: pd.DataFrame) -> str:
    """A table as Markdown, with numbers aligned to the right.

    Example:
        >>> print(markdown_table(pd.DataFrame({"Network": ["SegNet"], "Dice": [0.75]})))
        | Network | Dice |
        | --- | --: |
        | SegNet | 0.750 |
    """
    rows = [list(table), ["--:" if numeric else "---" for numeric in _numeric(table)]]
    rows += [[cell(value) for value in row] for row in table.itertuples(index=False)]
    return "\n".join(f"| {' | '.join(map(plain, row))} |" for row in rows)


def _numeric(table: pd.DataFrame) -> list[bool]:
    return [pd.api.types.is_numeric_dtype(table[column]) for column in table]


def write_table(
    table: pd.DataFrame, name: str, caption: str, folder: Path, numbers: pd.DataFrame | None = None
) -> None:
    """Write a table as `<name>.csv`, `.md` and `.tex`; the last two include the caption.

    Args:
        numbers: written as CSV instead, where `table` holds text made of several numbers.

    Raises:
        StudyError: if a file cannot be written.
    """
    write_csv(folder / f"{name}.csv", table if numbers is None else numbers)
    markdown = f"**{plain(caption)}**\n\n{markdown_table(table)}\n"
    write_bytes(folder / f"{name}.md", markdown.encode())
    latex = table.to_latex(
        caption=caption.translate(str.maketrans(_LATEX)),
        column_format="".join("r" if numeric else "l" for numeric in _numeric(table)),
        escape=True,
        float_format="%.3f",
        index=False,
        label=f"tab:{name}",
        na_rep="–",
        position="htbp",
    )
    latex = latex.replace("<", r"\textless{}")  # LaTeX's own fonts have another character there
    write_bytes(folder / f"{name}.tex", latex.encode())


def image_table(records: list[ImageRecord]) -> pd.DataFrame:
    """The number of images and patients in each group, and in all."""
    table = pd.DataFrame({name: [vars(r)[name] for r in records] for name in ("group", "patient")})
    counts = table.groupby("group")["patient"].agg(images="size", patients="nunique")
    counts.loc["all"] = [len(table), table["patient"].nunique()]
    return counts


def share_table(index: pd.DataFrame) -> pd.DataFrame:
    """How much of the images, and of the lungs where outlined, is marked, in percent by group."""
    columns = {"images": "size", "without target": lambda shares: int((shares == 0).sum())}
    columns |= {"mean %": "mean", "median %": "median", "largest %": "max"}
    table = (100 * index["target_share"]).groupby(index["group"]).agg(**columns)
    if "target_share_in_lung" in index and index["target_share_in_lung"].notna().any():
        of_lung = 100 * index["target_share_in_lung"].groupby(index["group"]).mean()
        table["mean % of the lungs"] = of_lung
    return table.round(1)


def split_table(index: pd.DataFrame, split: pd.Series) -> pd.DataFrame:
    """Images, patients and mean share of target in each part of a split.

    Example:
        >>> index = pd.DataFrame({"name": ["a"], "patient": ["1"], "target_share": [0.25]})
        >>> split_table(index, pd.Series({"a": "train"})).loc["train"].tolist()
        [1.0, 1.0, 1.0, 25.0]
    """
    parts = index.groupby(index["name"].map(split))
    table = parts["patient"].agg(images="size", patients="nunique")
    table["with target"] = parts["target_share"].agg(lambda shares: int((shares > 0).sum()))
    table["mean % marked"] = (100 * parts["target_share"].mean()).round(1)
    return table.reindex([part for part in PARTS if part in table.index]).rename_axis("part")
