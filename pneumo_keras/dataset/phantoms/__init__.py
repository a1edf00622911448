"""Synthetic chest X-rays ("phantoms"), with which the study runs where there are no data.

`imaging`: image frame and exposure; `anatomy`: attenuation of tissue and bone; `phantom`:
pneumonia, and one image; `writing`: a data set on disk.
"""

from pneumo_keras.dataset.phantoms.phantom import Phantom, draw_phantom
from pneumo_keras.dataset.phantoms.writing import write_phantoms

__all__ = ["Phantom", "draw_phantom", "write_phantoms"]
