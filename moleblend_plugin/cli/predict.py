"""``moleblend predict``: a checkpoint and a file of molecules -> a table of predictions."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from moleblend_plugin.cli._options import (
    BatchSize,
    Conformers,
    Device,
    MaxAtoms,
    Molecules,
    OverwriteFile,
    SmilesColumn,
    UseEma,
    Workers,
    usable_cores,
)
from moleblend_plugin.cli._output import writing
from moleblend_plugin.cli._rows import open_rows, print_counts, refuse_existing, tell_3d


def predict(
    checkpoint: Annotated[Path, typer.Argument(help="Checkpoint of task moleblend_property.")],
    molecules: Molecules,
    out: Annotated[Path, typer.Option("--out", "-o", help="Table to write: .csv, .tsv or .parquet.")],
    smiles_column: SmilesColumn = "",
    conformers: Conformers = None,
    batch_size: BatchSize = 64,
    device: Device = "auto",
    use_ema: UseEma = False,
    max_atoms: MaxAtoms = 512,
    workers: Workers = None,
    overwrite: OverwriteFile = False,
) -> None:
    """Predict the targets of a checkpoint for every row of a file.

    The table has the input's rows in their order, with row_id, the input's columns, predicted_NAME for each
    target (a probability, or a value in the target's own unit) and the reason where there is no number.
    """
    from moleblend_plugin.building.labels import tell_notes
    from moleblend_plugin.cli._progress import RowProgress
    from moleblend_plugin.inference.conversion import conversion_for
    from moleblend_plugin.inference.outputs import predict_to_table
    from moleblend_plugin.inference.predictor import Predictor
    from moleblend_plugin.inference.table_writer import check_table

    check_table(out)
    refuse_existing(out, overwrite)
    predictor = Predictor.from_checkpoint(checkpoint, device, use_ema)
    conversion = conversion_for(predictor.args, predictor.input_mode, conformers)
    rows = open_rows(molecules, conversion.config, workers or usable_cores(), smiles_column, max_atoms)
    tell_3d(molecules, conversion.told)
    with writing(out, overwrite), RowProgress("predict", rows.fraction_done, rows.total) as progress:
        counts = predict_to_table(predictor, rows, out, batch_size, progress.update)
    tell_notes(rows.notes)
    print_counts(counts, "predicted", out, predictor.input_mode)
