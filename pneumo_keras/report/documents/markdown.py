"""Text and tables as Markdown in which nothing from data can pass for markup."""

from __future__ import annotations

import re

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
        | Network | Dice |
        | --- | ---: |
        | SegNet | 0.750 |
    """
    numeric = [pd.api.types.is_numeric_dtype(table[column]) for column in table]
    lines = [
        [plain(column) for column in table.columns],
        ["---:" if number else "---" for number in numeric],
        *([_cell(value) for value in row] for row in table.itertuples(index=False)),
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(value: object) -> str:
    if pd.isna(value):
        return "–"
    return f"{value:.3f}" if isinstance(value, float) else plain(value)
