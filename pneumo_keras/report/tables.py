"""How tables are written, Table 1, and the small tables of notebooks and checks."""

import re
from pathlib import Path

import numpy as np
import pandas as pd

from pneumo_keras.config import BACKBONES, NETWORKS
from pneumo_keras.dataset.records import ImageRecord
from pneumo_keras.dataset.splits import PARTS
from pneumo_keras.files import write_bytes, write_csv
from pneumo_keras.report.names import LOSS_NAMES, OPTIMIZER_NAMES
from pneumo_keras.report.results import comparison_table, readable, results_table, score_table

__all__ = ["comparison_table", "image_table", "markdown_table", "parameter_table", "plain"]
__all__ += ["readable", "results_table", "run_table", "score_table", "share_table", "split_table"]
__all__ += ["write_table"]
_LATEX = {"~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "\\": r"\textbackslash{}"}
_LATEX |= {character: f"\\{character}" for character in "&%$#_{}"}


def plain(text: object) -> str:
    r"""Text on one line in which Markdown finds no markup.

    Example:
        >>> print(plain("a|b\n<script>_c_"))
        a\|b \<script\>\_c\_
    """
    return re.sub(r"([\\`*_\[\]<>|#&~])", r"\\\1", " ".join(str(text).split()))


def markdown_table(table: pd.DataFrame) -> str:
    """A table as Markdown: numbers to three decimals, an en dash for a missing value.

    Example:
        >>> print(markdown_table(pd.DataFrame({"Network": ["SegNet"], "Dice": [0.75]})))
        | Network | Dice |
        | --- | --: |
        | SegNet | 0.750 |
    """
    numeric = [pd.api.types.is_numeric_dtype(table[column]) for column in table]
    rows = [[plain(head) for head in table], ["--:" if number else "---" for number in numeric]]
    rows += [[_cell(value) for value in row] for row in table.itertuples(index=False)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _cell(value: object) -> str:
    if pd.isna(value):
        return "–"
    return f"{value:.3f}" if isinstance(value, (float, np.floating)) else plain(value)


def write_table(
    table: pd.DataFrame, name: str, caption: str, folder: Path, numbers: pd.DataFrame | None = None
) -> None:
    """Write a table as `<name>.csv`, `.md` and `.tex`; the last two include the caption.

    Args:
        table: as it is to be read.
        name: file name without suffix.
        caption: what it shows, with the data, n and recipe it was made from.
        folder: where to write; it is created.
        numbers: written as CSV instead, where `table` holds text made of several numbers.

    Raises:
        StudyError: if a file cannot be written.
    """
    write_csv(folder / f"{name}.csv", table if numbers is None else numbers)
    markdown = f"**{plain(caption)}**\n\n{markdown_table(table)}\n"
    write_bytes(folder / f"{name}.md", markdown.encode())
    numeric = [pd.api.types.is_numeric_dtype(table[column]) for column in table]
    latex = table.to_latex(
        caption=caption.translate(str.maketrans(_LATEX)),
        column_format="".join("r" if number else "l" for number in numeric),
        escape=True,
        float_format="%.3f",
        index=False,
        label=f"tab:{name}",
        na_rep="–",
        position="htbp",
    )
    latex = latex.replace("<", r"\textless{}")  # LaTeX's own fonts have another character there
    write_bytes(folder / f"{name}.tex", latex.encode())


def parameter_table(runs: dict[str, dict]) -> pd.DataFrame:
    """Table 1: the parameters of the networks, the paper's first, then those it leaves out.

    Args:
        runs: `run.json` of each network, keyed `segnet` and `deeplabv3`.

    Returns:
        One row per parameter, one column per network, all text.
    """
    columns = {NETWORKS[network]: _parameters(network, run) for network, run in runs.items()}
    return pd.DataFrame(columns).rename_axis("Parameter").reset_index()


def _parameters(network: str, run: dict) -> dict[str, str]:
    from pneumo_keras.runs import status

    recipe = run["recipe"]
    if network == "segnet":
        encoder, pyramid = "VGG16: 13 convolutions in 5 blocks with max pooling", "none"
        decoder = "Mirrors the encoder, unpooling by its indices"
        dropout = "after the 3 deepest blocks each way"
    else:
        backbone, stride = BACKBONES[recipe["backbone"]], recipe["output_stride"]
        encoder = f"{backbone} with atrous convolutions, output stride {stride}"
        rates = ", ".join(map(str, recipe["atrous_rates"]))
        pyramid = f"ASPP, rates {rates}, and image pooling"
        decoder = "DeepLabV3+ decoder" if recipe["decoder"] else "Bilinear upsampling of the logits"
        dropout = "after the ASPP projection"
    decay = "L2 on kernels" if recipe["optimizer"] == "adam" else "decoupled"
    rate = f"{recipe['learning_rate']:g}, {recipe['schedule']}"
    if recipe["frozen_epochs"] and not run["weights"].startswith("random"):
        frozen = f"first {recipe['frozen_epochs']} epochs {recipe['frozen_learning_rate']:g}"
        rate += f"; {frozen}, pretrained layers frozen"
    return {
        "Encoder": encoder,
        "Decoder": decoder,
        "Activation function": "ReLU; sigmoid output",
        "Loss function": LOSS_NAMES[recipe[f"{network}_loss"]],
        "Optimizer": OPTIMIZER_NAMES[recipe["optimizer"]],
        "Learning rate": rate,
        "Atrous spatial pyramid": pyramid,
        "Dropout": f"{recipe['dropout']:g} {dropout}",
        "Batch size": str(recipe["batch_size"]),
        "Weight decay": f"{recipe['weight_decay']:g} ({decay})",
        "Image size": f"{recipe['size']}×{recipe['size']}",
        "Width": f"{recipe['width']:g}",
        "Parameters": f"{run['parameters']:,}",
        "Initial weights": run["weights"],
        "Augmentation": "yes" if recipe["augment"] else "none",
        "Epochs run": f"{run['epochs_run']} (best: {run['best_epoch']})",
        "Threshold": f"{run['threshold']:g}",
        "Status": status(run),
    }


def run_table(run: dict) -> pd.DataFrame:
    """What a training was and how it ended, from its `run.json`: one row per fact, all text."""
    versions = ", ".join(f"{package} {version}" for package, version in run["versions"].items())
    facts = {
        "Initial weights": run["weights"],
        "Parameters": f"{run['parameters']:,}",
        "Images": ", ".join(f"{count} {part}" for part, count in run["images"].items()),
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


def image_table(records: list[ImageRecord]) -> pd.DataFrame:
    """The number of images and patients in each group, and in all."""
    table = pd.DataFrame({name: [vars(r)[name] for r in records] for name in ("group", "patient")})
    counts = table.groupby("group")["patient"].agg(images="size", patients="nunique")
    counts.loc["all"] = [len(table), table["patient"].nunique()]
    return counts


def share_table(index: pd.DataFrame) -> pd.DataFrame:
    """How much of the images, and of the lungs where outlined, is marked, in percent by group.

    Args:
        index: the index of masks.
    """
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
