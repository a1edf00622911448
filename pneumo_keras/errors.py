"""The one error meant for the person at the keyboard."""

import unicodedata


class StudyError(Exception):
    """Something in the user's input that the user can mend.

    The message is one line: it names the file or setting and says what to do about it.
    The command line prints it and ends with exit status 2; a notebook shows it as it is.

    Example:
        >>> raise StudyError("films/a.png is empty: replace it or leave it out")
        Traceback (most recent call last):
        ...
        pneumo_keras.errors.StudyError: films/a.png is empty: replace it or leave it out
        >>> str(StudyError("a\\nb.png is empty"))
        'a\\\\nb.png is empty'
    """

    def __init__(self, message: str):
        # A file name may hold line breaks and other control characters; the message may not.
        super().__init__("".join(repr(c)[1:-1] if _breaks(c) else c for c in message))


def _breaks(letter: str) -> bool:
    """Whether a letter is a control, a line or paragraph separator, or half of a pair."""
    return unicodedata.category(letter) in ("Cc", "Zl", "Zp", "Cs")
