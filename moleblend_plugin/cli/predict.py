"""``moleblend predict``: a checkpoint and a file of molecules -> a table of predictions."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from moleblend_plugin.cli import _options as shared
from moleblend_plugin.cli._console import print_notes
from moleblend_plugin.cli._output import refuse_existing
from moleblend_plugin.cli._rows import open_rows, work_of, write_rows
from moleblend_plugin.cli._rows_on_cluster import cluster_job, refuse_standard_input, write_rows_on_cluster

MembersSd = Annotated[
    bool,
    typer.Option(
        "--members-sd", help="Also write the standard deviation of the predictions of its networks."
    ),
]
Interval = Annotated[
    float | None,
    typer.Option(
        "--interval",
        help="Level of intervals and prediction sets, such as 0.9, which is taken where the model has them.",
        show_default=False,
    ),
]
NoTrust = Annotated[
    bool,
    typer.Option(
        "--no-trust", help="Write predictions alone, without intervals and the nearest training molecule."
    ),
]


def predict(
    checkpoint: Annotated[
        Path,
        typer.Argument(help="Folder of a fit or a run, checkpoint, model of an estimator, or a name."),
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
    interval: Interval = None,
    no_trust: NoTrust = False,
    row_timeout: shared.RowTimeout = None,
    cluster: shared.Cluster = None,
    pieces: shared.Pieces = None,
) -> None:
    """Predict the targets of a checkpoint for every row of a file.

    The table has the input's rows in their order, with row_id, the input's columns, predicted_NAME for each
    target (a probability, or a value in the target's own unit) and the reason where there is no number.
    Of several classes in one column predicted_NAME is the likeliest, and probability_NAME_CLASS that of each.
    A model of several networks gives the mean of their predictions, or what its stack makes of it.

    A model that an estimator fitted also writes low_NAME and high_NAME, between which the value lies with
    the probability --interval, or for classes calibrated_NAME, a calibrated probability, and set_NAME, the
    classes that cannot be excluded; members_sd_NAME; nearest_similarity, nearest_training_row and
    nearest_training_smiles, the nearest training molecule; and outside_domain.

    After an interruption the same command goes on, and computes no finished rows again.

    Example: moleblend predict model.pt molecules.csv --out predictions.csv --interval 0.95
    """
    from functools import partial

    from moleblend_plugin.chem.readers.source import Columns
    from moleblend_plugin.inference.outputs import predict_to_table
    from moleblend_plugin.inference.predictor import Predictor
    from moleblend_plugin.inference.run_folder import find_checkpoint
    from moleblend_plugin.inference.table_writer import check_table
    from moleblend_plugin.inference.trust_columns import choose_trust_columns
    from moleblend_plugin.inference.work import Stamp
    from moleblend_plugin.inputs import open_molecules

    shared.check_cluster(cluster, pieces)
    refuse_standard_input(cluster, molecules)
    check_table(out)
    refuse_existing(out, overwrite)
    model = find_checkpoint(checkpoint)
    stamp = Stamp.of(model)
    network = Predictor.from_checkpoint(model, device if cluster is None else "cpu", use_ema)
    extra, notes = choose_trust_columns(network, members_sd, interval, not no_trust)
    print_notes(notes)
    source = open_molecules(molecules, Columns(smiles_column))
    canonical = extra.trust is not None
    rows = open_rows(
        *(network, source, conformers, workers, max_atoms), canonical=canonical, row_timeout=row_timeout
    )
    if cluster is None:
        write = partial(predict_to_table, members_sd=members_sd, extra=extra)
        work = work_of(
            *(network, rows, stamp),
            command="predict",
            batch_size=batch_size,
            use_ema=use_ema,
            members_sd=extra.members_sd,
            interval=extra.level,
            trust=extra.trust is not None,
        )
        write_rows(("predict", "predicted"), write, network, rows, out, batch_size, overwrite, work)
        return
    job = cluster_job(
        *("predict", checkpoint, molecules, network, rows, conformers, workers, row_timeout),
        smiles_column=smiles_column,
        batch_size=batch_size,
        device=device,
        use_ema=use_ema,
        max_atoms=max_atoms,
        members_sd=members_sd,
        interval=interval,
        no_trust=no_trust,
    )
    names = "predict", "predicted"
    write_rows_on_cluster(names, job, network, rows, model, out, overwrite, cluster, pieces)
