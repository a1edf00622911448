"""Models as `.keras` files, written whole or not at all and read safely; settings to build them."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import keras

from pneumo_keras.errors import StudyError
from pneumo_keras.files import atomic_write


@contextmanager
def standard_settings() -> Iterator[None]:
    """Build and load networks as float32 and channels last, whatever Keras's global settings.

    Those of the user (`keras.json`, `keras.config`) are restored at the end. A global dtype
    policy `mixed_bfloat16` or `mixed_float16` is kept, any other becomes `float32`.

    Example:
        >>> with standard_settings():
        ...     keras.config.floatx(), keras.config.image_data_format()
        ('float32', 'channels_last')
    """
    config = keras.config
    floatx, data_format = config.floatx(), config.image_data_format()
    policy = config.dtype_policy()
    config.set_floatx("float32")
    config.set_image_data_format("channels_last")
    config.set_dtype_policy(policy if policy.name.startswith("mixed_") else "float32")
    try:
        yield
    finally:
        config.set_floatx(floatx)
        config.set_image_data_format(data_format)
        config.set_dtype_policy(policy)


def save_model(model: keras.Model, path: Path) -> None:
    """Save a model, whole or not at all, with its optimizer if it is compiled.

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
    """Load a model from a `.keras` file, not compiled.

    The file may come from anyone: layers that bring code of their own are refused (Keras's safe
    mode), and so are the older formats, which Keras reads less strictly.

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
