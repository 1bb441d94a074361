"""The one place where consoles are made: what users named is text there, never markup.

rich reads ``[/m]`` as a tag and ``:m:`` as a picture, in cells, titles and lines alike.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

_ANY_WIDTH: Final = 10_000


def plain_console(**options: Any) -> Console:
    """A console that shows every text as it is.

    Args:
        **options: of ``rich.console.Console``.
    """
    from rich.console import Console

    return Console(**{"markup": False, "emoji": False, "highlight": False, **options})


def print_tables(*tables: Table) -> None:
    """Print tables as wide as they are: what does not fit is broken by the screen, not cut here."""
    console = plain_console(soft_wrap=True, width=_ANY_WIDTH)
    for table in tables:
        console.print(table)


def print_notes(notes: Sequence[str]) -> None:
    """Say on stderr how files were read: a line each, of many the first."""
    from moleblend_plugin.building.labels import few

    for line in few(notes):
        print(f"note: {line}", file=sys.stderr)
