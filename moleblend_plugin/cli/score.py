"""``moleblend score``: a trained model on labelled molecules -> every score of its task, with intervals."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from moleblend_plugin.cli import _options as shared
from moleblend_plugin.cli._console import print_notes
from moleblend_plugin.cli._output import refuse_existing
from moleblend_plugin.cli._progress import RowProgress
from moleblend_plugin.cli._rows import open_rows

if TYPE_CHECKING:
    from moleblend_plugin.chem.readers.source import Columns
    from moleblend_plugin.inference.predictor import Predictor

Model = Annotated[
    Path, typer.Argument(help="Folder of a fit or a run (its best checkpoint), checkpoint or name.")
]
Data = Annotated[
    Path | None,
    typer.Argument(
        metavar="[DATA]",
        help="Folder of stores, a store, or any file of molecules with labels [default: the run's data].",
    ),
]
TargetColumns = Annotated[
    list[str] | None,
    typer.Option(
        help="Column with the labels of a target; give it once for every target, in their order "
        "[default: the targets' names]."
    ),
]
MissingLabel = Annotated[
    list[str] | None,
    typer.Option(help="As in build: a number or word for a missing label [default: those of the build]."),
]
Positive = Annotated[
    list[str] | None,
    typer.Option(help="As in build: a word that means class 1 [default: those of the build]."),
]
Negative = Annotated[
    list[str] | None,
    typer.Option(help="As in build: a word that means class 0 [default: those of the build]."),
]
Outputs = Annotated[
    list[Path] | None,
    typer.Option(
        "--out",
        "-o",
        help=".json: scores, counts and predictions; .csv, .tsv or .parquet: a table of all rows. May be "
        "given again.",
    ),
]


def score(
    model: Model,
    data: Data = None,
    part: Annotated[str, typer.Option(help="Part of a folder: test, valid or train.")] = "test",
    target_columns: TargetColumns = None,
    missing_label: MissingLabel = None,
    positive: Positive = None,
    negative: Negative = None,
    out: Outputs = None,
    resamples: Annotated[int, typer.Option(min=1, help="Resamples of molecules for the intervals.")] = 1000,
    level: Annotated[float, typer.Option(help="Coverage of the intervals.")] = 0.95,
    seed: Annotated[int, typer.Option(help="Seed of the resamples.")] = 0,
    smiles_column: shared.SmilesColumn = "",
    conformers: shared.ConformersOption = None,
    batch_size: shared.BatchSize = 64,
    device: shared.Device = "auto",
    use_ema: shared.UseEma = False,
    max_atoms: shared.MaxAtoms = 512,
    workers: shared.Workers = None,
    overwrite: shared.OverwriteFile = False,
) -> None:
    """Score a fine-tuned model on molecules with labels: the test part of its data, or any other.

    Every score of the task stands with its interval, for every target and on average. Predictions are those
    of 'moleblend predict'.
    """
    from moleblend_plugin.cli._scores import report_scores
    from moleblend_plugin.inference.input_labels import labels_of, open_labelled
    from moleblend_plugin.inference.predictor import Predictor
    from moleblend_plugin.inference.run_folder import find_checkpoint, find_part
    from moleblend_plugin.inference.scoring import predict_labelled
    from moleblend_plugin.metrics.bootstrap import check_interval

    check_interval(resamples, level)
    report, table = _outputs(out or [], overwrite)
    checkpoint = find_checkpoint(model)
    network = Predictor.from_checkpoint(checkpoint, device, use_ema)
    found = find_part(checkpoint, network.args, part, data)
    if found.note:
        print(f"warning: {found.note}", file=sys.stderr)
    names = target_columns or network.target_names
    words = {"missing_label": missing_label, "positive": positive, "negative": negative}
    source = open_labelled(found.path, _label_columns(checkpoint, network, smiles_column, names, words))
    rows = open_rows(network, source, conformers, workers, max_atoms)
    labels = labels_of(rows, network.target_names, names, source.shown, network.class_names)
    with RowProgress("score", rows.fraction_done, rows.total) as progress:
        scored = predict_labelled(network, rows, labels, batch_size, progress.update, table)
    print_notes(rows.notes)
    files = {"model": str(checkpoint), "data": str(found.path)}
    bootstrap = {"resamples": resamples, "level": level, "seed": seed}
    report_scores(network, scored, files, bootstrap, report, table)


def _label_columns(
    checkpoint: Path,
    network: Predictor,
    smiles_column: str,
    targets: Sequence[str],
    given: Mapping[str, Sequence[str] | None],
) -> Columns:
    """What is read of an input: labels by the words that are given, or else those of the build."""
    from moleblend_plugin.building.labels import with_words
    from moleblend_plugin.chem.readers.source import Columns
    from moleblend_plugin.errors import MoleblendError
    from moleblend_plugin.inference.run_folder import words_of_build

    if network.class_names and (given["positive"] or given["negative"]):
        raise MoleblendError(
            "--positive and --negative name two classes, but the model distinguishes "
            f"{len(network.class_names)} ({', '.join(network.class_names[:12])}), by these words: leave them "
            "out"
        )
    words = words_of_build(checkpoint, network.args) | {key: held for key, held in given.items() if held}
    columns = Columns(smiles_column, tuple(targets), classes=network.class_names)
    return with_words(columns, *(words.get(key, ()) for key in given))


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
