"""The error for everything that the user can correct."""

import unicodedata


class StudyError(Exception):
    """A problem in the user's input, settings or environment.

    The message is one line that names the file or setting and the way out. The command line
    prints it and ends with exit status 2; a notebook shows it as it is.

    Example:
        >>> raise StudyError("images/a.png is empty: replace it or leave it out")
        Traceback (most recent call last):
        ...
        pneumo_keras.errors.StudyError: images/a.png is empty: replace it or leave it out
        >>> str(StudyError("a\\nb.png is empty"))
        'a\\\\nb.png is empty'
    """

    def __init__(self, message: str):
        # A file name may hold line breaks and other control characters; the message may not.
        super().__init__("".join(repr(c)[1:-1] if _is_control(c) else c for c in message))


def _is_control(letter: str) -> bool:
    """Whether a letter is a control character, a line separator or half of a surrogate pair."""
    return unicodedata.category(letter) in ("Cc", "Zl", "Zp", "Cs")
