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
    from moleblend_plugin.building.plan import BuildPlan
    from moleblend_plugin.building.tally import Tally
    from moleblend_plugin.chem.readers.source import Columns

_COUNT_BYTES: Final = 16 << 20
"""Inputs up to this size (16 MiB) are read through once to count rows for the progress bar."""

_SHOWN_NAMES: Final = 30
"""Columns that a line names."""


def build(
    inputs: Annotated[
        list[Path],
        typer.Argument(
            help=".smi, .csv, .tsv, .sdf (each also .gz) or .npz files; .lmdb files of Uni-Mol; or a folder "
            "of train.lmdb, valid.lmdb and test.lmdb, or of train.csv, valid.csv ...; it keeps these parts."
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
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a store in --out.")] = False,
) -> None:
    """Turn files of molecules into stores for training.

    A row that is no molecule is listed with its reason in rejected.csv; it never stops the build
    (--strict makes it). Coordinates in an SDF are kept, others come from RDKit.
    """
    from moleblend_plugin.building.exclude import read_exclusions
    from moleblend_plugin.building.inputs import open_inputs
    from moleblend_plugin.building.labels import told_of_labels, with_words
    from moleblend_plugin.building.plan import BuildPlan, parse_sizes
    from moleblend_plugin.building.run import run_build
    from moleblend_plugin.chem.convert import ConversionConfig
    from moleblend_plugin.chem.geometry.conformer_count import parse_conformers
    from moleblend_plugin.chem.geometry.conformers import ConformerConfig
    from moleblend_plugin.chem.readers.joined import join_geometry
    from moleblend_plugin.chem.readers.source import Columns
    from moleblend_plugin.splits.files import in_part, with_own_names
    from moleblend_plugin.splits.given_rows import read_rows_file
    from moleblend_plugin.splits.methods import parse_split

    count = parse_conformers(conformers)
    inputs, split, parts = _given_parts(inputs, valid or [], test or [], split)
    method = parse_split(split)
    rows_file = read_rows_file(method.name) if method.kind == "rows" else None
    split_column = rows_file.key if rows_file else method.name
    columns = with_words(
        Columns(smiles_column, (), split_column), missing_label or (), positive or (), negative or ()
    )
    sources, columns = open_inputs(inputs, _with_targets(inputs[0], columns, target_columns or []))
    sources = with_own_names(sources)
    if geometry is not None:
        sources = tuple(join_geometry(source, geometry) for source in sources)
    if parts:
        sources = tuple(in_part(source, part) for source, part in zip(sources, parts, strict=True))
    plan = BuildPlan(
        sources=sources,
        out=out,
        columns=columns,
        conversion=ConversionConfig(
            None
            if count is None
            else ConformerConfig(count, seed, timeout, relax=relax_steps > 0, relax_steps=relax_steps),
            source_coords,
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
        exclusion=read_exclusions(exclude or [], exclude_level, smiles_column),
        parts=parts,
    )
    bar = _Bar(plan)
    with bar:
        tally = run_build(plan, bar)
    _print_summary(plan, tally)
    for line in told_of_labels(plan, tally):
        print(line, file=sys.stderr)


def _given_parts(
    inputs: list[Path], valid: list[Path], test: list[Path], split: str
) -> tuple[list[Path], str, tuple[str, ...]]:
    """All files, what ``--split`` means for them, and the part of every file where files are parts."""
    from moleblend_plugin.building.inputs import expand_folders, split_of
    from moleblend_plugin.errors import MoleblendError
    from moleblend_plugin.splits.files import parts_of

    if not valid and not test:
        split = split_of(inputs, split)
        files = expand_folders(inputs)
        return files, split, parts_of(files) if split == "files" else ()
    folder = next((path for path in (*inputs, *valid, *test) if path.is_dir()), None)
    if split not in ("none", "files") or folder is not None:
        told = f"{folder} is a folder" if folder is not None else f"got --split {split} too"
        raise MoleblendError(f"--valid and --test name files beside those that train; {told}: leave one out")
    parts = ("train",) * len(inputs) + ("valid",) * len(valid) + ("test",) * len(test)
    return [*inputs, *valid, *test], "files", parts


def _with_targets(first: Path, columns: Columns, targets: list[str]) -> Columns:
    """``columns`` with the labels asked for; of ``all``, the columns of labels of the first input."""
    from dataclasses import replace
    from functools import partial

    from moleblend_plugin.building.inputs import is_unimol
    from moleblend_plugin.chem.readers.columns import named_columns, numeric_columns
    from moleblend_plugin.chem.readers.formats import open_source
    from moleblend_plugin.errors import MoleblendError
    from moleblend_plugin.names import parse_names, write_names

    if [text.strip() for text in targets] != ["all"] or is_unimol(first):
        take = parse_names if is_unimol(first) else partial(named_columns, open_source(first, columns))
        names = tuple(name for text in targets for name in take(text))
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise MoleblendError(f"--target-columns names {twice!r} twice; name every column once")
        return replace(columns, targets=names)
    found = numeric_columns(open_source(first, columns))
    shown = _few([write_names([name]) for name in found.taken])
    print(f"targets: {len(found.taken)} columns of numbers: {shown}")
    if found.left_out:
        reasons = [f"{write_names([name])} ({reason})" for name, reason in found.left_out.items()]
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
        super().__init__(
            "build", lambda rows: rows / self._rows if self._rows else _fraction_read(plan), self._rows
        )

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
        table.add_row("excluded", f"{tally.left_out:,}  molecules of --exclude ({plan.exclusion.level})")
    if tally.duplicates["molecules"]:
        table.add_row(
            "duplicates", f"{tally.duplicates['molecules']:,}  molecules stand in more than one row"
        )
    for split, count in tally.splits.items():
        table.add_row(f"{split}", f"{count:,}  {plan.out / split}.lmdb")
    table.add_row("split", f"{plan.method.kind}, sha256 {tally.split_sha256[:16]}  {plan.out / 'split.json'}")
    table.add_row("reports", f"{plan.out / 'build_report.json'}, {plan.out / 'rejected.csv'}")
    table.add_row("time", f"{tally.seconds:.1f} s, {tally.rate:,.0f} rows/s, {plan.workers} workers")
    print_tables(table)
    _warn(plan, tally)


def _warn(plan: BuildPlan, tally: Tally) -> None:
    """What a user must not overlook, a line each."""
    from moleblend_plugin.building.duplicates import duplicates_line

    if tally.unknown_parts:
        told = f"{plan.split.partition(':')[2]!r} holds {tally.unknown_words}"
        print(f"warning: column {told}, which name no part: such rows are rejected", file=sys.stderr)
    if told := duplicates_line(tally.duplicates):
        print(f"warning: {told}", file=sys.stderr)
    if tally.stereo_unknown:
        print(
            f"warning: {tally.stereo_unknown:,} molecules have no coordinates that would tell all of their "
            f"stereochemistry, it is unknown (first: {tally.stereo_unknown_rows[0]}; stereo_unknown_rows in "
            "build_report.json names them)",
            file=sys.stderr,
        )
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
