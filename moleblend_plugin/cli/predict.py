"""``moleblend predict``: a checkpoint and a file of molecules -> a table of predictions."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from moleblend_plugin.cli import _options as shared
from moleblend_plugin.cli._output import refuse_existing
from moleblend_plugin.cli._rows import open_rows, write_rows

MembersSd = Annotated[
    bool,
    typer.Option(
        "--members-sd", help="Also write the standard deviation of the predictions of its networks."
    ),
]


def predict(
    checkpoint: Annotated[
        Path,
        typer.Argument(help="Checkpoint of task moleblend_property, model of an estimator, or a name."),
    ],
    molecules: shared.MoleculesArgument,
    out: Annotated[Path, typer.Option("--out", "-o", help="Table to write: .csv, .tsv or .parquet.")],
    smiles_column: shared.SmilesColumn = "",
    conformers: shared.ConformersOption = None,
    batch_size: shared.BatchSize = 64,
    device: shared.Device = "auto",
    use_ema: shared.UseEma = False,
    max_atoms: shared.MaxAtoms = 512,
    workers: shared.Workers = None,
    overwrite: shared.OverwriteFile = False,
    members_sd: MembersSd = False,
) -> None:
    """Predict the targets of a checkpoint for every row of a file.

    The table has the input's rows in their order, with row_id, the input's columns, predicted_NAME for each
    target (a probability, or a value in the target's own unit) and the reason where there is no number.
    A model of several networks gives the mean of their predictions, or what its stack makes of it.
    """
    from functools import partial

    from moleblend_plugin.chem.readers.source import Columns
    from moleblend_plugin.inference.outputs import predict_to_table
    from moleblend_plugin.inference.predictor import Predictor
    from moleblend_plugin.inference.table_writer import check_table
    from moleblend_plugin.inputs import open_molecules

    check_table(out)
    refuse_existing(out, overwrite)
    network = Predictor.from_checkpoint(checkpoint, device, use_ema)
    rows = open_rows(
        network, open_molecules(molecules, Columns(smiles_column)), conformers, workers, max_atoms
    )
    write = partial(predict_to_table, members_sd=members_sd)
    write_rows(("predict", "predicted"), write, network, rows, out, batch_size, overwrite)
