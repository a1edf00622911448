"""What the tests of figures read off them."""

import itertools

from matplotlib.text import Text


def by_gid(figure, prefix: str) -> dict:
    """Artists of a figure by what follows the prefix in their name."""
    found = figure.findobj(lambda artist: str(artist.get_gid() or "-").startswith(prefix))
    return {artist.get_gid().removeprefix(prefix): artist for artist in found}


def words(figure) -> list[str]:
    return [text.get_text() for text in figure.findobj(Text) if text.get_text()]


def assert_readable(figure) -> None:
    """No text is cut off at the page, none lies over another."""
    figure.draw_without_rendering()
    renderer = figure.canvas.get_renderer()
    ticks = {
        tick
        for axes in figure.axes
        for axis in (axes.xaxis, axes.yaxis)
        for tick in axis.get_ticklabels(which="both")
    }
    texts = [
        text
        for text in figure.findobj(Text)
        if text.get_text().strip() and text not in ticks and text.get_visible()
    ]
    boxes = [(text.get_text(), text.get_window_extent(renderer)) for text in texts]
    page = figure.bbox
    for text, box in boxes:
        assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= page.x1 and box.y1 <= page.y1, text
    for (one, first), (other, second) in itertools.combinations(boxes, 2):
        width = min(first.x1, second.x1) - max(first.x0, second.x0)
        height = min(first.y1, second.y1) - max(first.y0, second.y0)
        # Boxes of lines hold their leading too: a pixel or two of that may overlap.
        assert width <= 1 or height <= 3, (one, other)
