"""Figures 3 and 4: the flow of training and of testing, with the values of the recipe."""

from __future__ import annotations

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from pneumo_keras.report.diagrams.drawing import arrow, box, diamond, page
from pneumo_keras.report.style import NETWORK_COLOURS, PAGE_WIDTH, SMALL, drawing, tinted
from pneumo_keras.training.networks import NETWORKS
from pneumo_keras.training.recipes import Recipe

LEFT, WIDTH, GAP, HEIGHT = 0.42, 1.4, 0.32, 0.52  # of the boxes, inches
TRUNK = 0.46  # where the films come down to the networks
LOSS_WORDS = {
    "binary_crossentropy": "binary cross-entropy",
    "hybrid_published": "focal + SSIM + Jaccard",
    "hybrid_corrected": "focal + SSIM + Jaccard",
    "crossentropy_dice": "cross-entropy + Dice",
}
OPTIMIZERS = {"adam": "Adam", "adamw": "AdamW"}
BACKBONE_WORDS = {
    "resnet50": "ResNet50",
    "resnet101": "ResNet101",
    "mobilenet_v2": "MobileNetV2",
    "xception": "Xception",
}


def training_flowchart(recipe: Recipe) -> Figure:
    """Figure 3: from films and annotations to the saved models.

    Args:
        recipe: where split, size, weights, losses, optimizer and epochs are read.

    Returns:
        The figure, a page wide.

    Example:
        >>> from pneumo_keras.training.recipes import PAPER
        >>> figure = training_flowchart(PAPER)
        >>> "75 % train, 25 % test" in [text.get_text() for text in figure.axes[0].texts]
        True
    """
    with drawing(PAGE_WIDTH, 3.95) as figure:
        axes = page(figure)
        _band(axes, 3.06, 0.8, "Annotation")
        _band(axes, 2.14, 0.8, "Preparation")
        _band(axes, 0.1, 1.92, "Training")
        _row(
            axes,
            3.2,
            (
                "Chest films\npicture or DICOM",
                "Annotation\noutlines or masks",
                "Mask images\nsize of the film",
                _split_words(recipe),
            ),
        )
        end, start = LEFT + 3 * (WIDTH + GAP) + WIDTH / 2, LEFT + WIDTH / 2
        arrow(axes, (end, 3.2), (end, 3.0), (start, 3.0), (start, 2.28 + HEIGHT))
        _row(
            axes,
            2.28,
            (
                f"Training part\n{100 * recipe.validation_share:g} % of it to validate",
                f"Resize to {recipe.size}×{recipe.size}\nmask by nearest pixel",
                f"Augmentation\n{'of training films' if recipe.augment else 'none'}",
                f"Scaling in the model\n{_scaling(recipe)}",
            ),
        )
        arrow(axes, (end, 2.28), (end, 2.08), (TRUNK, 2.08), (TRUNK, 1.6), style="-")
        _training(axes, recipe)
    return figure


def testing_flowchart(recipe: Recipe) -> Figure:
    """Figure 4: from a film to its binary mask, its overlay and its outlines.

    Args:
        recipe: where size and threshold are read.

    Returns:
        The figure, a page wide.

    Example:
        >>> from pneumo_keras.training.recipes import QUICK
        >>> said = [text.get_text() for text in testing_flowchart(QUICK).axes[0].texts]
        >>> [text for text in said if "Resize" in text]
        ['Resize to 96×96']
    """
    chosen = "chosen in validation" if recipe.threshold == "validation" else recipe.threshold
    with drawing(PAGE_WIDTH, 2.55) as figure:
        axes = page(figure)
        left = 0.32
        _row(
            axes,
            1.0,
            (
                "Film\nnew or of the test part",
                f"Resize to {recipe.size}×{recipe.size}\nby area",
                "Prediction\nprobability of each pixel",
                f"Threshold\n{chosen}",
            ),
            left,
        )
        step = WIDTH + GAP
        _stored(axes, left + 2 * step, 1.9, "Saved model\nSegNet or DeepLabV3")
        middle = left + 2 * step + WIDTH / 2
        arrow(axes, (middle, 1.9), (middle, 1.0 + HEIGHT))
        mask = left + 3 * step
        _stored(axes, mask, 0.1, "Binary mask\nat the film's own size")
        arrow(axes, (mask + WIDTH / 2, 1.0), (mask + WIDTH / 2, 0.1 + HEIGHT))
        for number, text in ((2, "Overlay\nPNG"), (1, "Outlines\nLabelMe JSON")):
            _stored(axes, left + number * step, 0.1, text)
        arrow(axes, (mask, 0.36), (left + 2 * step + WIDTH, 0.36))
        arrow(
            axes,
            (mask - GAP / 2, 0.36),
            (mask - GAP / 2, 0.75),
            (middle - step, 0.75),
            (middle - step, 0.1 + HEIGHT),
        )
    return figure


def _band(axes: Axes, y: float, height: float, name: str) -> None:
    axes.add_patch(Rectangle((0.08, y), PAGE_WIDTH - 0.16, height, facecolor="#F4F4F4"))
    axes.text(
        0.22,
        y + height / 2,
        name,
        rotation=90,
        ha="center",
        va="center",
        fontsize=SMALL,
        fontweight="bold",
    )


def _split_words(recipe: Recipe) -> str:
    if recipe.split_by == "official":
        return "Official split\nof the source"
    tested = 100 * recipe.test_share
    return f"Split by {recipe.split_by}\n{100 - tested:g} % train, {tested:g} % test"


def _row(axes: Axes, y: float, texts: tuple[str, ...], left: float = LEFT) -> None:
    """Boxes from left to right, an arrow from each to the next."""
    for number, text in enumerate(texts):
        x = left + number * (WIDTH + GAP)
        box(axes, x, y, WIDTH, HEIGHT, text, colour="white")
        if number:
            arrow(axes, (x - GAP, y + HEIGHT / 2), (x, y + HEIGHT / 2))


def _stored(axes: Axes, x: float, y: float, text: str) -> None:
    """A box for what lies in a file."""
    box(axes, x, y, WIDTH, HEIGHT, text, colour="#E3EFE9")


def _scaling(recipe: Recipe) -> str:
    return "grey to 0..1" if recipe.scaling == "unit" else "as its backbone expects"


def _weights(weights: str | None) -> str:
    if weights is None:
        return "random weights"
    return "ImageNet weights" if weights == "imagenet" else Path(weights).name


def _training(axes: Axes, recipe: Recipe) -> None:
    """Two networks side by side, the loop over the epochs, and the model that is kept."""
    left, width, height, middle, join = 0.64, 1.68, 0.66, 0.98, 2.46
    last = 3 * (WIDTH + GAP) + LEFT
    designs = {
        "segnet": "VGG16 encoder",
        "deeplabv3": f"{BACKBONE_WORDS[recipe.backbone]}, output stride {recipe.output_stride}",
    }
    for (network, design), y in zip(designs.items(), (1.27, 0.47), strict=True):
        name = NETWORKS[network]
        if network == "deeplabv3" and recipe.decoder:
            name += "+"
        colour = NETWORK_COLOURS[NETWORKS[network]]
        text = f"{name}\n{design}\n{_weights(recipe.of(network, 'weights'))}"
        text += f"\n{LOSS_WORDS[recipe.of(network, 'loss')]}"
        box(axes, left, y, width, height, text, colour=tinted(colour, 0.85), edge=colour)
        arrow(axes, (TRUNK, y + height / 2), (left, y + height / 2))
        arrow(
            axes, (left + width, y + height / 2), (join, y + height / 2), (join, middle), style="-"
        )
    arrow(axes, (TRUNK, 1.6), (TRUNK, 0.8), style="-")
    reach = join
    for x, text in ((2.66, "Validation\nafter each epoch"), (4.12, "Best epoch kept\nby its Dice")):
        arrow(axes, (reach, middle), (x, middle))
        box(axes, x, middle - HEIGHT / 2, 1.18, HEIGHT, text, colour="white")
        reach = x + 1.18
    arrow(axes, (reach, middle), (last, middle))
    # === The end, and the way back ===
    patience = recipe.patience
    question = f"last of {recipe.epochs}"
    question += f", or\n{patience} without gain?" if patience else "\nepochs?"
    diamond(axes, last, middle - 0.36, WIDTH, 0.72, question)
    centre = last + WIDTH / 2
    _stored(axes, last, 1.46, "Saved model\nbest epoch, .keras")
    arrow(axes, (centre, middle + 0.36), (centre, 1.46))
    arrow(axes, (centre, middle - 0.36), (centre, 0.3), (TRUNK, 0.3), (TRUNK, 0.8), style="-")
    rate = f"learning rate {recipe.learning_rate:g}"
    if recipe.schedule != "constant":
        rate += f", {recipe.schedule}"
    for x, y, text, align in (
        (centre + 0.06, 1.4, "yes", "left"),
        (centre + 0.06, 0.54, "no", "left"),
        (
            (TRUNK + centre) / 2,
            0.2,
            f"next epoch: {OPTIMIZERS[recipe.optimizer]}, {rate}, batches of {recipe.batch_size}",
            "center",
        ),
    ):
        axes.text(x, y, text, ha=align, va="center_baseline", fontsize=SMALL)
