"""Progress bars that suit a terminal and a notebook alike."""

import sys
from collections.abc import Iterable

from tqdm import tqdm


def progress_bar(
    images: Iterable | None, description: str, total: int | None = None, show: bool = True
) -> tqdm:
    """Iterate over images with a progress bar, or update one by hand.

    The bar goes to standard error, so that it does not end up in redirected output; in a notebook,
    which paints that stream red, to standard output.

    Args:
        images: what to iterate over; None to call `update` on the bar instead.
        description: shown before the bar.
        total: number of images, where it is not known from them.
        show: whether to show the bar.
    """
    ipython = sys.modules.get("IPython")
    in_notebook = ipython is not None and ipython.get_ipython() is not None
    file = sys.stdout if in_notebook else sys.stderr
    return tqdm(images, description, total, unit="image", file=file, disable=not show)
