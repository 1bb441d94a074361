"""``moleblend predict``: a checkpoint and a file of molecules -> a table of predictions."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from moleblend_plugin.chem.convert import ConversionConfig
    from moleblend_plugin.inference.inputs import Input
    from moleblend_plugin.inference.outputs import Counts


def predict(
    checkpoint: Annotated[Path, typer.Argument(help="Checkpoint of task moleblend_property.")],
    molecules: Annotated[
        Path,
        typer.Argument(metavar="INPUT", help="Any file that 'moleblend build' reads, or a store (.lmdb)."),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Table to write: .csv, .tsv or .parquet.")],
    smiles_column: Annotated[
        str, typer.Option(help="Column of SMILES in a CSV or TSV [default: a usual name, such as smiles].")
    ] = "",
    conformers: Annotated[
        int | None, typer.Option(help="Conformers per molecule to average over [default: as in training].")
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Molecules computed together.")] = 64,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    use_ema: Annotated[
        bool, typer.Option("--use-ema", help="Take the moving average of the weights.")
    ] = False,
    max_atoms: Annotated[
        int, typer.Option(min=1, help="Larger molecules get a reason; memory grows with the square.")
    ] = 512,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes that convert [default: one per core].")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a file at --out.")] = False,
) -> None:
    """Predict the targets of a checkpoint for every row of a file.

    The table has the input's rows in their order, with row_id, the input's columns, predicted_NAME for each
    target (a probability, or a value in the target's own unit) and the reason where there is no number.
    """
    from moleblend_plugin.cli._progress import RowProgress
    from moleblend_plugin.inference.conversion import conversion_for
    from moleblend_plugin.inference.outputs import predict_to_table
    from moleblend_plugin.inference.predictor import Predictor
    from moleblend_plugin.inference.tables import check_table

    check_table(out)
    refuse_existing(out, overwrite)
    predictor = Predictor.from_checkpoint(checkpoint, device, use_ema)
    conversion = conversion_for(predictor.args, predictor.input_mode, conformers)
    rows = open_rows(molecules, conversion.config, workers or usable_cores(), smiles_column, max_atoms)
    tell_3d(molecules, conversion.told)
    with RowProgress("predict", lambda _: rows.fraction_read) as progress:
        counts = predict_to_table(predictor, rows, out, batch_size, progress.update)
    print_counts(counts, "predicted", out, predictor.input_mode)


def open_rows(
    path: Path, conversion: ConversionConfig, workers: int, smiles_column: str, max_atoms: int
) -> Input:
    """Rows of a store, of a file of Uni-Mol, or of any other file of molecules.

    Raises:
        MoleblendError: no such file, format or column.
    """
    from moleblend_plugin.chem.sources import Columns
    from moleblend_plugin.cli._inputs import open_inputs
    from moleblend_plugin.data.store import NotAStore
    from moleblend_plugin.errors import MoleblendError
    from moleblend_plugin.inference.inputs import FileInput, open_input

    if path.is_dir():
        raise MoleblendError(f"{path} is a folder; name a file in it")
    try:
        return open_input(path, conversion, workers, smiles_column, max_atoms)
    except NotAStore:
        (source,), _ = open_inputs([path], Columns())
        return FileInput(source, conversion, workers, max_atoms)


def usable_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def refuse_existing(out: Path, overwrite: bool) -> None:
    """Raises a :class:`MoleblendError` where ``out`` would be replaced without being asked for."""
    from moleblend_plugin.errors import MoleblendError

    if out.exists() and not overwrite:
        raise MoleblendError(f"--out {out} is there already; name another file or add --overwrite")


def tell_3d(molecules: Path, told: str) -> None:
    """Say how molecules get their 3D; those of a store have it."""
    if molecules.suffix != ".lmdb":
        print(f"molecules: {told}", file=sys.stderr)


def print_counts(counts: Counts, done: str, out: Path, input_mode: str) -> None:
    """The summary: rows, rows with numbers, and the others by reason."""
    lines = [f"rows       {counts.rows:,}", f"{done:<10} {counts.done:,}"]
    if counts.flat and input_mode != "2d":
        lines.append(f"           {counts.flat:,}  of them without 3D: the network saw their 2D")
    lines += [f"           {count:,}  {reason}" for reason, count in counts.reasons.most_common()]
    print("\n".join([*lines, f"written    {out}"]))
