"""``moleblend embed``: a checkpoint and a file of molecules -> vectors."""

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


def embed(
    checkpoint: Annotated[Path, typer.Argument(help="Checkpoint of pretraining or of moleblend_property.")],
    molecules: Molecules,
    out: Annotated[Path, typer.Option("--out", "-o", help="File to write: .npz or .parquet.")],
    what: Annotated[
        str,
        typer.Option(
            help="graph (state of the graph token), mean (over atoms) or atoms (one vector for each heavy "
            "atom, in RDKit's order)."
        ),
    ] = "graph",
    input_mode: Annotated[
        str | None,
        typer.Option(help="2d, 3d or both [default: the checkpoint's; both for a pretraining one]."),
    ] = None,
    smiles_column: SmilesColumn = "",
    conformers: Conformers = None,
    batch_size: BatchSize = 64,
    device: Device = "auto",
    use_ema: UseEma = False,
    max_atoms: MaxAtoms = 512,
    workers: Workers = None,
    overwrite: OverwriteFile = False,
) -> None:
    """Write the encoder's last states for every molecule of a file (docs/inference.md: the arrays' names)."""
    from moleblend_plugin.building.labels import tell_notes
    from moleblend_plugin.cli._progress import RowProgress
    from moleblend_plugin.inference.conversion import conversion_for
    from moleblend_plugin.inference.embedder import Embedder
    from moleblend_plugin.inference.outputs import embed_to_file
    from moleblend_plugin.inference.table_writer import check_table

    check_table(out, (".npz", ".parquet"))
    refuse_existing(out, overwrite)
    embedder = Embedder.from_checkpoint(checkpoint, what, device, input_mode, use_ema)  # type: ignore[arg-type]
    conversion = conversion_for(embedder.args, embedder.input_mode, conformers)
    rows = open_rows(molecules, conversion.config, workers or usable_cores(), smiles_column, max_atoms)
    tell_3d(molecules, conversion.told)
    with writing(out, overwrite), RowProgress("embed", rows.fraction_done, rows.total) as progress:
        counts = embed_to_file(embedder, rows, out, batch_size, progress.update)
    tell_notes(rows.notes)
    print_counts(counts, "embedded", out, embedder.input_mode)
