"""A small study with everything that notebook 05 hands to report, model cards and checklist."""

from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pandas as pd

from pneumo_keras.config import NETWORKS, QUICK, change
from pneumo_keras.dataset.resize import resize_mask
from pneumo_keras.evaluation.comparison import compare
from pneumo_keras.evaluation.metrics import baseline_predictions, score_images, score_masks
from pneumo_keras.report.conclusion import Findings, conclusion
from pneumo_keras.report.page import FIGURES
from pneumo_keras.report.results import results_table
from pneumo_keras.study import Study

SIZE = 32
PARTS = ["train"] * 2 + ["validation"] * 2 + ["test"] * 4


def run(network: str, recipe=QUICK, **changes) -> dict:
    """The content of a `run.json`."""
    facts = {"network": network, "target": "pneumonia", "recipe": recipe.as_json()}
    facts |= {"images": {"train": 2, "validation": 2, "test": 4}, "weights": "random"}
    facts |= {"parameters": 1849089, "threshold": 0.5, "diverged": False, "predicts": ""}
    facts |= {"epochs_run": 10, "best_epoch": 8, "best_validation_dice": 0.7094}
    facts |= {"validation_dice": 0.71, "validation_baseline_dice": 0.4, "seconds": 170.7}
    facts |= {"python": "3.11.7", "system": "Linux x86_64", "backend": "tensorflow"}
    facts |= {"device": "CPU, 2 cores", "peak_memory_gb": 1.5}
    facts |= {"versions": {"pneumo_keras": "0.1.0", "keras": "3.15.1"}}
    return facts | changes


def make_study(folder: Path, real="", names="abcdefgh", **settings) -> SimpleNamespace:
    """Eight images of 80 rows and 40 columns; the last of four test images has no target.

    SegNet marks the lower half of the reference on `e` and `f`, nothing on `g` and something on
    `h`; DeepLabV3 predicts the reference. Without a name of the data folder, `real`, the images
    count as phantoms; `settings` change the recipe.
    """
    recipe = change(QUICK, {"size": SIZE, **settings})
    data = folder / real if real else folder / "data" / "phantoms"
    study = Study(data, "pneumonia", ("pneumonia", "lung"), recipe, folder, real or "phantoms")
    for path in (data, study.masks, study.figures, *map(study.model, NETWORKS)):
        path.mkdir(parents=True, exist_ok=True)
    reference = np.zeros((80, 40), bool)
    reference[20:60, 10:30] = True
    full = np.ones((80, 40), bool)
    half = reference & (np.arange(80) >= 40)[:, None]
    rows, masks, marked = [], [], []
    for number, name in enumerate(names):
        mask = np.roll(reference, -15 if number < 2 else 0, axis=0) if number < 7 else ~full
        cv2.imwrite(str(data / f"{number}.png"), np.full((80, 40), 100, np.uint8))
        cv2.imwrite(str(study.masks / f"{number}.png"), 255 * mask.astype(np.uint8))
        files = {"image": f"{number}.png", "mask": f"{number}.png", "stamp": ""}
        group = "virus" if mask.any() else "normal"
        share = {"target_share": mask.mean(), "share_lung": 0.5}
        rows.append({"name": name, **files, "patient": f"p{number // 2}", "group": group, **share})
        masks.append(resize_mask(mask, SIZE, recipe.letterbox))
        segnet = half if number != 6 else ~full
        marked.append(resize_mask(segnet, SIZE, recipe.letterbox))
    index = pd.DataFrame(rows)
    index.to_csv(study.masks / "index.csv", index=False)
    for name in FIGURES:
        cv2.imwrite(str(study.figures / f"{name}.png"), np.full((20, 30), 200, np.uint8))
        (study.figures / f"{name}.txt").write_text(f"Caption of {name}.", "utf-8")
    for network in NETWORKS:
        (study.model(network) / "best.keras").write_bytes(b"weights")
    images, masks = index.iloc[4:], np.array(masks)
    predicted = {"SegNet": np.array(marked[4:]), "DeepLabV3": masks[4:]}
    probabilities = {name: one.astype(np.float32) for name, one in predicted.items()}
    scores = {
        name: score_images(one, masks[4:], 0.5, images) for name, one in probabilities.items()
    }
    baselines = {
        name: score_masks(one, masks[4:], images)
        for name, one in baseline_predictions(masks[:2], 4).items()
    }
    runs = {network: run(network, recipe) for network in NETWORKS}
    comparison = compare(*scores.values(), tuple(scores))
    findings = Findings(
        runs=runs,
        scores=scores,
        table_2=results_table({**scores, **baselines}),
        comparison=comparison,
        variations={"three seeds": pd.DataFrame({"Network": ["SegNet"], "Dice": [0.625]})},
        conclusion=conclusion(study.caption(), scores, comparison, baselines, runs),
    )
    split = pd.Series(PARTS, index=list(names))
    test = (images, probabilities, dict.fromkeys(probabilities, 0.5))
    return SimpleNamespace(study=study, findings=findings, index=index, split=split, test=test)
