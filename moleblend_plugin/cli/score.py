"""``moleblend score``: a trained model on labelled molecules -> every score of its task, with intervals."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from moleblend_plugin.cli._options import (
    BatchSize,
    Conformers,
    Device,
    MaxAtoms,
    OverwriteFile,
    SmilesColumn,
    UseEma,
    Workers,
    usable_cores,
)
from moleblend_plugin.cli._rows import open_rows, refuse_existing, tell_3d


def score(
    model: Annotated[
        Path, typer.Argument(help="Run folder (--save-dir; its best checkpoint) or a checkpoint.")
    ],
    data: Annotated[
        Path | None,
        typer.Argument(
            metavar="[DATA]",
            help="Folder of stores, a store, or any file of molecules with labels [default: the run's data].",
        ),
    ] = None,
    part: Annotated[str, typer.Option(help="Part of a folder: test, valid or train.")] = "test",
    target_columns: Annotated[
        list[str] | None,
        typer.Option(
            help="Column with the labels of a target; give it once for every target, in their order "
            "[default: the targets' names]."
        ),
    ] = None,
    missing_label: Annotated[
        list[str] | None,
        typer.Option(help="As in build: a number or word for a missing label [default: those of the build]."),
    ] = None,
    positive: Annotated[
        list[str] | None,
        typer.Option(help="As in build: a word that means class 1 [default: those of the build]."),
    ] = None,
    negative: Annotated[
        list[str] | None,
        typer.Option(help="As in build: a word that means class 0 [default: those of the build]."),
    ] = None,
    out: Annotated[
        list[Path] | None,
        typer.Option(
            "--out",
            "-o",
            help=".json: scores, counts and predictions; .csv, .tsv or .parquet: a table of all rows. May be "
            "given again.",
        ),
    ] = None,
    resamples: Annotated[int, typer.Option(min=1, help="Resamples of molecules for the intervals.")] = 1000,
    level: Annotated[float, typer.Option(help="Coverage of the intervals.")] = 0.95,
    seed: Annotated[int, typer.Option(help="Seed of the resamples.")] = 0,
    smiles_column: SmilesColumn = "",
    conformers: Conformers = None,
    batch_size: BatchSize = 64,
    device: Device = "auto",
    use_ema: UseEma = False,
    max_atoms: MaxAtoms = 512,
    workers: Workers = None,
    overwrite: OverwriteFile = False,
) -> None:
    """Score a fine-tuned model on molecules with labels: the test part of its data, or any other.

    Every score of the task stands with its interval, for every target and on average. Predictions are those
    of 'moleblend predict'.
    """
    from moleblend_plugin.building.labels import tell_notes, with_words
    from moleblend_plugin.chem.readers.source import Columns
    from moleblend_plugin.cli._progress import RowProgress
    from moleblend_plugin.cli._scores import score_lines, write_scores
    from moleblend_plugin.inference.conversion import conversion_for
    from moleblend_plugin.inference.labelled import labels_of
    from moleblend_plugin.inference.predictor import Predictor
    from moleblend_plugin.inference.run_folder import find_checkpoint, find_part, words_of_build
    from moleblend_plugin.inference.score import predict_labelled, score_all
    from moleblend_plugin.metrics.bootstrap import check_interval

    check_interval(resamples, level)
    report, table = _outputs(out or [], overwrite)
    checkpoint = find_checkpoint(model)
    predictor = Predictor.from_checkpoint(checkpoint, device, use_ema)
    found = find_part(checkpoint, predictor.args, part, data)
    if found.told:
        print(f"warning: {found.told}", file=sys.stderr)
    conversion = conversion_for(predictor.args, predictor.input_mode, conformers)
    words = words_of_build(checkpoint, predictor.args)
    given = {"missing_label": missing_label, "positive": positive, "negative": negative}
    words |= {name: values for name, values in given.items() if values}
    columns = with_words(
        Columns(targets=tuple(target_columns or predictor.target_names)),
        *(words.get(name, ()) for name in given),
    )
    workers = workers or usable_cores()
    rows = open_rows(found.path, conversion.config, workers, smiles_column, max_atoms, columns)
    labels = labels_of(rows, predictor.target_names, target_columns or (), str(found.path))
    tell_3d(found.path, conversion.told)
    with RowProgress("score", rows.fraction_done, rows.total) as progress:
        scored = predict_labelled(predictor, rows, labels, batch_size, progress.update, table)
    tell_notes(rows.notes)
    scores = score_all(predictor, scored, resamples, seed, level)
    told = {"model": str(checkpoint), "data": str(found.path)}
    bootstrap = {"resamples": resamples, "level": level, "seed": seed}
    if report is not None:
        write_scores(report, told, checkpoint, predictor.kind, scored, scores, bootstrap)
    written = [path for path in (report, table) if path is not None]
    print("\n".join(score_lines(told, scored, scores, bootstrap, written)))


def _outputs(out: list[Path], overwrite: bool) -> tuple[Path | None, Path | None]:
    """The .json and the table of ``--out``."""
    from moleblend_plugin.errors import MoleblendError
    from moleblend_plugin.inference.table_writer import check_table

    found: dict[bool, Path] = {}
    for path in out:
        check_table(path, (".json", ".csv", ".tsv", ".parquet"))
        refuse_existing(path, overwrite)
        is_report = path.suffix == ".json"
        if is_report in found:
            raise MoleblendError(f"--out {path}: {found[is_report]} is of the same kind; give one of them")
        found[is_report] = path
    return found.get(True), found.get(False)
