"""The films of a data folder: which there are, where, of whom, and what is outlined on them.

One adapter a layout, each in a file of its own; data/SOURCES.md says how to add another.
"""

from pneumo_keras.dataset.sources.labelme import film_of
from pneumo_keras.dataset.sources.recognition import (
    AUTO,
    SOURCES,
    find_films,
    recognise,
    recognition_line,
)
from pneumo_keras.dataset.sources.record import Film, Source
from pneumo_keras.dataset.sources.tree import Tree, files_below, is_mask_folder, relative_path

__all__ = [
    "AUTO",
    "SOURCES",
    "Film",
    "Source",
    "Tree",
    "files_below",
    "film_of",
    "find_films",
    "is_mask_folder",
    "recognise",
    "recognition_line",
    "relative_path",
]
