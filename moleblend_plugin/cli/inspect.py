"""``moleblend inspect``: a store's metadata, and one molecule at every stage in words."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def inspect(
    store: Annotated[Path, typer.Argument(help="A .lmdb file, or a folder that moleblend build made.")],
) -> None:
    """Show what a store holds."""
    print(store)
