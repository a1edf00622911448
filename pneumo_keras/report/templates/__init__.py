"""The text that people read: HTML pages, model card and checklist, as Jinja2 templates."""

import jinja2

from pneumo_keras.report.tables import cell, plain


def render(template: str, **values: object) -> str:
    """Fill in a template of this folder; values are escaped for HTML if its name ends in `.html`.

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
    environment.filters |= {"cell": cell, "plain": plain}
    return environment.get_template(template).render(**values)
