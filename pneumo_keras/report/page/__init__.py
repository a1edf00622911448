"""The report as one HTML file."""

from pneumo_keras.report.page.page import Page, run_facts, write_page
from pneumo_keras.report.page.thumbnails import choose_shown, thumbnails

__all__ = [
    "Page",
    "choose_shown",
    "run_facts",
    "thumbnails",
    "write_page",
]
