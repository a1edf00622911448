"""What a training has come to: its threshold, the verdict on it, and reading its record."""

import json

import numpy as np
import pytest

from pneumo_keras.errors import StudyError
from pneumo_keras.runs import read_history, read_run, status
from pneumo_keras.training.outcome import choose_threshold, judge


def verdict(probabilities, masks, threshold=0.5, training_masks=None, diverged=False):
    training = masks if training_masks is None else training_masks
    return status({"diverged": diverged, **judge(probabilities, masks, threshold, training)})


def lesions(count=20, side=40, area=3):
    """A square lesion at a random place in each image: 3 pixels a side are 0.6 % of it."""
    masks = np.zeros((count, side, side), np.uint8)
    places = np.random.default_rng(0).integers(0, side - area, (count, 2))
    for mask, (row, column) in zip(masks, places, strict=True):
        mask[row : row + area, column : column + area] = 1
    return masks


def test_every_pixel_is_judged_at_the_chosen_threshold():
    """Probabilities of 0.3 and 0.4 predict nothing at 0.5, and everything at 0.2."""
    masks = lesions()
    probabilities = 0.3 + 0.1 * masks
    assert "nothing" in verdict(probabilities, masks, 0.5)
    assert "everything" in verdict(probabilities, masks, 0.2)
    # And a network that is right about lesions under 1 % of the image is trained.
    assert masks.mean() < 0.01 and verdict(probabilities, masks, 0.35) == "trained"
    assert "diverged" in verdict(probabilities, masks, diverged=True)


@pytest.mark.parametrize(
    ("constant", "word"), [(0, "nothing"), (1, "everything"), (np.nan, "noth")]
)
def test_a_constant_prediction_is_degenerate_up_to_one_image_of_twenty(constant, word):
    masks = lesions(area=20)
    probabilities = np.full(masks.shape, constant, float)
    probabilities[0] = masks[0]
    assert word in verdict(probabilities, masks)
    probabilities[1] = masks[1]
    assert "degenerate" not in verdict(probabilities, masks)


def test_images_without_the_target_may_be_predicted_empty():
    masks = np.concatenate([lesions(2), np.zeros((98, 40, 40), np.uint8)])
    assert verdict(masks, masks) == "trained" and "nothing" in verdict(0 * masks, masks)
    empty = judge(masks[2:], masks[2:], 0.5, masks)  # of which none has a Dice
    assert empty == {"predicts": "", "validation_dice": None, "validation_baseline_dice": None}
    assert verdict(masks[2:], masks[2:]) == "trained"


def test_a_network_no_better_than_a_baseline_is_said_to_be_so():
    """Half the image is target, the same half in all: the mean training mask has a Dice of 1."""
    masks = np.zeros((10, 8, 8), np.uint8)
    masks[:, :4] = 1
    worse = masks.copy()
    worse[:, 4] = 1  # Dice 2 * 32 / (32 + 40)
    judged = judge(worse, masks, 0.5, masks)
    assert judged["validation_dice"] == round(64 / 72, 6)
    assert judged["validation_baseline_dice"] == 1 and judged["predicts"] == ""
    assert "baseline" in verdict(worse, masks)
    assert "baseline" in verdict(masks, masks)  # no better is not enough either
    elsewhere = masks[:, ::-1]  # in the training images; the best baseline is then every pixel
    assert judge(worse, masks, 0.5, elsewhere)["validation_baseline_dice"] == round(64 / 96, 6)
    assert verdict(worse, masks, training_masks=elsewhere) == "trained"


def test_the_threshold_is_the_one_of_the_best_mean_dice():
    random = np.random.default_rng(0)
    masks = random.random((6, 8, 8)) < 0.3
    masks[3] = False  # excluded
    probabilities = 0.2 * masks + random.random((6, 8, 8)) * 0.3

    def mean_dice(threshold):
        pairs = [(probabilities[i] >= threshold, masks[i]) for i in (0, 1, 2, 4, 5)]
        return np.mean(
            [2 * (one & other).sum() / (one.sum() + other.sum()) for one, other in pairs]
        )

    chosen = choose_threshold(probabilities, masks, "validation")
    assert mean_dice(chosen) == pytest.approx(max(mean_dice(step / 20) for step in range(1, 20)))
    assert chosen != 0.5 == choose_threshold(probabilities, masks, "0.5")
    assert choose_threshold(probabilities, 0 * masks, "validation") == 0.5


# === The record ===


def test_a_network_that_was_not_trained_is_named(tmp_path):
    for read in (read_history, read_run):
        with pytest.raises(StudyError, match="train segnet first"):
            read(tmp_path / "segnet")


RUN = {"target": "pneumonia", "threshold": 0.5}
UNUSABLE = [RUN | {"threshold": value} for value in (None, True, "0.5", 1.5, -0.1, float("nan"))]
UNUSABLE += [RUN | {"target": value} for value in (None, " ", 3)]


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", *map(json.dumps, UNUSABLE)])
def test_a_record_that_cannot_be_used_is_refused_in_one_line(tmp_path, content):
    path = tmp_path / "run.json"
    path.write_text(json.dumps(RUN))
    assert read_run(tmp_path) == RUN
    path.write_text(content)
    with pytest.raises(StudyError, match=r"run.json.*again") as error:
        read_run(tmp_path)
    assert "\n" not in str(error.value)
