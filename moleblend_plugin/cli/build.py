"""``moleblend build``: files of molecules -> train, valid and test stores."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from moleblend_plugin.cli import _options as shared
from moleblend_plugin.cli._build_news import BuildNews, print_piece, print_summary
from moleblend_plugin.cli._options import SmilesColumn, Workers


def build(
    inputs: Annotated[
        list[Path],
        typer.Argument(
            help=".smi, .csv, .tsv, .sdf (each also .gz), .parquet or .npz files; .lmdb files of Uni-Mol or "
            "stores; - for standard input; or a folder of train.lmdb, valid.lmdb and test.lmdb, or of "
            "train.csv, valid.csv ...; it keeps these parts."
        ),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the stores and reports.")],
    smiles_column: SmilesColumn = "",
    target_columns: Annotated[
        list[str] | None,
        typer.Option(
            help="Columns (SDF: tags) of labels, separated by commas; a name with a comma in double quotes: "
            "'y,\"IC50, nM\"'. May be given again. Empty cells are missing. all: every column of numbers."
        ),
    ] = None,
    missing_label: Annotated[
        list[str] | None,
        typer.Option(
            help="A number or word that stands for a missing label, such as -1. May be given again."
        ),
    ] = None,
    positive: Annotated[
        list[str] | None,
        typer.Option(
            help="A word that means class 1; true, yes, active, positive and toxic do. May be given again."
        ),
    ] = None,
    negative: Annotated[
        list[str] | None, typer.Option(help="A word that means class 0, as --positive. May be given again.")
    ] = None,
    conformers: Annotated[
        str, typer.Option(help="Conformers for each molecule without 3D coordinates, or none.")
    ] = "1",
    split: Annotated[
        str,
        typer.Option(
            help="none, random, scaffold, scaffold-achiral, rows:FILE (JSON lists of row numbers), "
            "kfold:K:I (fold I from 0 tests, the next validates), column:NAME or files (train.csv, valid.csv "
            "and test.csv are these parts)."
        ),
    ] = "none",
    valid: Annotated[
        list[Path] | None,
        typer.Option("--valid", help="File that validates; the inputs then train. May be given again."),
    ] = None,
    test: Annotated[
        list[Path] | None,
        typer.Option("--test", help="File that tests; the inputs then train. May be given again."),
    ] = None,
    split_sizes: Annotated[str, typer.Option(help="Fractions of train, valid and test.")] = "0.8,0.1,0.1",
    seed: Annotated[int, typer.Option(help="Seed of conformers and of the random split.")] = 0,
    workers: Workers = None,
    strict: Annotated[bool, typer.Option("--strict", help="Stop at the first rejected row.")] = False,
    timeout: Annotated[float, typer.Option(help="Seconds per molecule for its conformers.")] = 20.0,
    conformer_method: Annotated[
        str,
        typer.Option(
            help="full: all atoms by ETKDGv3, to the minimum of MMFF94; fast: heavy atoms by KDG, then 100 "
            "steps, in a quarter of the time."
        ),
    ] = "full",
    relax_steps: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="MMFF94 steps for each conformer at most (full: 1,000; those not at a minimum by then are "
            "counted; fast: 100). 0: do not relax.",
        ),
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Read only the first N rows.")] = None,
    source_coords: Annotated[
        bool, typer.Option(help="Keep 3D coordinates that an input brings, or treat it as 2D.")
    ] = True,
    geometry: Annotated[
        Path | None,
        typer.Option(
            help="SDF with the geometries of the table's first rows, record i of row i (PCQM4Mv2). A record "
            "that is another molecule than its row's SMILES is rejected."
        ),
    ] = None,
    exclude: Annotated[
        list[Path] | None,
        typer.Option(
            help="File of molecules to leave out, such as those of a test set; any input format, a store, or "
            "a built folder. May be given again."
        ),
    ] = None,
    exclude_level: Annotated[
        str,
        typer.Option(
            help="When two molecules are the same: exact, connectivity (stereochemistry and isotopes do not "
            "matter) or parent (nor do salts, solvents and charges)."
        ),
    ] = "connectivity",
    descriptors: Annotated[
        bool,
        typer.Option(
            "--descriptors",
            help="Store RDKit's 2D descriptors of every molecule too: pretraining then learns them as well. "
            "About 10 ms per molecule.",
        ),
    ] = False,
    ecfp: Annotated[
        bool, typer.Option("--ecfp", help="Store ECFP4 counts of every molecule, to be learned likewise.")
    ] = False,
    row_timeout: shared.RowTimeout = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a store, or the piece, in --out.")
    ] = False,
    piece: Annotated[
        str | None,
        typer.Option(
            metavar="K/N",
            help="Build piece K of N only (from 1/N), a file in --out; moleblend join makes stores of all.",
        ),
    ] = None,
    cluster: shared.Cluster = None,
    pieces: shared.Pieces = None,
) -> None:
    """Turn files of molecules into stores for training.

    A row that is no molecule is listed with its reason in rejected.csv; it never stops the build
    (--strict makes it). Coordinates in an SDF are kept, others come from RDKit.
    """
    given = {name: value for name, value in locals().items() if value is not None}  # options by their names
    for name in ("inputs", "out", "piece", "cluster", "pieces"):
        given.pop(name, None)
    shared.check_cluster(cluster, pieces, piece)
    from moleblend_plugin.stopping import termination_as_exit

    with termination_as_exit(), BuildNews() as news:
        if cluster is not None:
            from moleblend_plugin.building.options import BuildOptions
            from moleblend_plugin.cluster.building import build_on_cluster

            result = build_on_cluster(inputs, out, cluster, pieces, BuildOptions(**given), news.show)
        elif piece is not None:
            from moleblend_plugin.building.options import BuildOptions
            from moleblend_plugin.building.piece import build_piece

            made = build_piece(inputs, out, piece, BuildOptions(**given), news.show)
        else:
            from moleblend_plugin.building.run import build as build_stores

            result = build_stores(inputs, out, **given, progress=news.show)
    if piece is None:
        print_summary(result)
    else:
        print_piece(made)
