"""``moleblend build``: files of molecules -> train, valid and test stores."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from moleblend_plugin.cli._console import print_tables
from moleblend_plugin.cli._options import SmilesColumn, Workers, usable_cores
from moleblend_plugin.cli._progress import RowProgress

if TYPE_CHECKING:
    from moleblend_plugin.chem.sources import Columns
    from moleblend_plugin.cli._build_plan import BuildPlan
    from moleblend_plugin.cli._build_tally import Tally

_COUNT_BYTES: Final = 16 << 20
"""Inputs up to this size (16 MiB) are read through once to count rows for the progress bar."""

_SHOWN_NAMES: Final = 30
"""Columns that a line names."""


def build(
    inputs: Annotated[
        list[Path],
        typer.Argument(
            help=".smi, .csv, .tsv, .sdf (each also .gz) or .npz files; .lmdb files of Uni-Mol, or a folder "
            "of its train.lmdb, valid.lmdb and test.lmdb, which keeps these parts."
        ),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the stores and reports.")],
    smiles_column: SmilesColumn = "",
    target_columns: Annotated[
        list[str] | None,
        typer.Option(
            help="Columns (SDF: tags) of labels, separated by commas; empty cells are missing. "
            "all: every column of numbers."
        ),
    ] = None,
    missing_label: Annotated[
        float | None, typer.Option(help="A number that stands for a missing label, such as -1 in some sets.")
    ] = None,
    conformers: Annotated[
        str, typer.Option(help="Conformers for each molecule without 3D coordinates, or none.")
    ] = "1",
    split: Annotated[
        str,
        typer.Option(
            help="none, random, scaffold, scaffold-achiral, rows:FILE (JSON lists of row numbers), "
            "kfold:K:I (fold I from 0 tests, the next validates) or column:NAME."
        ),
    ] = "none",
    split_sizes: Annotated[str, typer.Option(help="Fractions of train, valid and test.")] = "0.8,0.1,0.1",
    seed: Annotated[int, typer.Option(help="Seed of conformers and of the random split.")] = 0,
    workers: Workers = None,
    strict: Annotated[bool, typer.Option("--strict", help="Stop at the first rejected row.")] = False,
    timeout: Annotated[float, typer.Option(help="Seconds per molecule for its conformers.")] = 20.0,
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
            help="File of molecules to leave out, such as those of a test set; any input format, or a store. "
            "Stereochemistry does not matter. May be given again."
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a store in --out.")] = False,
) -> None:
    """Turn files of molecules into stores for training.

    A row that is no molecule is listed with its reason in rejected.csv; it never stops the build
    (--strict makes it). Coordinates in an SDF are kept, others come from RDKit.
    """
    from dataclasses import replace

    from moleblend_plugin.chem.conformers import ConformerConfig
    from moleblend_plugin.chem.convert import ConversionConfig
    from moleblend_plugin.chem.source_joined import join_geometry
    from moleblend_plugin.chem.split_rows import read_rows_file
    from moleblend_plugin.chem.splits import parse_split
    from moleblend_plugin.cli._build_plan import BuildPlan, parse_conformers, parse_sizes
    from moleblend_plugin.cli._build_run import run_build
    from moleblend_plugin.cli._inputs import open_inputs, split_of

    count = parse_conformers(conformers)
    split = split_of(inputs, split)
    method = parse_split(split)
    rows_file = read_rows_file(method.name) if method.kind == "rows" else None
    split_column = rows_file.key if rows_file else method.name
    columns = _columns(inputs[0], smiles_column, target_columns or [], split_column)
    sources, columns = open_inputs(inputs, replace(columns, missing_label=missing_label))
    if geometry is not None:
        sources = tuple(join_geometry(source, geometry) for source in sources)
    plan = BuildPlan(
        sources=sources,
        out=out,
        columns=columns,
        conversion=ConversionConfig(
            None if count is None else ConformerConfig(count, seed, timeout), source_coords
        ),
        split=split,
        sizes=parse_sizes(split_sizes),
        seed=seed,
        workers=workers or usable_cores(),
        strict=strict,
        limit=limit,
        overwrite=overwrite,
        rows_file=rows_file,
        geometry=geometry,
        excluded=_excluded(exclude or []),
    )
    bar = _Bar(plan)
    with bar:
        tally = run_build(plan, bar)
    _print_summary(plan, tally)


def _excluded(paths: list[Path]) -> frozenset[str]:
    """Molecules of the files of ``--exclude``."""
    from moleblend_plugin.chem.exclusion import Excluded, excluded_from, identity_of_smiles
    from moleblend_plugin.chem.sources import open_source
    from moleblend_plugin.data.store import MoleculeStore

    found: frozenset[str] = frozenset()
    for path in paths:
        if path.suffix == ".lmdb":
            listed = Excluded(frozenset(identity_of_smiles(record.smiles) for record in MoleculeStore(path)))
        else:
            listed = excluded_from(open_source(path))
        bad = f"; {listed.unreadable:,} rows are no molecules" if listed.unreadable else ""
        print(f"exclude: {len(listed.identities):,} molecules of {path}{bad}")
        found |= listed.identities
    return found


def _columns(first: Path, smiles: str, targets: list[str], split: str) -> Columns:
    """What is read from the inputs; of ``all``, the columns of numbers of the first one."""
    from dataclasses import replace

    from moleblend_plugin.chem.source_columns import numeric_columns
    from moleblend_plugin.chem.sources import Columns, open_source
    from moleblend_plugin.cli._inputs import is_unimol

    names = tuple(name.strip() for part in targets for name in part.split(",") if name.strip())
    if names != ("all",) or is_unimol(first):
        return Columns(smiles, names, split)
    columns = Columns(smiles, (), split)
    found = numeric_columns(open_source(first, columns))
    print(f"targets: {len(found.taken)} columns of numbers: {_few(list(found.taken))}")
    if found.left_out:
        reasons = [f"{name} ({reason})" for name, reason in found.left_out.items()]
        print(f"not taken: {_few(reasons)}")
    return replace(columns, targets=found.taken)


def _few(names: list[str]) -> str:
    """The names, or the first of many."""
    more = f" and {len(names) - _SHOWN_NAMES} more" if len(names) > _SHOWN_NAMES else ""
    return ", ".join(names[:_SHOWN_NAMES]) + more


class _Bar(RowProgress):
    """Progress of a build: its rows are counted where that is quick."""

    def __init__(self, plan: BuildPlan) -> None:
        self._rows = _count_rows(plan)
        super().__init__("build", lambda rows: rows / self._rows if self._rows else _fraction_read(plan))

    def resumed(self, rows: int) -> None:
        """Tell what is there."""
        self.start_from(rows)
        self.say(f"resuming: {rows:,}{f' of {self._rows:,}' if self._rows else ''} rows are there")

    def advance(self, rows: int, rejected: int) -> None:
        """Show the state after ``rows`` rows."""
        self.update(rows, f"{rejected:,} rejected")


def _fraction_read(plan: BuildPlan) -> float:
    """Part of the inputs' bytes that was read: runs ahead of the work by what is under way."""
    read = sum(source.fraction_read * source.n_bytes for source in plan.sources)
    return read / max(1, sum(source.n_bytes for source in plan.sources))


def _count_rows(plan: BuildPlan) -> int | None:
    """Rows that the build will read; ``None`` where counting would take long (bytes tell then)."""
    if any(source.n_bytes > _COUNT_BYTES for source in plan.sources):
        return plan.limit
    # Fresh readers: those of the plan are being read.
    copies = [source.again() for source in plan.sources]
    counted = sum(sum(1 for _ in source) for source in copies)
    return min(counted, plan.limit or counted)


def _print_summary(plan: BuildPlan, tally: Tally) -> None:
    from rich.table import Table

    table = Table(show_header=False, box=None)
    table.add_row("rows read", f"{tally.n_rows:,}")
    if tally.resumed:
        table.add_row("", f"{tally.resumed:,}  finished before")
    table.add_row("molecules", f"{tally.molecules:,}")
    table.add_row("with 3D", f"{tally.with_3d:,}")
    for how, count in tally.coords_from.most_common():
        table.add_row("", f"{count:,}  {how}")
    table.add_row("rejected", f"{tally.rejected.total():,}")
    for reason, count in tally.rejected.most_common():
        table.add_row("", f"{count:,}  {reason}")
    if tally.excluded:
        table.add_row("excluded", f"{tally.excluded:,}  in no part of the given split")
    if tally.left_out:
        table.add_row("excluded", f"{tally.left_out:,}  molecules of --exclude")
    for split, count in tally.splits.items():
        table.add_row(f"{split}", f"{count:,}  {plan.out / split}.lmdb")
    table.add_row("split", f"{plan.method.kind}, sha256 {tally.split_sha256[:16]}  {plan.out / 'split.json'}")
    table.add_row("reports", f"{plan.out / 'build_report.json'}, {plan.out / 'rejected.csv'}")
    table.add_row("time", f"{tally.seconds:.1f} s, {tally.rate:,.0f} rows/s, {plan.workers} workers")
    print_tables(table)
    wanted = ["train", "valid", "test"] if plan.split != "none" else ["train"]
    if plan.method.is_sized:
        wanted = [split for split, size in zip(wanted, plan.sizes, strict=True) if size]
    for split in wanted:
        if split not in tally.splits:
            print(f"warning: no molecule fell into {split}: there is no {split}.lmdb", file=sys.stderr)
        else:
            empty = [name for name, count in tally.labels[split].items() if not count]
            if empty:
                told = f"{len(empty)} of {len(tally.labels[split])} targets: {_few(empty)}"
                print(f"warning: {split} holds no label of {told}", file=sys.stderr)
