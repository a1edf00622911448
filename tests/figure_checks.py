"""What the tests of figures read off them."""

import itertools

import matplotlib.style
from matplotlib.text import Text

from pneumo_keras.report.style import STYLE

SMALLEST = 5.5  # points, printed 180 mm wide
PRINTED = 180 / 25.4  # inches


def by_gid(figure, prefix: str) -> dict:
    """Artists of a figure by what follows the prefix in their name."""
    found = figure.findobj(lambda artist: str(artist.get_gid() or "-").startswith(prefix))
    return {artist.get_gid().removeprefix(prefix): artist for artist in found}


def words(figure) -> list[str]:
    return [text.get_text() for text in figure.findobj(Text) if text.get_text()]


def _assert_apart(figure, texts) -> None:
    """No text is cut off at the page or lies over another."""
    boxes = [(text.get_text(), text.get_window_extent()) for text in texts]
    for text, box in boxes:
        assert box.x0 >= 0 and box.y0 >= 0, text
        assert box.x1 <= figure.bbox.x1 and box.y1 <= figure.bbox.y1, text
    for (one, first), (other, second) in itertools.combinations(boxes, 2):
        assert not _overlap(first, second), (one, other)


def _overlap(first, second) -> bool:
    width = min(first.x1, second.x1) - max(first.x0, second.x0)
    height = min(first.y1, second.y1) - max(first.y0, second.y0)
    # Boxes of lines include their leading: a pixel or two of it may overlap.
    return width > 1 and height > 3


def _each_axis(figure) -> list:
    return [axis for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)]


# Figures are written in this style, which the number of ticks depends on.
@matplotlib.style.context(["default", STYLE])
def assert_readable(figure) -> None:
    """No text is cut off at the page or lies over another; tick labels are not counted."""
    figure.draw_without_rendering()
    ticks = {tick for axis in _each_axis(figure) for tick in axis.get_ticklabels(which="both")}
    texts = [t for t in figure.findobj(Text) if t.get_text().strip() and t.get_visible()]
    _assert_apart(figure, [text for text in texts if text not in ticks])


@matplotlib.style.context(["default", STYLE])
def assert_printable(figure) -> None:
    """As `assert_readable`; tick labels and legends are clear as well, and no text is too small."""
    assert_readable(figure)
    shrink = min(1, PRINTED / figure.get_size_inches()[0])
    for text in figure.findobj(Text):
        assert text.get_fontsize() * shrink >= SMALLEST, text.get_text()
    for axis in _each_axis(figure):
        low, high = sorted(axis.get_view_interval())
        slack = 1e-6 * (high - low)
        ticks = [t for t in axis.get_major_ticks() if low - slack <= t.get_loc() <= high + slack]
        labels = [t.label1 for t in ticks if t.label1.get_text() and t.label1.get_visible()]
        _assert_apart(figure, labels if axis.axes.axison else [])
    legends = [*figure.legends, *(axes.get_legend() for axes in figure.axes if axes.get_legend())]
    for legend, axes in itertools.product(legends, figure.axes):
        assert not _overlap(legend.get_window_extent(), axes.get_window_extent()), words(legend)
