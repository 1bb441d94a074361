"""``moleblend explain``: a model and a file of molecules -> what each atom adds to the prediction."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from moleblend_plugin.cli import _options as shared
from moleblend_plugin.cli._output import refuse_existing, writing
from moleblend_plugin.cli._rows import open_rows, print_counts

BOTH = "both"

Outputs = Annotated[
    list[Path],
    typer.Option(
        "--out",
        "-o",
        help=".html: a page with the molecules drawn; .csv, .tsv or .parquet: a row per atom; .json: all "
        "numbers. May be given again.",
    ),
]


def explain(
    model: Annotated[
        Path,
        typer.Argument(help="Checkpoint of task moleblend_property, model of an estimator, or a name."),
    ],
    molecules: shared.MoleculesArgument,
    out: Outputs,
    method: Annotated[str, typer.Option(help="occlusion, integrated-gradients, or both.")] = (
        "integrated-gradients"
    ),
    target: Annotated[
        list[str] | None,
        typer.Option(
            help="Target to explain, or of several classes a class; may be given again [default: all "
            "targets, of which there may be 12; of several classes the predicted one]."
        ),
    ] = None,
    max_drawn: Annotated[int, typer.Option(min=0, help="Molecules that the page draws.")] = 100,
    smiles_column: shared.SmilesColumn = "",
    conformers: shared.ConformersOption = None,
    device: shared.Device = "auto",
    use_ema: shared.UseEma = False,
    max_atoms: shared.MaxAtoms = 512,
    workers: shared.Workers = None,
    overwrite: shared.OverwriteFile = False,
) -> None:
    """Say what each atom adds to the predictions of a model, as a page and as numbers.

    Contributions are in log-odds for classes, and in the unit of the target otherwise (docs/explain.md). Of
    several classes the predicted one is explained, or those that --target names.

    Example: moleblend explain model.pt molecules.csv --out page.html --out atoms.csv
    """
    from contextlib import ExitStack

    from moleblend_plugin.chem.readers.source import Columns
    from moleblend_plugin.cli._progress import RowProgress
    from moleblend_plugin.explain.explainer import METHODS, Explainer
    from moleblend_plugin.explain.write import Outputs as Files
    from moleblend_plugin.explain.write import explain_to_files
    from moleblend_plugin.inference.predictor import Predictor
    from moleblend_plugin.inputs import open_molecules

    files = Files.of(out)
    for path in out:
        refuse_existing(path, overwrite)
    network = Predictor.from_checkpoint(model, device, use_ema)
    explainer = Explainer(network, METHODS if method == BOTH else (method,), target)
    source = open_molecules(molecules, Columns(smiles_column))
    rows = open_rows(network, source, conformers, workers, max_atoms)
    with ExitStack() as held:
        for path in out:
            held.enter_context(writing(path, overwrite))
        progress = held.enter_context(RowProgress("explain", rows.fraction_done, rows.total))
        counts = explain_to_files(explainer, rows, files, progress.update, str(model), max_drawn)
    print_counts(rows.notes, counts, "explained", out, network.input_mode)
