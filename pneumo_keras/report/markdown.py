"""Text and tables as Markdown in which nothing from data can pass for markup."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd

# Characters that begin a link, a tag, code, emphasis or a table's cell, and entities.
_MARKUP = re.compile(r"([\\`*_\[\]<>|#&~])")


def plain(text: object) -> str:
    r"""Text on one line, its markup escaped.

    Example:
        >>> print(plain("a|b\n<script>_c_"))
        a\|b \<script\>\_c\_
    """
    return _MARKUP.sub(r"\\\1", " ".join(str(text).split()))


def markdown_table(table: pd.DataFrame) -> str:
    """A table as Markdown, numbers to three decimals, an en dash for what is missing.

    Args:
        table: the first column heads the rows.

    Example:
        >>> print(markdown_table(pd.DataFrame({"Network": ["SegNet"], "Dice": [0.75]})))
        | Network |  Dice |
        | ------- | ----: |
        | SegNet  | 0.750 |
    """
    columns = []
    for head, values in table.items():
        number = pd.api.types.is_numeric_dtype(values)
        cells = [plain(head), *(_cell(value) for value in values)]
        width = max(3, *map(len, cells))
        cells = [cell.rjust(width) if number else cell.ljust(width) for cell in cells]
        columns.append([cells[0], "-" * (width - number) + ":" * number, *cells[1:]])
    return "\n".join(f"| {' | '.join(row)} |" for row in zip(*columns, strict=True))


def _cell(value: object) -> str:
    if pd.isna(value):
        return "–"
    return f"{value:.3f}" if isinstance(value, (float, np.floating)) else plain(value)
