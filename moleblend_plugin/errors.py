"""The one exception that means "the user can fix this"."""


class MoleblendError(ValueError):
    """A problem with what the user gave us, told in one line.

    The text names the thing (file, row, flag, value) and the remedy. Command lines print it as
    ``error: ...`` and exit with a code other than 0; library callers catch it as a ``ValueError``.
    """

    def __str__(self) -> str:
        """The line; of an error that a data worker passed on with its traceback, what was raised there."""
        text = super().__str__()
        if text.startswith("Caught ") and "Traceback" in text:
            return text.rstrip().splitlines()[-1].partition(": ")[2]
        return text
