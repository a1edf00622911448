"""Synthetic chest films ("phantoms"), with which the study runs where there is no data.

`canvas` is the film's frame, `anatomy` and `skeleton` the attenuation of soft tissue and bone,
`opacities` the pneumonia, `exposure` the film; `phantom` puts them together, `writing` writes.
"""

from pneumo_keras.dataset.phantoms.phantom import Phantom, draw_phantom
from pneumo_keras.dataset.phantoms.writing import write_phantoms

__all__ = ["Phantom", "draw_phantom", "write_phantoms"]
