"""Options that several commands share, and what they mean when they are not given."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from moleblend_plugin.entry import usable_cores

__all__ = ["usable_cores"]

MoleculesArgument = Annotated[
    Path,
    typer.Argument(metavar="INPUT", help="Any file of molecules, or - for standard input (docs/tables.md)."),
]
SmilesColumn = Annotated[
    str, typer.Option(help="Column of SMILES in a CSV or TSV [default: a usual name, such as smiles].")
]
ConformersOption = Annotated[
    str | None,
    typer.Option(help="Conformers per molecule to average over, or none [default: as in training]."),
]
BatchSize = Annotated[int, typer.Option(min=1, help="Molecules computed together.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps (auto: the first GPU).")]
UseEma = Annotated[bool, typer.Option("--use-ema", help="Take the moving average of the weights.")]
MaxAtoms = Annotated[
    int, typer.Option(min=1, help="Larger molecules get a reason; memory grows with the square.")
]
Workers = Annotated[int | None, typer.Option(min=1, help="Processes that convert [default: one per core].")]
OverwriteFile = Annotated[bool, typer.Option("--overwrite", help="Replace a file at --out.")]
