"""The text that people read: HTML pages, model card and checklist, as Jinja2 templates."""

from __future__ import annotations

import jinja2
import numpy as np
import pandas as pd

from pneumo_keras.report.tables import plain


def render(template: str, **values: object) -> str:
    """Fill in a template of this folder.

    Args:
        template: file name; values are escaped for HTML if it ends in `.html`.
        **values: what it mentions; a missing one is an error.

    Example:
        >>> render("base.css").startswith("/* Shared by")
        True
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("pneumo_keras.report"),
        autoescape=jinja2.select_autoescape(["html"], default=False),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["cell"] = _cell
    environment.filters["plain"] = plain
    return environment.get_template(template).render(**values)


def _cell(value: object) -> str:
    """A value of a table as text: numbers with three decimals, a dash for a missing value."""
    if pd.isna(value):
        return "–"
    return f"{value:.3f}" if isinstance(value, (float, np.floating)) else str(value)
