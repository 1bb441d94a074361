"""``moleblend join``: pieces of a build -> one store of each part."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from moleblend_plugin.cli._build_news import BuildNews, print_summary


def join(
    pieces: Annotated[
        list[Path],
        typer.Argument(help="Files that moleblend build --piece made, or the folder of them."),
    ],
    out: Annotated[
        Path,
        typer.Option("--out", "-o", help="Folder for the stores and reports; may be that of the pieces."),
    ],
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a store in --out.")] = False,
) -> None:
    """Join the pieces of a build: stores as of a build in one run.

    The stores name the pieces, which stay where they are and are needed from then on.
    """
    from moleblend_plugin.building.join import join_pieces
    from moleblend_plugin.stopping import termination_as_exit

    with termination_as_exit(), BuildNews("join") as news:
        result = join_pieces(pieces, out, overwrite=overwrite, progress=news.show)
    print_summary(result)
