"""The one place where consoles are made: what users named is text there, never markup.

rich reads ``[/m]`` as a tag and ``:m:`` as a picture, in cells, titles and lines alike.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console


def plain_console(**options: Any) -> Console:  # noqa: ANN401  rich's own
    """A console that shows every text as it is.

    Args:
        **options: of ``rich.console.Console``.
    """
    from rich.console import Console

    return Console(**{"markup": False, "emoji": False, "highlight": False, **options})
