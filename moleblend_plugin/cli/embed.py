"""``moleblend embed``: a network and a file of molecules -> vectors."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from moleblend_plugin.cli import _options as shared
from moleblend_plugin.cli._output import refuse_existing
from moleblend_plugin.cli._rows import open_rows, work_of, write_rows
from moleblend_plugin.cli._rows_on_cluster import cluster_job, refuse_standard_input, write_rows_on_cluster
from moleblend_plugin.networks.registry import DEFAULT, default_network


def embed(
    first: Annotated[
        str,
        typer.Argument(
            metavar="CHECKPOINT",
            help="Checkpoint of pretraining or of moleblend_property, or a name of 'moleblend models'. It "
            "may be left out, with INPUT alone: the default network.",
            show_default=False,
        ),
    ],
    second: Annotated[
        Path | None,
        typer.Argument(
            metavar="INPUT",
            help="Any file of molecules, or - for standard input (docs/tables.md).",
            show_default=False,
        ),
    ] = None,
    *,
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
    smiles_column: shared.SmilesColumn = "",
    conformers: shared.ConformersOption = None,
    batch_size: shared.BatchSize = 64,
    device: shared.Device = "auto",
    use_ema: shared.UseEma = False,
    max_atoms: shared.MaxAtoms = 512,
    workers: shared.Workers = None,
    overwrite: shared.OverwriteFile = False,
    row_timeout: shared.RowTimeout = None,
    cluster: shared.Cluster = None,
    pieces: shared.Pieces = None,
) -> None:
    """Write the encoder's last states for every molecule of a file (docs/inference.md: the arrays' names)."""
    from moleblend_plugin.chem.readers.source import Columns
    from moleblend_plugin.inference.embedder import Embedder
    from moleblend_plugin.inference.outputs import embed_to_file
    from moleblend_plugin.inference.table_writer import check_table
    from moleblend_plugin.inference.work import Stamp
    from moleblend_plugin.inputs import open_molecules
    from moleblend_plugin.networks.resolve import find_checkpoint_file

    checkpoint, molecules = (DEFAULT, Path(first)) if second is None else (first, second)
    if second is None:
        bundled = default_network()
        print(f"network: {bundled.name} ({bundled.summary})", file=sys.stderr)
    shared.check_cluster(cluster, pieces)
    refuse_standard_input(cluster, molecules)
    check_table(out, (".npz", ".parquet"))
    refuse_existing(out, overwrite)
    where = device if cluster is None else "cpu"
    model = find_checkpoint_file(checkpoint)
    stamp = Stamp.of(model) if model.exists() else None
    network = Embedder.from_checkpoint(model, what, where, input_mode, use_ema)  # type: ignore[arg-type]
    source = open_molecules(molecules, Columns(smiles_column))
    rows = open_rows(
        network, source, conformers, workers, max_atoms, canonical=False, row_timeout=row_timeout
    )
    if cluster is None:
        assert stamp is not None  # the network was read
        work = work_of(
            *(network, rows, stamp),
            command="embed",
            batch_size=batch_size,
            use_ema=use_ema,
            what=what,
            input_mode=network.input_mode,
        )
        write_rows(("embed", "embedded"), embed_to_file, network, rows, out, batch_size, overwrite, work)
        return
    job = cluster_job(
        *("embed", checkpoint, molecules, network, rows, conformers, workers, row_timeout),
        smiles_column=smiles_column,
        batch_size=batch_size,
        device=device,
        use_ema=use_ema,
        max_atoms=max_atoms,
        what=what,
        input_mode=input_mode,
    )
    names = "embed", "embedded"
    write_rows_on_cluster(names, job, network, rows, model, out, overwrite, cluster, pieces)
