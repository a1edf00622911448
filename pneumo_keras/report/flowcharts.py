"""Figures 3 and 4: the training pipeline and the inference pipeline, with a recipe's settings."""

import itertools
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Polygon, Rectangle

from pneumo_keras.config import BACKBONES, LOSSES, NETWORKS, OPTIMIZERS, Recipe
from pneumo_keras.report.drawing import LINE, Anchors, arrow, box, page, write, write_lines
from pneumo_keras.report.style import INK, NETWORK_COLOURS, PAGE_WIDTH, drawing, tinted

WIDTH, HEIGHT, GAP = 1.4, 0.52, 0.32  # of the boxes, and between them
COLUMNS = [PAGE_WIDTH - 0.2 - number * WIDTH - (number - 1) * GAP for number in (4, 3, 2, 1)]
FILE = "#E3EFE9"  # colour of what is stored in a file


def training_flowchart(recipe: Recipe) -> Figure:
    """Figure 3: from images and annotations to the saved models, with the recipe's settings.

    Example:
        >>> from pneumo_keras.config import PAPER
        >>> figure = training_flowchart(PAPER)
        >>> "75 % train, 25 % test" in [text.get_text() for text in figure.axes[0].texts]
        True
    """
    tested = 100 * recipe.test_share
    split = f"Split by {recipe.split_by}\n{100 - tested:g} % train, {tested:g} % test"
    annotation = (
        "Chest X-rays\nimage files or DICOM",
        "Annotation\noutlines or masks",
        "Mask images\nof the same size",
        "Official split\nof the data set" if recipe.split_by == "official" else split,
    )
    preparation = (
        f"Training set\n{100 * recipe.validation_share:g} % for validation",
        _resizing(recipe, "masks: nearest pixel"),
        f"Augmentation\n{'of training images' if recipe.augment else 'none'}",
        f"Scaling in the model\n{'0 to 1' if recipe.scaling == 'unit' else 'as for its backbone'}",
    )
    with drawing(PAGE_WIDTH, 3.95) as figure:
        axes = page(figure)
        bands = {"Annotation": (3.06, 0.8), "Preparation": (2.14, 0.8), "Training": (0.1, 1.92)}
        for name, (y, height) in bands.items():
            axes.add_patch(Rectangle((0.08, y), PAGE_WIDTH - 0.16, height, facecolor="#F4F4F4"))
            write(axes, 0.22, y + height / 2, name, rotation=90, va="center", fontweight="bold")
        *_, last = _row(axes, 3.2, annotation)
        first, *_, scaled = _row(axes, 2.28, preparation)
        arrow(axes, last.bottom, (last.bottom[0], 3.0), (first.top[0], 3.0), first.top)
        _draw_training(axes, recipe, scaled)
    return figure


def testing_flowchart(recipe: Recipe) -> Figure:
    """Figure 4: from an image to its binary mask, its overlay and its outlines.

    Example:
        >>> from pneumo_keras.config import QUICK
        >>> said = [text.get_text() for text in testing_flowchart(QUICK).axes[0].texts]
        >>> [text for text in said if "Resize" in text]
        ['Resize to 96×96']
    """
    validated = recipe.threshold == "validation"
    steps = (
        "Image\nnew or of the test set",
        _resizing(recipe, "area averaging"),
        "Prediction\nprobability of each pixel",
        f"Threshold\n{'chosen in validation' if validated else recipe.threshold}",
    )
    with drawing(PAGE_WIDTH, 2.52) as figure:
        axes = page(figure)
        *_, prediction, threshold = _row(axes, 1.0, steps)
        model = _file(axes, COLUMNS[2], 1.9, "Saved model\nSegNet or DeepLabV3")
        outlines = _file(axes, COLUMNS[1], 0.1, "Outlines\nLabelMe JSON")
        overlay = _file(axes, COLUMNS[2], 0.1, "Overlay\nPNG")
        mask = _file(axes, COLUMNS[3], 0.1, "Binary mask\nof the image's own size")
        arrow(axes, model.bottom, prediction.top)
        arrow(axes, threshold.bottom, mask.top)
        arrow(axes, mask.left, overlay.right)
        fork, above = mask.left[0] - GAP / 2, outlines.top[0]
        arrow(axes, (fork, mask.left[1]), (fork, 0.78), (above, 0.78), outlines.top)
    return figure


def _draw_training(axes: Axes, recipe: Recipe, scaled: Anchors) -> None:
    """The two networks, the loop over the epochs, and the saved model."""
    design = {
        "segnet": "VGG16 encoder",
        "deeplabv3": f"{BACKBONES[recipe.backbone]}, output stride {recipe.output_stride}",
    }
    trunk, x, middle, width = 0.44, 0.58, 0.98, 2.05
    networks = []
    for network, y in (("segnet", 1.27), ("deeplabv3", 0.45)):
        colour = NETWORK_COLOURS[NETWORKS[network]]
        plus = "+" if network == "deeplabv3" and recipe.decoder else ""
        weights = recipe.of(network, "weights") or "random weights"
        lines = (
            NETWORKS[network] + plus,
            design[network],
            "ImageNet weights" if weights == "imagenet" else Path(weights).name,
            LOSSES[recipe.of(network, "loss")],
        )
        look = {"colour": tinted(colour, 0.85), "edge": colour}
        networks.append(box(axes, x, y, width, 0.68, "\n".join(lines), **look))
    segnet, deeplab = networks
    look = {"width": 1.08, "height": HEIGHT, "colour": "white"}
    validation = box(axes, 2.92, middle - HEIGHT / 2, text="Validation\nafter each epoch", **look)
    best = box(axes, 4.22, middle - HEIGHT / 2, text="Best epoch\nby its Dice", **look)
    question = f"Last epoch?\n{recipe.epochs}"
    question += f", or {recipe.patience}\nwithout gain" if recipe.patience else " in all"
    left, right, centre = COLUMNS[3], COLUMNS[3] + WIDTH, COLUMNS[3] + WIDTH / 2
    top, bottom = middle + 0.36, middle - 0.36
    corners = [(left, middle), (centre, top), (right, middle), (centre, bottom)]
    axes.add_patch(Polygon(corners, facecolor="white", edgecolor=INK, linewidth=LINE))
    write_lines(axes, centre, middle, question)
    saved = _file(axes, left, 1.44, "Saved model\nbest epoch, .keras")

    # === Into the networks, through the epoch, and back ===
    entry = (trunk, deeplab.left[1])
    arrow(axes, scaled.bottom, (scaled.bottom[0], 2.08), (trunk, 2.08), entry, deeplab.left)
    arrow(axes, (trunk, segnet.left[1]), segnet.left)
    join = validation.left[0] - 0.14
    arrow(axes, segnet.right, (join, segnet.right[1]), (join, middle), validation.left)
    arrow(axes, deeplab.right, (join, deeplab.right[1]), (join, middle), style="-")
    arrow(axes, validation.right, best.left)
    arrow(axes, best.right, (left, middle))
    arrow(axes, (centre, top), saved.bottom)
    arrow(axes, (centre, bottom), (centre, 0.3), (trunk, 0.3), entry, style="-")
    write(axes, centre + 0.06, 1.39, "yes", ha="left")
    write(axes, centre + 0.06, 0.54, "no", ha="left")
    rate = f"learning rate {recipe.learning_rate:g}"
    rate += f", {recipe.schedule}" if recipe.schedule != "constant" else ""
    optimizer = OPTIMIZERS[recipe.optimizer]
    text = f"next epoch: {optimizer}, {rate}, batches of {recipe.batch_size}"
    write(axes, (trunk + centre) / 2, 0.2, text)


def _resizing(recipe: Recipe, otherwise: str) -> str:
    steps = {"CLAHE": recipe.clahe, "black borders": recipe.letterbox}
    detail = ", ".join(step for step, used in steps.items() if used) or otherwise
    return f"Resize to {recipe.size}×{recipe.size}\n{detail}"


def _row(axes: Axes, y: float, texts: tuple[str, ...]) -> list[Anchors]:
    """Boxes from left to right, with an arrow from each to the next."""
    places = zip(COLUMNS, texts, strict=True)
    row = [box(axes, x, y, WIDTH, HEIGHT, text, colour="white") for x, text in places]
    for before, after in itertools.pairwise(row):
        arrow(axes, before.right, after.left)
    return row


def _file(axes: Axes, x: float, y: float, text: str) -> Anchors:
    return box(axes, x, y, WIDTH, HEIGHT, text, colour=FILE)
