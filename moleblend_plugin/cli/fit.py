"""``moleblend fit``: a table of molecules with labels -> a model folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from moleblend_plugin.cli._fit_progress import FitProgress

if TYPE_CHECKING:
    from moleblend_plugin.fitting.options import FitOptions
    from moleblend_plugin.fitting.run import FitResult

Text = str | None
Texts = list[str] | None

Target = Annotated[
    Texts,
    typer.Option("--target", "-t", help="Column of labels; may be given again [default: the only one]."),
]
SmilesColumn = Annotated[Text, typer.Option(help="Column of SMILES [default: by name, else by content].")]
Task = Annotated[
    Text,
    typer.Option(
        help="regression, classification, multiclass (several classes in a column) or mixed (columns of "
        "values and of two classes) [default: by content]."
    ),
]
Positive = Annotated[Texts, typer.Option(help="A word that means class 1. May be given again.")]
Negative = Annotated[Texts, typer.Option(help="A word that means class 0. May be given again.")]
MissingLabel = Annotated[
    Texts, typer.Option(help="A word or number for a missing label. May be given again.")
]
Censored = Annotated[
    Text,
    typer.Option(help="Labels such as >10: refuse, drop, or value (the number alone) [default: refuse]."),
]
DescriptorsColumns = Annotated[
    Texts,
    typer.Option(
        help="Columns of numbers that the models read beside the molecule, such as temperature,pH; predict "
        "needs them too. May be given again."
    ),
]
WeightsColumn = Annotated[Text, typer.Option(help="Column of what each row counts in training.")]
Split = Annotated[
    Text,
    typer.Option(
        help="random, stratified, scaffold, none, kfold:K:I or rows:FILE [default: stratified for one column "
        "of classes, else random]."
    ),
]
TestSize = Annotated[float | None, typer.Option(help="Share of the molecules that test [default: 0.1].")]
GroupColumn = Annotated[Text, typer.Option(help="Rows with one value in this column fall into one part.")]
DateColumn = Annotated[Text, typer.Option(help="The molecules of the latest dates in this column test.")]
SplitColumn = Annotated[Text, typer.Option(help="Column that names each row's part: train, valid, test.")]
Valid = Annotated[Texts, typer.Option("--valid", help="File whose rows join the folds. May be given again.")]
Test = Annotated[Texts, typer.Option("--test", help="File whose rows test. May be given again.")]
Start = Annotated[
    Text, typer.Option("--checkpoint", help="What to start from: a name, a file, or none [default: default].")
]
InputMode = Annotated[Text, typer.Option(help="2d, 3d or both [default: 2d].")]
EnsembleSize = Annotated[int | None, typer.Option(help="Networks [default: by the size of the table].")]
Folds = Annotated[Text, typer.Option(help="Folds of the ensemble: random or scaffold [default: random].")]
Stacking = Annotated[Text, typer.Option(help="Combine with random forests: auto, yes or no [default: auto].")]
Epochs = Annotated[int | None, typer.Option(help="Passes over the molecules [default: by the table's size].")]
BatchSize = Annotated[int | None, typer.Option(help="Molecules per update [default: by the table's size].")]
LearningRate = Annotated[float | None, typer.Option(help="Highest learning rate [default: 0.0005].")]
Dropout = Annotated[float | None, typer.Option(help="Dropout of the head [default: 0.1].")]
Readout = Annotated[
    Text,
    typer.Option(
        help="How the head reads a molecule: cls, mean, sum, attention [default: cls for classes, else mean]."
    ),
]
FreezeEpochs = Annotated[
    int | None, typer.Option(help="First epochs, in which the head alone is trained [default: 0].")
]
Featurizers = Annotated[
    Text,
    typer.Option(
        "--molecule-featurizers",
        help="What the head reads too: none, descriptors, ecfp, both "
        "[default: descriptors, above 12,000 molecules none].",
    ),
]
Method = Annotated[
    Text,
    typer.Option(help="Of conformers, with --input-mode 3d or both: full or fast [default: full]."),
]
Seed = Annotated[int | None, typer.Option(help="Of parts, folds and training [default: 0].")]
Device = Annotated[Text, typer.Option(help="auto, cpu, cuda, cuda:N or mps [default: auto].")]


def fit(
    table: Annotated[
        str | None,
        typer.Argument(
            metavar="[TABLE]", help="CSV, TSV, Parquet, SDF or another file of molecules with labels."
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder of the model.")] = None,
    target: Target = None,
    smiles_column: SmilesColumn = None,
    task: Task = None,
    positive: Positive = None,
    negative: Negative = None,
    missing_label: MissingLabel = None,
    censored: Censored = None,
    weights_column: WeightsColumn = None,
    descriptors_columns: DescriptorsColumns = None,
    split: Split = None,
    test_size: TestSize = None,
    group_column: GroupColumn = None,
    date_column: DateColumn = None,
    split_column: SplitColumn = None,
    valid: Valid = None,
    test: Test = None,
    checkpoint: Start = None,
    input_mode: InputMode = None,
    conformer_method: Method = None,
    ensemble_size: EnsembleSize = None,
    folds: Folds = None,
    stacking: Stacking = None,
    epochs: Epochs = None,
    batch_size: BatchSize = None,
    learning_rate: LearningRate = None,
    dropout: Dropout = None,
    readout: Readout = None,
    freeze_epochs: FreezeEpochs = None,
    molecule_featurizers: Featurizers = None,
    seed: Seed = None,
    device: Device = None,
    config: Annotated[
        Path | None, typer.Option("--config", help="Options from a TOML file, such as run.toml of a fit.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Resume a fit that was interrupted.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the model in the folder.")] = False,
) -> None:
    """Fit a model to a table of molecules, and judge it on molecules that it was not fitted to.

    Columns, kind of labels and settings are found by looking at the table; what was found is said. The folder
    holds the model, report.html, the predictions of the test part, rejected rows and all settings.

    \b
    moleblend fit my.csv --target logS --out model/
    moleblend predict model/ new.csv --out predictions.csv
    """
    given = dict(locals())
    from moleblend_plugin.errors import MoleblendError
    from moleblend_plugin.fitting.run import OnFit, fit_table
    from moleblend_plugin.stopping import termination_as_exit

    if out is None:
        raise MoleblendError("--out is missing: name a folder for the model, as in --out model/")
    options = given_options(given)
    with FitProgress() as progress, termination_as_exit():
        try:
            result = fit_table(options, out, OnFit(progress.say, progress.update), resume, overwrite)
        except (KeyboardInterrupt, SystemExit) as stopped:
            progress.say(
                f"interrupted: what is finished is kept in {out}; resume with: moleblend fit --out {out} "
                "--resume"
            )
            raise SystemExit(getattr(stopped, "code", 130)) from None
    print("\n".join(_summary(result)))


def given_options(given: dict[str, Any]) -> FitOptions:
    """The options that were given, over those of ``--config``."""
    from dataclasses import replace

    from moleblend_plugin.fitting.options import FitOptions, option_names, read_options
    from moleblend_plugin.names import parse_names

    config = given["config"]
    options = FitOptions() if config is None else read_options(config)
    named = {"data": given["table"], "targets": given["target"]}
    values = named | {name: given[name] for name in option_names() if name not in named}
    if given.get("descriptors_columns"):
        listed = [name for text in given["descriptors_columns"] for name in parse_names(text)]
        values["descriptors_columns"] = listed
    changed = {name: value for name, value in values.items() if value is not None}
    as_tuples: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in changed.items()
    }
    return replace(options, **as_tuples)


def _summary(result: FitResult) -> list[str]:
    """What came of it: scores beside the baselines, and what to do next."""
    from moleblend_plugin.fitting.folder import REPORT

    lines = []
    if result.evaluation is not None:
        scores = result.evaluation.scores
        metrics = list(next(iter(scores.values())))
        rows = [[f"test ({len(result.evaluation.rows):,} molecules)", *metrics]]
        for name, found in scores.items():
            cells = [_cell(found[metric].values.mean, found[metric].intervals.mean) for metric in metrics]
            rows.append([name, *cells])
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines += [
            "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in rows
        ]
    lines += [
        f"report     {result.folder / REPORT}",
        f"predict    moleblend predict {result.folder} new.csv --out predictions.csv",
    ]
    return lines


def _cell(value: float, interval: tuple[float, float]) -> str:
    if value != value:
        return "-"
    low, high = interval
    return f"{value:.3g}" if low != low else f"{value:.3g} ({low:.3g} to {high:.3g})"
