"""Tables of trained networks: the paper's Tables 1 and 2, all scores, and the comparison."""

import math

import numpy as np
import pandas as pd

from pneumo_keras.config import BACKBONES, LOSSES, NETWORKS, OPTIMIZERS
from pneumo_keras.evaluation.audit import TABLE_2
from pneumo_keras.evaluation.calibration import pixel_histogram, probability_scores
from pneumo_keras.evaluation.intervals import Interval, mean_interval, pooled_interval
from pneumo_keras.evaluation.metrics import summary
from pneumo_keras.runs import status

# Columns of Table 2: heading, score, how its interval is computed.
COLUMNS = (
    ("Test accuracy", "accuracy", pooled_interval),
    ("Test IoU", "iou", pooled_interval),
    ("IoU per image", "iou", mean_interval),
    ("Dice per image", "dice", mean_interval),
)
COUNTS = {
    pooled_interval: ("Images", "Patients"),
    mean_interval: ("Images with target", "Patients with target"),
}
_NAMES = {"iou": "IoU", "boundary_iou": "Boundary IoU", "brier": "Brier score"}
_NAMES |= {"surface_dice": "Surface Dice", "hd95": "HD95", "assd": "ASSD"}
# Rows of Table 3: key of `summary` or `probability_scores`, and its name.
ALL_SCORES = {
    "pooled_accuracy": "Accuracy, pooled",
    "pooled_iou": "IoU, pooled",
    "pooled_dice": "Dice, pooled",
    "pooled_sensitivity": "Sensitivity, pooled",
    "pooled_specificity": "Specificity, pooled",
    "pooled_precision": "Precision, pooled",
    "image_iou": "IoU, mean over images with target",
    "image_dice": "Dice, mean over images with target",
    "all_images_dice": "Dice, mean over all images (both empty: 1)",
    "image_sensitivity": "Sensitivity, mean over images with target",
    "image_precision": "Precision, mean over images with target",
    "image_area_error": "Area error, mean over all images (share of the image)",
    "image_hd95": "HD95, mean over images with target ({unit})",
    "image_assd": "Mean surface distance, images with target ({unit})",
    "image_surface_dice": "Surface Dice, mean over images with target",
    "image_boundary_iou": "Boundary IoU, mean over images with target",
    "lesion_f1_10": "Lesion F1 at IoU > 0.1",
    "lesion_f1_50": "Lesion F1 at IoU > 0.5",
    "lesion_false_per_image_10": "False lesions per image, at IoU > 0.1",
    "detection_auroc_area": "AUROC of the marked area, images",
    "detection_sensitivity": "Share of images with target detected",
    "detection_specificity": "Share of images without target not marked",
    "false_share": "Share marked on images without target, mean",
    "pooled_brier": "Brier score, pixels",
    "pooled_calibration_error": "Calibration error, pixels",
    "pooled_average_precision": "Average precision, pixels",
}


def parameter_table(runs: dict[str, dict]) -> pd.DataFrame:
    """Table 1: the parameters of the networks, the paper's first, then those it leaves out.

    Args:
        runs: `run.json` by `segnet` and `deeplabv3`.
    """
    columns = {NETWORKS[network]: _parameters(network, run) for network, run in runs.items()}
    return pd.DataFrame(columns).rename_axis("Parameter").reset_index()


def _parameters(network: str, run: dict) -> dict[str, str]:
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
        "Loss function": LOSSES[recipe[f"{network}_loss"]],
        "Optimizer": OPTIMIZERS[recipe["optimizer"]],
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
        "Changed by hand": "; ".join(run.get("changed_by_hand", ())) or "nothing",
        "Status": status(run),
    }


def run_table(run: dict) -> pd.DataFrame:
    """What a training was and how it ended, from its `run.json`."""
    versions = ", ".join(f"{package} {version}" for package, version in run["versions"].items())
    facts = {
        "Initial weights": run["weights"],
        "Parameters": f"{run['parameters']:,}",
        "Images": ", ".join(f"{count} {part}" for part, count in run["images"].items()),
        "Epochs run": f"{run['epochs_run']}, best {run['best_epoch']}",
        "Best validation Dice": f"{run['best_validation_dice']:.3f}",
        "Threshold": f"{run['threshold']:g}",
        "Status": status(run),
        "Changed by hand": "; ".join(run.get("changed_by_hand", ())) or "nothing",
        "Seed": str(run["recipe"]["seed"]),
        "Duration": f"{run['seconds']:.0f} s",
        "Peak memory": f"{run['peak_memory_gb']} GB",
        "Device": f"{run['device']}, {run['system']}",
        "Versions": f"Python {run['python']}, {versions}",
    }
    return pd.DataFrame({"": facts.values()}, index=list(facts))


def results_table(scores: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Table 2 with 95 % intervals over patients, and the paper's own rows, which have none.

    Args:
        scores: by network or baseline, in the order of the rows: one row per image with name,
            patient, tp, fp, fn, tn, iou and dice.

    Returns:
        `Architecture`; for each of `COLUMNS` the value, `<heading>, low` and `<heading>, high`;
        `Images`, `Patients`, and the numbers of both that have the target.
    """
    rows = []
    for name, table in scores.items():
        row, numbers = {"Architecture": name}, {}
        for heading, metric, compute in COLUMNS:
            interval = compute(table, metric)
            row |= {heading: interval.value}
            row |= {f"{heading}, low": interval.low, f"{heading}, high": interval.high}
            numbers |= zip(COUNTS[compute], (interval.images, interval.patients), strict=True)
        rows.append(row | numbers)
    # For comparison only: the paper states no n, no spread and no definition of the average.
    for name, (accuracy, iou) in TABLE_2.items():
        row = {"Architecture": f"{name}, as the paper prints it"}
        rows.append(row | {"Test accuracy": float(accuracy), "Test IoU": float(iou)})
    return pd.DataFrame(rows).astype(dict.fromkeys(numbers, "Int64")).round(6)


def readable(table: pd.DataFrame) -> pd.DataFrame:
    """Show each value and its interval in one column as text, and leave out empty columns.

    The ends of intervals are columns `x, low` and `x, high` beside `x`, or `low` and `high` beside
    `value`, `mean` or `difference`.

    Example:
        >>> numbers = pd.DataFrame({"value": [0.5], "low": [0.25], "high": [0.75], "images": [4]})
        >>> readable(numbers)["value"].item()
        '0.500 [0.250, 0.750]'
    """
    table = table.copy()
    ends = dict.fromkeys(("value", "mean", "difference"), ("low", "high"))
    ends |= {c: (f"{c}, low", f"{c}, high") for c in table if f"{c}, low" in table}
    ends = {column: pair for column, pair in ends.items() if {column, *pair} <= set(table)}
    for column, (low, high) in ends.items():
        rows = table[[column, low, high]].itertuples(index=False)
        table[column] = [str(Interval(*map(float, row), 0, 0)) for row in rows]
    spent = {end for pair in ends.values() for end in pair}
    empty = [column for column in table if table[column].isin(["", None]).all()]
    return table.drop(columns=[*spent, *empty])


def score_table(
    scores: dict[str, pd.DataFrame], probabilities: dict[str, np.ndarray], reference: np.ndarray
) -> pd.DataFrame:
    """Table 3: all scores of the networks, each named with what it is averaged over.

    Args:
        scores: by network, as `score_images` returns them.
        probabilities: by network, (images, height, width), 0..1.
        reference: (images, height, width), 0 or 1.
    """
    columns = {}
    for name, table in scores.items():
        histogram = pixel_histogram(probabilities[name], reference)
        values = summary(table) | probability_scores(histogram)
        unit = values["unit"]
        columns[name] = {text.format(unit=unit): values[key] for key, text in ALL_SCORES.items()}
    return pd.DataFrame(columns).rename_axis("Score").reset_index().round(3)


def score_name(score: str, unit: str = "") -> str:
    """The printed name of a score, with the unit of distances if it is given."""
    name = _NAMES.get(score, score.capitalize())
    return f"{name} ({unit})" if unit and score in ("hd95", "assd") else name


def comparison_table(
    comparison: pd.DataFrame, names: tuple[str, str], unit: str = ""
) -> pd.DataFrame:
    """Table 4: the paired comparison (`evaluation.comparison.compare`) as text.

    P values after Holm's correction are in parentheses; wins, ties and losses are patients of the
    first network; `unit` is that of distances, px or mm.
    """
    rows = []
    for row in comparison.to_dict("records"):
        ends = "" if math.isnan(row["low"]) else f" [{row['low']:+.3f}, {row['high']:+.3f}]"
        counts = "–" if pd.isna(row["wins"]) else f"{row['wins']}/{row['ties']}/{row['losses']}"
        rows.append(
            {
                "Score": f"{score_name(row['score'], unit)}, {row['average']}",
                names[0]: _number(row["first"], ".3f"),
                names[1]: _number(row["second"], ".3f"),
                "Difference": _number(row["difference"], "+.3f") + ends,
                "p, Wilcoxon (Holm)": _p_values(row, "p_wilcoxon"),
                "p, permutation (Holm)": _p_values(row, "p_permutation"),
                "Rank-biserial": _number(row["effect"], "+.2f"),
                "Wins/ties/losses": counts,
                "Images": row["images"],
                "Patients": row["patients"],
            }
        )
    return pd.DataFrame(rows)


def _number(value: float, form: str) -> str:
    return "–" if math.isnan(value) else format(value, form)


def _p_values(row: dict, test: str) -> str:
    if math.isnan(row[test]):
        return "–"
    values = (row[test], row[f"{test}_holm"])
    return "{} ({})".format(*("<0.001" if p < 0.001 else f"{p:.3f}" for p in values))
