"""``moleblend build``: files of molecules -> train, valid and test stores."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from moleblend_plugin.cli._console import print_notes, print_tables
from moleblend_plugin.cli._options import SmilesColumn, Workers
from moleblend_plugin.cli._progress import RowProgress

if TYPE_CHECKING:
    from moleblend_plugin.building.progress import BuildProgress
    from moleblend_plugin.building.result import BuildResult


def build(
    inputs: Annotated[
        list[Path],
        typer.Argument(
            help=".smi, .csv, .tsv, .sdf (each also .gz) or .npz files; .lmdb files of Uni-Mol or stores; - "
            "for standard input; or a folder of train.lmdb, valid.lmdb and test.lmdb, or of train.csv, "
            "valid.csv ...; it keeps these parts."
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
    relax_steps: Annotated[
        int,
        typer.Option(
            min=0,
            help="MMFF94 steps for each conformer at most; those not at a minimum by then are counted. 0: do "
            "not relax.",
        ),
    ] = 1000,
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
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a store in --out.")] = False,
) -> None:
    """Turn files of molecules into stores for training.

    A row that is no molecule is listed with its reason in rejected.csv; it never stops the build
    (--strict makes it). Coordinates in an SDF are kept, others come from RDKit.
    """
    given = {name: value for name, value in locals().items() if value is not None}  # options by their names
    from moleblend_plugin.building.run import build as build_stores
    from moleblend_plugin.stopping import termination_as_exit

    with termination_as_exit(), _News() as news:
        result = build_stores(**given, progress=news.show)
    _print_summary(result)


class _News:
    """Shows the news of a build: choices on stdout, the rest on stderr."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._bar: RowProgress | None = None
        self._fraction = 0.0

    def __enter__(self) -> _News:
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def show(self, news: BuildProgress) -> None:
        """Show one of them."""
        if news.kind == "choice":
            print(news.line)
        elif news.kind == "note":
            self._say(news.line)
        else:
            self._advance(news)

    def _say(self, line: str) -> None:
        if self._bar is None:
            print(line, file=sys.stderr, flush=True)
        else:
            self._bar.say(line)

    def _advance(self, news: BuildProgress) -> None:
        self._fraction = news.fraction
        if self._bar is None:
            self._bar = self._stack.enter_context(RowProgress("build", lambda _: self._fraction, news.total))
            self._bar.start_from(news.rows)
        self._bar.update(news.rows, f"{news.rejected:,} rejected")


def _print_summary(result: BuildResult) -> None:
    """The counts as a table, then notes and warnings on stderr."""
    from rich.table import Table

    from moleblend_plugin.building.labels import class_notes

    table = Table(show_header=False, box=None)
    table.add_row("rows read", f"{result.rows:,}")
    if result.resumed_rows:
        table.add_row("", f"{result.resumed_rows:,}  finished before")
    table.add_row("molecules", f"{result.molecules:,}")
    table.add_row("with 3D", f"{result.with_3d:,}")
    for how, count in result.coords_from.items():
        table.add_row("", f"{count:,}  {how}")
    table.add_row("rejected", f"{result.rejected:,}")
    for reason, count in result.rejected_by_reason.items():
        table.add_row("", f"{count:,}  {reason}")
    if count := result.excluded - result.excluded_by_list:
        table.add_row("excluded", f"{count:,}  in no part of the given split")
    if result.exclude and result.excluded_by_list:
        level = result.exclude["level"]
        table.add_row("excluded", f"{result.excluded_by_list:,}  molecules of --exclude ({level})")
    if count := result.duplicates["molecules"]:
        table.add_row("duplicates", f"{count:,}  molecules stand in more than one row")
    for part, store in result.stores.items():
        table.add_row(part, f"{result.splits[part]:,}  {store}")
    method = result.settings["split"].partition(":")[0]
    table.add_row("split", f"{method}, sha256 {result.split_sha256[:16]}  {result.out / 'split.json'}")
    table.add_row("reports", f"{result.out / 'build_report.json'}, {result.out / 'rejected.csv'}")
    speed = f"{result.rows_per_second:,.0f} rows/s, {result.workers} worker{'s' * (result.workers != 1)}"
    table.add_row("time", f"{result.seconds:.1f} s, {speed}")
    print_tables(table)
    print_notes(result.notes)
    print_notes(class_notes(result.classes))
    for line in result.warnings:
        print(f"warning: {line}", file=sys.stderr)
