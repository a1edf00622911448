"""Figures of images: annotations, augmentation, segmentations (Figures 5 and 6) and errors.

`data` says what was segmented, and by which recipe.
"""

import itertools
import re
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.patheffects import withStroke

from pneumo_keras.evaluation.predict import tinted
from pneumo_keras.report import style
from pneumo_keras.report.examples import TestedImage

LABEL_WIDTH, HEAD = 1.1, 0.75  # inches: left of the rows; titles, legend and note
NAME_LENGTH = 16  # characters of a line of a name, beside or below an image
HALO = "#202020"  # around an outline, so that it shows on bright images too
BRIGHTNESS = 0.6  # of the mean image below the colours of an error map


def segmentation_figure(images: dict[str, TestedImage], network: str, data: str) -> Figure:
    """Figures 5 and 6: image, reference, prediction and overlay, one row per image.

    `images` has the reason for showing each as key, see `examples.choose_examples`.
    """
    grid = [[one.image] for one in images.values()]
    with _image_grid(grid, 4, data, _error_handles(), left=LABEL_WIDTH) as (figure, rows):
        style.letter(rows[0], ["image", "reference", f"prediction of {network}", "overlay"])
        for (note, one), row in zip(images.items(), rows, strict=True):
            _show(row[0], one.image)
            _show(row[1], one.reference)
            _show(row[2], one.predicted[network])
            _show_errors(row[3], one, network)
            _label_row(row[0], [note.capitalize(), _dice(one, network)], one.name)
    return figure


def error_figure(images: dict[str, Sequence[TestedImage]], network: str, data: str) -> Figure:
    """A network's worst, median and best images, each beside its errors in colour.

    `images` has equally many of each, see `examples.choose_extremes`.
    """
    shown = list(zip(*images.values(), strict=True))
    grid = [[one.image for one in row] for row in shown]
    with _image_grid(grid, 2 * len(images), data, _error_handles(), below=0.4) as (figure, rows):
        style.letter(rows[0][::2], [f"{network}, {note}" for note in images])
        for row, axes in zip(shown, rows, strict=True):
            for one, left, right in zip(row, axes[::2], axes[1::2], strict=True):
                _show(left, one.image)
                left.set_xlabel(_wrap(one.name), fontsize=style.SMALL)
                _show_errors(right, one, network)
                right.set_xlabel(_dice(one, network), fontsize=style.SMALL)
    return figure


def annotation_figure(
    images: Sequence[tuple[str, np.ndarray, dict[str, np.ndarray]]], target: str, data: str
) -> Figure:
    """Image, outlines of all labels, mask of the target and its overlay, one row per image.

    `images` are as `examples.annotated_images` returns them.
    """
    labels = list(dict.fromkeys([target, *(label for *_, masks in images for label in masks)]))
    colours = dict(zip(labels, itertools.cycle(style.LABEL_COLOURS)))
    grid = [[image] for _, image, _ in images]
    handles = [_outline_handle(colours[label], label) for label in labels]
    with _image_grid(grid, 4, data, handles, left=LABEL_WIDTH) as (figure, rows):
        style.letter(rows[0], ["image", "annotation", f"mask: {target}", "overlay"])
        for (name, image, masks), row in zip(images, rows, strict=True):
            mask = masks.get(target, np.zeros(image.shape, bool))
            _show(row[0], image)
            _show(row[1], image)
            for label in reversed(labels):  # the target on top, where outlines coincide
                if label in masks:
                    _outline(row[1], masks[label], colours[label])
            _show(row[2], mask)
            _show(row[3], tinted(image, [(mask, colours[target])]))
            _label_row(row[0], [f"{100 * mask.mean():.1f} % marked"], name)
    return figure


def augmentation_figure(
    pairs: Sequence[Sequence[tuple[np.ndarray, np.ndarray]]], data: str
) -> Figure:
    """Originals and variants with outlined masks; `pairs` as from `examples.augmented_images`."""
    variants = [f"variant {number}" for number in range(1, len(pairs[0]))]
    handles = [_outline_handle(style.REFERENCE, "outline of the mask")]
    grid = [[row[0][0]] for row in pairs]
    with _image_grid(grid, len(pairs[0]), data, handles) as (figure, rows):
        style.letter(rows[0], ["original", *variants])
        for row, panels in zip(pairs, rows, strict=True):
            for (image, mask), axes in zip(row, panels, strict=True):
                _show(axes, image)
                _outline(axes, mask > 0, style.REFERENCE)
    return figure


def error_map_figure(
    images: np.ndarray, reference: np.ndarray, predicted: dict[str, np.ndarray], data: str
) -> Figure:
    """Shares of all images on which a pixel is a false positive or a false negative.

    Drawn over the mean of the images, all on one scale, beside the share on which the pixel is in
    the reference: false negatives can occur only there.

    Args:
        images: (images, size, size) uint8.
        reference: the same shape, bool or 0 and 1.
        predicted: by network, the same shape, bool.
    """
    mean = BRIGHTNESS * images.mean(axis=0) / 255
    reference = np.asarray(reference, bool)
    panels = [("reference", reference.mean(axis=0), style.TRUE_POSITIVE)]
    for network, masks in predicted.items():
        positive, negative = (~reference & masks).mean(axis=0), (reference & ~masks).mean(axis=0)
        panels.append((f"{network},\nfalse positives", positive, style.FALSE_POSITIVE))
        panels.append((f"{network},\nfalse negatives", negative, style.FALSE_NEGATIVE))
    highest = max(rate.max() for _, rate, _ in panels[1:])
    with style.drawing(style.PAGE_WIDTH, 2.45, data) as figure:
        row = figure.subplots(1, len(panels))
        style.letter(row, [title for title, *_ in panels])
        for axes, (_, rate, colour) in zip(row, panels, strict=True):
            axes.imshow(mean, cmap="gray", vmin=0, vmax=1)
            axes.axis("off")
            most = rate.max() if axes is row[0] else highest
            scale = Normalize(0, max(0.05, np.ceil(20 * most) / 20))
            # From transparent over the colour to white: the highest shares are the lightest.
            stops = [(0, (colour, 0.0)), (0.7, (colour, 0.9)), (1, "white")]
            colours = LinearSegmentedColormap.from_list(colour, stops)
            shown = axes.imshow(rate, cmap=colours, norm=scale)
            bar = figure.colorbar(shown, ax=axes, location="bottom", aspect=14, pad=0.03)
            ticks = np.linspace(0, scale.vmax, 3)
            bar.set_ticks(ticks, labels=[f"{100 * tick:.3g}" for tick in ticks])
            bar.set_label(f"% of {len(images)} images")
            bar.ax.set_facecolor((BRIGHTNESS / 2,) * 3)  # as over the mean image
            bar.outline.set_visible(False)
    return figure


@contextmanager
def _image_grid(
    images: list[list[np.ndarray]], columns: int, data: str, handles: list, left=0.0, below=0.0
) -> Iterator[tuple[Figure, np.ndarray]]:
    """A figure with axes (rows, columns) and a legend, each row as high as its tallest image.

    `left` and `below` are inches for text beside the rows and under each.
    """
    width = (style.PAGE_WIDTH - left) / columns
    sides = [max(image.shape[0] / image.shape[1] for image in row) for row in images]
    ratios = np.clip(sides, 0.5, 1.5)
    height = HEAD + (width * ratios + below).sum()
    with style.drawing(style.PAGE_WIDTH, height, data) as figure:
        figure.set_layout_engine("compressed", w_pad=0.03, h_pad=0.03)
        yield figure, figure.subplots(len(images), columns, squeeze=False, height_ratios=ratios)
        figure.legend(handles=handles, ncols=min(len(handles), 5), loc="outside upper left")


def _show(axes: Axes, image: np.ndarray) -> None:
    axes.imshow(image, cmap="gray", vmin=0, vmax=1 if image.dtype == bool else 255)
    axes.set(xticks=[], yticks=[], anchor="N")
    axes.spines[:].set(linewidth=0.5, color=style.FAINT)  # a frame for an all-white mask


def _outline(axes: Axes, mask: np.ndarray, colour: str, width: float = 1.0) -> None:
    if mask.any():
        # One pixel of margin closes the line along the edge of the image.
        rows, columns = (np.arange(side + 2) - 1 for side in mask.shape)
        look = {"levels": [0.5], "colors": [colour], "linewidths": width}
        lines = axes.contour(columns, rows, np.pad(mask, 1).astype(float), **look)
        lines.set_path_effects([withStroke(linewidth=2.2 * width, foreground=HALO)])


def _wrap(name: str) -> str:
    """A name in at most three lines, broken after dashes, dots and underscores."""
    parts = re.sub("([-_.])", r"\1 ", name)
    lines = textwrap.wrap(parts, NAME_LENGTH, break_on_hyphens=False)
    lines = lines if len(lines) <= 3 else [lines[0] + "…", *lines[-2:]]
    return re.sub("([-_.]) ", r"\1", "\n".join(lines))


def _label_row(axes: Axes, words: list[str], name: str) -> None:
    text = "\n".join([*words, _wrap(name)])
    axes.set_ylabel(text, rotation=0, ha="right", va="center", fontsize=style.SMALL)


def _dice(tested: TestedImage, network: str) -> str:
    dice = tested.dice[network]
    return "empty reference" if np.isnan(dice) else f"Dice {dice:.2f}"


def _show_errors(axes: Axes, tested: TestedImage, network: str) -> None:
    reference, predicted = tested.reference, tested.predicted[network]
    regions = [
        (reference & predicted, style.TRUE_POSITIVE),
        (~reference & predicted, style.FALSE_POSITIVE),
        (reference & ~predicted, style.FALSE_NEGATIVE),
    ]
    _show(axes, tinted(tested.image, regions))
    _outline(axes, reference, style.REFERENCE, width=0.8)


def _outline_handle(colour: str, label: str) -> Line2D:
    halo = [withStroke(linewidth=2.2, foreground=HALO)]
    return Line2D([], [], color=colour, linewidth=1.0, label=label, path_effects=halo)


def _error_handles() -> list:
    return [
        Patch(color=style.TRUE_POSITIVE, label="true positive"),
        Patch(color=style.FALSE_POSITIVE, label="false positive"),
        Patch(color=style.FALSE_NEGATIVE, label="false negative"),
        _outline_handle(style.REFERENCE, "outline of the reference"),
    ]
