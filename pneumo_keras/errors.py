"""The one error meant for the person at the keyboard."""


class StudyError(Exception):
    """Something in the user's input that the user can mend.

    The message is one line: it names the file or setting and says what to do about it.
    The command line prints it and ends with exit status 2; a notebook shows it as it is.

    Example:
        >>> raise StudyError("films/a.png is empty: replace it or leave it out")
        Traceback (most recent call last):
        ...
        pneumo_keras.errors.StudyError: films/a.png is empty: replace it or leave it out
    """
