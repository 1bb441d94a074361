"""The one exception that means "the user can fix this", and checks that raise it."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


class MoleblendError(ValueError):
    """A problem with what the user gave us, in one line.

    The text names the thing (file, row, flag, value) and the remedy. Command lines print it as
    ``error: ...`` and exit with a code other than 0; library callers catch it as a ``ValueError``.
    """

    def __str__(self) -> str:
        """The line; of an error that a data worker passed on with its traceback, what was raised there."""
        text = super().__str__()
        if text.startswith("Caught ") and "Traceback" in text:
            return text.rstrip().splitlines()[-1].partition(": ")[2]
        return text


def check_sizes(config: DataclassInstance) -> None:
    """Refuse a size below 1: every whole number of ``config`` is one, and an option of the same name.

    Raises:
        MoleblendError: names the option.
    """
    for field in fields(config):
        if field.type in (int, "int") and getattr(config, field.name) < 1:
            flag = field.name.replace("_", "-")
            raise MoleblendError(f"--{flag} {getattr(config, field.name)}: give 1 or more")


def check_rates(config: DataclassInstance, *names: str) -> None:
    """Refuse what is no probability of dropping something, 0 <= p < 1, among these fields; see above."""
    for name in names:
        if not 0 <= getattr(config, name) < 1:
            raise MoleblendError(f"--{name.replace('_', '-')} {getattr(config, name):g}: give 0 <= p < 1")
