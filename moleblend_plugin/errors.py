"""The one exception that means "the user can fix this"."""


class MoleblendError(ValueError):
    """A problem with what the user gave us, told in one line.

    The text names the thing (file, row, flag, value) and the remedy. Command lines print it as
    ``error: ...`` and exit with a code other than 0; library callers catch it as a ``ValueError``.
    """
