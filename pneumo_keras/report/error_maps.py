"""How often each part of the image is segmented wrongly."""

import numpy as np
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure

from pneumo_keras.report import style

BRIGHTNESS = 0.6  # of the mean image below the colours


def error_map_figure(
    images: np.ndarray, reference: np.ndarray, predicted: dict[str, np.ndarray], data: str
) -> Figure:
    """Shares of all images on which a pixel is a false positive or a false negative.

    Drawn over the mean of the images, all on one scale, beside the share on which the pixel is in
    the reference: false negatives can occur only there.

    Args:
        images: (images, size, size) uint8.
        reference: the same shape, bool or 0 and 1.
        predicted: the same for each network.
        data: what was segmented, and by which recipe.
    """
    mean = BRIGHTNESS * np.asarray(images).mean(axis=0) / 255
    reference = np.asarray(reference, bool)
    panels = [("reference", reference.mean(axis=0), style.TRUE_POSITIVE)]
    for network, masks in predicted.items():
        masks = np.asarray(masks, bool)
        positive, negative = (~reference & masks).mean(axis=0), (reference & ~masks).mean(axis=0)
        panels.append((f"{network},\nfalse positives", positive, style.FALSE_POSITIVE))
        panels.append((f"{network},\nfalse negatives", negative, style.FALSE_NEGATIVE))
    highest = max((rate.max() for _, rate, _ in panels[1:]), default=0)
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
