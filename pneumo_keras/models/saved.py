"""Models as `.keras` files: written whole or not at all, read without running what they bring."""

from __future__ import annotations

from pathlib import Path

import keras

import pneumo_keras.models.layers  # noqa: F401  (registers the layers that a saved model holds)
from pneumo_keras.dataset.files import written_whole
from pneumo_keras.errors import StudyError


def save_model(model: keras.Model, path: Path) -> None:
    """Saves a model whole or not at all, with its optimizer if it is compiled.

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
    with written_whole(path) as temporary:
        model.save(temporary)


def load_model(path: Path) -> keras.Model:
    """Loads a model, not compiled.

    The file may come from anyone: layers that bring code of their own are refused (Keras's safe
    mode), and so are the older formats that Keras reads less strictly.

    Args:
        path: a `.keras` file.

    Raises:
        StudyError: if there is no such file, or it is not a model that can be loaded safely.
    """
    if path.suffix != ".keras":
        raise StudyError(f"{path}: not a model that can be loaded (only .keras files are)")
    try:
        return keras.models.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # noqa: BLE001 (a broken or foreign file raises almost anything)
        first_line = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise StudyError(f"{path}: not a model that can be loaded ({first_line})") from None
