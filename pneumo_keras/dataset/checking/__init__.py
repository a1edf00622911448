"""What is in a data folder, and what `run` would say of it, before any network is trained.

`examination` reads the folder with the functions that `run` reads it with, so that both refuse the
same; `doubles` finds films that are there twice and `leaks` what stands on both sides of a split,
`leftovers` what takes no part.
"""

from pneumo_keras.dataset.checking.examination import Examination, examine
from pneumo_keras.dataset.checking.findings import Finding

__all__ = ["Examination", "Finding", "examine"]
