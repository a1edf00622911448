"""Table 1, the results that the paper prints, and the one way tables are written."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from pneumo_keras.dataset.files import write_csv, write_whole
from pneumo_keras.report.markdown import markdown_table, plain
from pneumo_keras.training.networks import NETWORKS
from pneumo_keras.training.outcome import outcome

# Table 2 as printed, for comparison only: no n, no spread, no definition of the average.
PUBLISHED = {
    "DeepLabV3": {"accuracy": 0.844, "iou": 0.81},
    "SegNet": {"accuracy": 0.81, "iou": 0.70},
}
PAPER = "as the paper prints it"
_LATEX = str.maketrans(
    {
        **{character: f"\\{character}" for character in "&%$#_{}"},
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "\\": r"\textbackslash{}",
    }
)
_LOSS_NAMES = {
    "binary_crossentropy": "Binary cross-entropy",
    "hybrid_published": "unet3p_hybrid_loss (as published)",
    "hybrid_corrected": "unet3p_hybrid_loss (corrected)",
    "crossentropy_dice": "Binary cross-entropy + soft Dice",
}
_BACKBONE_NAMES = {
    "resnet50": "ResNet50",
    "resnet101": "ResNet101",
    "mobilenet_v2": "MobileNetV2",
    "xception": "Xception",
}


def parameter_table(runs: dict[str, dict]) -> pd.DataFrame:
    """Table 1: the parameters of both networks, from the runs themselves.

    The paper's rows first, then those it leaves out.

    Args:
        runs: `run.json` of each network, keyed `segnet` and `deeplabv3`.

    Returns:
        One row a parameter, one column a network, all text.
    """
    columns = {NETWORKS[network]: _parameters(network, run) for network, run in runs.items()}
    return pd.DataFrame(columns).rename_axis("Parameter").reset_index()


def _parameters(network: str, run: dict) -> dict[str, str]:
    recipe = run["recipe"]
    decay = "L2 on kernels" if recipe["optimizer"] == "adam" else "decoupled"
    rates = ", ".join(map(str, recipe["atrous_rates"]))
    if network == "segnet":
        encoder, pyramid = "VGG16: 13 convolutions in 5 blocks with max pooling", "none"
        decoder = "Mirrors the encoder, unpooling by its indices"
        dropout = "after the 3 deepest blocks each way"
    else:
        encoder = (
            f"{_BACKBONE_NAMES[recipe['backbone']]} with atrous convolutions, "
            f"output stride {recipe['output_stride']}"
        )
        pyramid = f"ASPP, rates {rates}, and image pooling"
        decoder = "DeepLabV3+ decoder" if recipe["decoder"] else "Bilinear upsampling of the logits"
        dropout = "after the ASPP projection"
    rate = f"{recipe['learning_rate']:g}, {recipe['schedule']}"
    if recipe["frozen_epochs"] and not run["weights"].startswith("random"):
        rate += (
            f"; first {recipe['frozen_epochs']} epochs {recipe['frozen_learning_rate']:g}, "
            "pretrained layers frozen"
        )
    return {
        "Encoder": encoder,
        "Decoder": decoder,
        "Activation function": "ReLU; sigmoid output",
        "Loss function": _LOSS_NAMES[recipe[f"{network}_loss"]],
        "Optimizer": {"adam": "Adam", "adamw": "AdamW"}[recipe["optimizer"]],
        "Learning rate": rate,
        "Atrous spatial pyramid": pyramid,
        "Dropout": f"{recipe['dropout']:g} {dropout}",
        "Batch size": str(recipe["batch_size"]),
        "Weight decay": f"{recipe['weight_decay']:g} ({decay})",
        "Film size": f"{recipe['size']}×{recipe['size']}",
        "Width": f"{recipe['width']:g}",
        "Parameters": f"{run['parameters']:,}",
        "Initial weights": run["weights"],
        "Augmentation": "yes" if recipe["augment"] else "none",
        "Epochs run": f"{run['epochs_run']} (best: {run['best_epoch']})",
        "Threshold": f"{run['threshold']:g}",
        "Outcome": outcome(run),
    }


def write_table(
    table: pd.DataFrame,
    name: str,
    caption: str,
    folder: Path,
    numbers: pd.DataFrame | None = None,
) -> None:
    """Writes a table as `<name>.csv`, `.md` and `.tex`, caption included in the last two.

    Args:
        table: as it is to be read.
        name: file name without suffix.
        caption: what it shows, and the data, n and recipe it was made from.
        folder: where to.
        numbers: the same for the CSV, where `table` holds text made of several numbers.

    Example:
        >>> from tempfile import mkdtemp
        >>> folder = Path(mkdtemp())
        >>> table = pd.DataFrame({"Network": ["SegNet"], "95 % interval": ["0.6 to 0.7"]})
        >>> write_table(table, "table_9", "Scores of A&B.", folder)
        >>> [line for line in (folder / "table_9.tex").read_text().split("\\n") if "%" in line]
        ['Network & 95 \\\\% interval \\\\\\\\']
    """
    write_csv(folder / f"{name}.csv", table if numbers is None else numbers)
    markdown = f"**{plain(caption)}**\n\n{markdown_table(table)}\n"
    write_whole(folder / f"{name}.md", markdown.encode())
    text = table.astype(object).where(table.notna(), "–")
    numeric = [pd.api.types.is_numeric_dtype(table[column]) for column in table]
    latex = (
        text.style.hide(axis="index")
        .format(precision=3, escape="latex")
        .format_index(axis="columns", escape="latex")
        .to_latex(
            caption=caption.translate(_LATEX),
            column_format="".join("r" if number else "l" for number in numeric),
            label=f"tab:{name}",
            hrules=True,
            position="htbp",
        )
    )
    latex = latex.replace("<", r"\textless{}")  # an inverted exclamation mark in LaTeX's own fonts
    write_whole(folder / f"{name}.tex", latex.encode())
