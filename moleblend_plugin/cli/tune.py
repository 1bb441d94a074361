"""``moleblend tune``: settings of ``moleblend fit``, searched in a stated time."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from moleblend_plugin.cli import fit as options_of
from moleblend_plugin.cli._fit_progress import FitProgress

if TYPE_CHECKING:
    from moleblend_plugin.tuning.run import TuneResult


def tune(
    table: Annotated[
        str | None,
        typer.Argument(
            metavar="[TABLE]", help="CSV, TSV, Parquet, SDF or another file of molecules with labels."
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder of the search.")] = None,
    minutes: Annotated[
        float, typer.Option(help="Minutes of all calls with this folder together.", show_default=True)
    ] = 30.0,
    trials: Annotated[
        int,
        typer.Option(
            help="Trials that are completed or pruned, of all calls together [default: as many as fit]."
        ),
    ] = 0,
    target: options_of.Target = None,
    smiles_column: options_of.SmilesColumn = None,
    task: options_of.Task = None,
    positive: options_of.Positive = None,
    negative: options_of.Negative = None,
    missing_label: options_of.MissingLabel = None,
    censored: options_of.Censored = None,
    weights_column: options_of.WeightsColumn = None,
    descriptors_columns: options_of.DescriptorsColumns = None,
    split: options_of.Split = None,
    test_size: options_of.TestSize = None,
    group_column: options_of.GroupColumn = None,
    date_column: options_of.DateColumn = None,
    split_column: options_of.SplitColumn = None,
    valid: options_of.Valid = None,
    test: options_of.Test = None,
    checkpoint: options_of.Start = None,
    input_mode: options_of.InputMode = None,
    conformer_method: options_of.Method = None,
    ensemble_size: options_of.EnsembleSize = None,
    folds: options_of.Folds = None,
    stacking: options_of.Stacking = None,
    epochs: options_of.Epochs = None,
    batch_size: options_of.BatchSize = None,
    learning_rate: options_of.LearningRate = None,
    dropout: options_of.Dropout = None,
    readout: options_of.Readout = None,
    freeze_epochs: options_of.FreezeEpochs = None,
    molecule_featurizers: options_of.Featurizers = None,
    seed: options_of.Seed = None,
    device: options_of.Device = None,
    config: Annotated[
        Path | None, typer.Option("--config", help="Options of a fit from a TOML file.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Remove the search in the folder.")] = False,
) -> None:
    """Search the settings of a fit by cross-validation of its training part, in a stated number of minutes.

    Options are those of fit; what is given is not searched. The test part is that of fit, and nothing looks
    at it. The first trial is the setting of fit itself. The same command goes on where an earlier one
    was stopped.

    \b
    moleblend tune my.csv --target logS --minutes 30 --out tuned/
    moleblend fit --config tuned/best.toml --out model/
    """
    given = dict(locals())
    from moleblend_plugin.errors import MoleblendError

    if importlib.util.find_spec("optuna") is None:
        raise MoleblendError(
            "moleblend tune needs optuna, which is not installed: pip install 'moleblend_plugin[tune]'"
        )
    if out is None:
        raise MoleblendError("--out is missing: name a folder for the search, as in --out tuned/")
    from moleblend_plugin.fitting.run import OnFit
    from moleblend_plugin.stopping import termination_as_exit
    from moleblend_plugin.tuning.run import TuneOptions, tune_table

    options = options_of.given_options(given)
    with FitProgress("tune") as progress, termination_as_exit():
        try:
            told = OnFit(progress.say, progress.update)
            result = tune_table(options, TuneOptions(minutes, trials), out, told, overwrite)
        except KeyboardInterrupt:
            progress.say(f"interrupted: what is finished is kept in {out}; the same command continues")
            raise SystemExit(130) from None
    print("\n".join(_summary(result)))


def _summary(result: TuneResult) -> list[str]:
    """The winner beside the default, and what to do next."""
    from moleblend_plugin.tuning.folder import BEST, REPORT

    title, won = result.title, result.winner
    changed = [f"{name} {value:.3g}" if isinstance(value, float) else f"{name} {value}"
               for name, value in {**won.params, "stacking": won.stacking}.items()]  # fmt: skip
    return [
        f"ended      {result.ended}",
        f"default    {title} {result.default_score:.4g} (cross-validation of the training part)",
        f"winner     {title} {won.value:.4g}, trial {won.number}: {', '.join(changed)}",
        f"report     {result.folder / REPORT}",
        f"fit        moleblend fit --config {result.folder / BEST} --out model/",
    ]
