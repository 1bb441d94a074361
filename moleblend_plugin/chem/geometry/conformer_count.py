"""How many conformers: the words that every command and estimator takes."""

from __future__ import annotations

from moleblend_plugin.errors import MoleblendError


def parse_conformers(given: int | str) -> int | None:
    """Conformers per molecule; ``None`` for none.

    Args:
        given: a number from 1, also as text, or "none" (in any case).

    Raises:
        MoleblendError: anything else.
    """
    text = str(given).strip()
    if text.lower() == "none" and given is not None:
        return None
    try:
        count = int(text)
    except ValueError:
        count = 0
    if count < 1 or isinstance(given, bool):
        raise MoleblendError(f"--conformers {text}: give a number from 1, or none")
    return count
