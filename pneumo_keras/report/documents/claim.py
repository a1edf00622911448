"""The CLAIM 2024 checklist, filled in from a run; what the run cannot know is left open."""

from __future__ import annotations

from pathlib import Path

from pneumo_keras.dataset.files import write_whole
from pneumo_keras.report.documents.cards import WARNING
from pneumo_keras.report.documents.claimanswers import OPEN, Evidence, answers
from pneumo_keras.report.documents.claimitems import SECTIONS
from pneumo_keras.report.markdown import markdown_table

SOURCE = (
    "Items after the 2024 update of CLAIM, in our own words: Tejani AS, Klontzas ME, Gatti AA, et "
    "al. Radiology: Artificial Intelligence 2024;6(4):e240300, doi 10.1148/ryai.240300."
)


def write_claim(path: Path, evidence: Evidence) -> dict[str, int]:
    """Writes the checklist as Markdown.

    Returns:
        How many items are `answered`, answered in `part`, and `open`.
    """
    write_whole(path, claim_checklist(evidence).encode())
    return count_open(answers(evidence))


def claim_checklist(evidence: Evidence) -> str:
    """The checklist as Markdown, a table a section."""
    given = answers(evidence)
    counts = count_open(given)
    parts = []
    for section, items in SECTIONS.items():
        rows = [f"| {number} | {item} | {given[number]} |" for number, item in items.items()]
        head = "| No. | Item | Answer |\n| ---: | --- | --- |\n"
        parts.append(f"## {section}\n\n{head}" + "\n".join(rows))
    body = "\n\n".join(parts)
    return (
        f"# CLAIM 2024 checklist\n\n{WARNING}\n\n{SOURCE}\n\nOf 44 items this run answers "
        f"{counts['answered']}, {counts['part']} in part; {counts['open']} are open.\n\n{body}\n\n"
        f"## Results\n\n{markdown_table(evidence.results)}\n"
    )


def count_open(given: dict[int, str]) -> dict[str, int]:
    """How many answers are whole, in part, or open.

    Example:
        >>> count_open({1: "Yes.", 2: f"Partly. {OPEN} the rest", 3: f"{OPEN} all of it"})
        {'answered': 1, 'part': 1, 'open': 1}
    """
    texts = list(given.values())
    return {
        "answered": sum(OPEN not in text for text in texts),
        "part": sum(OPEN in text and not text.startswith(OPEN) for text in texts),
        "open": sum(text.startswith(OPEN) for text in texts),
    }
