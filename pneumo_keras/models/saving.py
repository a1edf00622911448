"""Models as `.keras` files: written whole or not at all, and read safely."""

from __future__ import annotations

from pathlib import Path

import keras

from pneumo_keras.errors import StudyError
from pneumo_keras.files import atomic_write
from pneumo_keras.models.blocks import standard_settings


def save_model(model: keras.Model, path: Path) -> None:
    """Save a model, whole or not at all, with its optimizer if it is compiled.

    Args:
        model: the model.
        path: a `.keras` file, replaced if it exists.

    Raises:
        StudyError: if it cannot be written.

    Example:
        >>> from tempfile import mkdtemp
        >>> path = Path(mkdtemp()) / "best.keras"
        >>> save_model(keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]), path)
        >>> load_model(path).count_params()
        3
    """
    with atomic_write(path) as temporary:
        model.save(temporary)


@standard_settings()
def load_model(path: Path) -> keras.Model:
    """Load a model, not compiled.

    The file may come from anyone: layers that bring code of their own are refused (Keras's safe
    mode), and so are the older formats, which Keras reads less strictly.

    Args:
        path: a `.keras` file.

    Raises:
        StudyError: if there is no such file, or it is not a model that can be loaded safely.
    """
    if path.suffix != ".keras":
        raise StudyError(f"{path}: not a model that can be loaded (only .keras files are)")
    try:
        return keras.models.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # noqa: BLE001 (a damaged or foreign file raises almost anything)
        first_line = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise StudyError(f"{path}: not a model that can be loaded ({first_line})") from None
