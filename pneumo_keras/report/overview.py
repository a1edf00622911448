"""Small tables for the notebooks: which films there are, how they are split, how a run went."""

from __future__ import annotations

import pandas as pd

from pneumo_keras.dataset.sources import Film
from pneumo_keras.dataset.splits import PARTS


def film_table(films: list[Film]) -> pd.DataFrame:
    """How many films and patients there are in each group.

    Example:
        >>> from pathlib import Path
        >>> table = film_table([Film("a", Path("a.png"), Path("a.json"), "1", "virus")])
        >>> table.loc["all"].to_dict()
        {'films': 1, 'patients': 1}
    """
    who = [(film.group, film.patient) for film in films]
    table = pd.DataFrame(who, columns=["group", "patient"])
    counts = table.groupby("group")["patient"].agg(films="size", patients="nunique")
    counts.loc["all"] = [len(table), table["patient"].nunique()]
    return counts


def share_table(index: pd.DataFrame) -> pd.DataFrame:
    """How much of the films is marked, in percent, by group.

    Args:
        index: the index of masks; where lungs are outlined, the share of the lungs is given too.

    Example:
        >>> table = share_table(pd.DataFrame({"group": ["virus"] * 2, "target_share": [0.1, 0.2]}))
        >>> table.loc["virus", ["mean %", "largest %"]].tolist()
        [15.0, 20.0]
    """
    percent = 100 * index["target_share"]
    groups = percent.groupby(index["group"])
    table = pd.DataFrame(
        {
            "films": groups.size(),
            "without target": groups.agg(lambda shares: int((shares == 0).sum())),
            "mean %": groups.mean(),
            "median %": groups.median(),
            "largest %": groups.max(),
        }
    )
    if "target_share_in_lung" in index and index["target_share_in_lung"].notna().any():
        of_lung = 100 * index["target_share_in_lung"].groupby(index["group"]).mean()
        table["mean % of the lungs"] = of_lung
    return table.round(1)


def split_table(index: pd.DataFrame, split: pd.Series) -> pd.DataFrame:
    """Films, patients and share marked in each part of a split.

    Example:
        >>> index = pd.DataFrame({"name": ["a", "b"], "patient": "1", "target_share": [0, 0.5]})
        >>> split_table(index, pd.Series({"a": "train", "b": "train"})).loc["train"].tolist()
        [2.0, 1.0, 1.0, 25.0]
    """
    parts = index.groupby(index["name"].map(split))
    table = pd.DataFrame(
        {
            "films": parts.size(),
            "patients": parts["patient"].nunique(),
            "with target": parts["target_share"].agg(lambda shares: int((shares > 0).sum())),
            "mean % marked": (100 * parts["target_share"].mean()).round(1),
        }
    )
    return table.reindex([part for part in PARTS if part in table.index]).rename_axis("part")


def run_table(run: dict) -> pd.DataFrame:
    """What a training was and what came of it, from its `run.json`.

    Returns:
        One row a fact, all text.
    """
    films = ", ".join(f"{count} {part}" for part, count in run["films"].items())
    versions = ", ".join(f"{package} {version}" for package, version in run["versions"].items())
    facts = {
        "Initial weights": run["weights"],
        "Parameters": f"{run['parameters']:,}",
        "Films": films,
        "Epochs run": f"{run['epochs_run']}, best {run['best_epoch']}",
        "Best validation Dice": f"{run['best_validation_dice']:.3f}",
        "Threshold": f"{run['threshold']:g}",
        "Seed": str(run["recipe"]["seed"]),
        "Duration": f"{run['seconds']:.0f} s",
        "Peak memory": f"{run['peak_memory_gb']} GB",
        "Device": f"{run['device']}, {run['system']}",
        "Versions": f"Python {run['python']}, {versions}",
    }
    return pd.DataFrame({"": facts.values()}, index=list(facts))
