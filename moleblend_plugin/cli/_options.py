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
    str,
    typer.Option(help="Column of SMILES in a table [default: a usual name, such as smiles]."),
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
RowTimeout = Annotated[
    float | None,
    typer.Option(
        help="Seconds after which a row is rejected, as is one that ends its process [default: such a row "
        "ends the command; with --cluster 600].",
        show_default=False,
    ),
]
Cluster = Annotated[
    str | None,
    typer.Option(
        metavar="CLUSTER",
        help="Work on a Dask cluster: local:N (N processes here) or the address of a scheduler, such as "
        "tcp://host:8786 (docs/scale.md).",
    ),
]
Pieces = Annotated[
    int | None,
    typer.Option(
        min=1, help="Pieces for --cluster, which are kept and lost one by one [default: by the rows]."
    ),
]


def check_cluster(cluster: str | None, pieces: int | None, piece: str | None = None) -> None:
    """Refuse options that mean nothing without, or together with, ``--cluster``."""
    from moleblend_plugin.errors import MoleblendError

    if cluster is None and pieces is not None:
        raise MoleblendError("--pieces is the number of pieces for --cluster: add it, or leave --pieces out")
    if cluster is not None and piece is not None:
        raise MoleblendError("--piece and --cluster exclude each other: a cluster builds all pieces")
