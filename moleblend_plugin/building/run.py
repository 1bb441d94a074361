"""``moleblend_plugin.build``: files of molecules -> stores of the parts, rejected.csv and reports."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from itertools import chain, islice
from operator import index
from pathlib import Path
from typing import Any, SupportsIndex

from moleblend_plugin.building.descriptors import descriptor_settings
from moleblend_plugin.building.divide import assign_parts, without_excluded, write_split
from moleblend_plugin.building.duplicates import duplicates
from moleblend_plugin.building.exclude import read_exclusions
from moleblend_plugin.building.finished_rows import FinishedRows
from moleblend_plugin.building.labels import few_names, with_words
from moleblend_plugin.building.outcomes import Rejected
from moleblend_plugin.building.outputs import REJECTED, REPORT, StoreWriters, write_rejected
from moleblend_plugin.building.plan import BuildPlan, given_parts, parse_sizes
from moleblend_plugin.building.progress import BuildProgress, Progress, RowCounter, silent
from moleblend_plugin.building.result import BuildResult, Tally, result_of
from moleblend_plugin.building.stage import NothingToBuild, Stage, refuse_existing_stores, staging
from moleblend_plugin.building.work import BuildWork, work_of, work_settings
from moleblend_plugin.chem.convert import TOOLKIT, ConversionConfig
from moleblend_plugin.chem.geometry.conformer_count import parse_conformers
from moleblend_plugin.chem.geometry.conformers import ConformerConfig
from moleblend_plugin.chem.identity.featurizers import probe_ecfp
from moleblend_plugin.chem.identity.sparse_ecfp import ecfp_settings
from moleblend_plugin.chem.readers.columns import NumericColumns
from moleblend_plugin.chem.readers.source import Columns
from moleblend_plugin.chem.workers import chunks_of, work_on
from moleblend_plugin.entry import usable_cores
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.inputs import join_geometry, open_inputs
from moleblend_plugin.names import write_name
from moleblend_plugin.schema import PARTS
from moleblend_plugin.splits.given_rows import read_rows_file
from moleblend_plugin.splits.methods import parse_split
from moleblend_plugin.splits.part_files import in_part, with_own_names
from moleblend_plugin.splits.split_list import SPLIT_LIST

AnyPath = str | Path


def build(
    inputs: AnyPath | Sequence[AnyPath],
    out: AnyPath,
    *,
    smiles_column: str = "",
    target_columns: str | Sequence[str] = (),
    missing_label: str | float | Sequence[str | float] = (),
    positive: str | Sequence[str] = (),
    negative: str | Sequence[str] = (),
    conformers: int | str | None = 1,
    split: str = "none",
    valid: AnyPath | Sequence[AnyPath] = (),
    test: AnyPath | Sequence[AnyPath] = (),
    split_sizes: str | Sequence[float] = (0.8, 0.1, 0.1),
    seed: int = 0,
    workers: int | None = None,
    strict: bool = False,
    timeout: float = 20.0,
    relax_steps: int = 1000,
    limit: int | None = None,
    source_coords: bool = True,
    geometry: AnyPath | None = None,
    exclude: AnyPath | Sequence[AnyPath] = (),
    exclude_level: str = "connectivity",
    descriptors: bool = False,
    ecfp: bool = False,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> BuildResult:
    """Turn files of molecules into stores for training, as ``moleblend build`` does.

    A row that is no molecule is listed with its reason in ``rejected.csv``; it never stops the build
    (``strict`` makes it). An interrupted build resumes when it is called again (``docs/store.md``).
    With more than one worker a script calls it below ``if __name__ == "__main__":``.

    Args:
        inputs: one file or several, or folders of ``train.csv``, ``valid.csv`` ...
        out: folder for the stores and reports.
        smiles_column: column of SMILES in tables; "" looks for a usual name.
        target_columns: columns of labels; "all" takes every column of numbers.
        missing_label: numbers or words that stand for a missing label.
        positive: words that mean class 1, besides the usual ones.
        negative: words that mean class 0.
        conformers: for each molecule without 3D coordinates; ``None`` or "none" leaves it 2D.
        split: "none", "random", "scaffold", "scaffold-achiral", "rows:FILE", "kfold:K:I", "column:NAME" or
            "files".
        valid: files that validate; the inputs then train.
        test: files that test.
        split_sizes: fractions of train, valid and test.
        seed: of conformers and of the random split.
        workers: processes that convert; ``None`` for one per core.
        strict: stop at the first rejected row.
        timeout: seconds per molecule for its conformers.
        relax_steps: MMFF94 steps for each conformer at most; 0 does not relax.
        limit: read only the first rows.
        source_coords: keep 3D coordinates that an input brings, or treat it as 2D.
        geometry: SDF with the geometries of the table's first rows.
        exclude: files of molecules to leave out.
        exclude_level: when two molecules are the same: "exact", "connectivity" or "parent".
        descriptors: store RDKit's 2D descriptors of every molecule, for pretraining that learns them.
        ecfp: store ECFP4 counts of every molecule likewise.
        overwrite: replace stores in ``out``.
        progress: called with news while it works.

    Raises:
        MoleblendError: anything that the user can correct; what was in ``out`` then is as before.
    """
    report = progress or silent

    def choose(line: str) -> None:
        report(BuildProgress("choice", line))

    seed = _whole("seed", seed, 0)
    workers = None if workers is None else _whole("workers", workers, 1)
    limit = None if limit is None else _whole("limit", limit, 1)
    count = None if conformers is None else parse_conformers(conformers)
    files, split, parts = given_parts(_paths(inputs), _paths(valid), _paths(test), split)
    method = parse_split(split)
    rows_file = read_rows_file(method.name) if method.kind == "rows" else None
    missing, words = list(map(str, _several(missing_label))), (_several(positive), _several(negative))
    columns = Columns(smiles_column, (), rows_file.key if rows_file else method.name)
    opened = open_inputs(files, with_words(columns, missing, *words), _several(target_columns))
    _report_columns(opened.numeric, choose)
    sources = with_own_names(opened.sources)
    if geometry is not None:
        sources = tuple(join_geometry(source, Path(geometry)) for source in sources)
    if parts:
        sources = tuple(in_part(source, part) for source, part in zip(sources, parts, strict=True))
    plan = BuildPlan(
        sources=sources,
        out=Path(out),
        columns=opened.columns,
        conversion=ConversionConfig(
            None
            if count is None
            else ConformerConfig(count, seed, timeout, relax=relax_steps > 0, relax_steps=relax_steps),
            source_coords,
        ),
        split=split,
        method=method,
        sizes=parse_sizes(split_sizes),
        seed=seed,
        workers=usable_cores() if workers is None else workers,
        strict=strict,
        limit=limit,
        overwrite=overwrite,
        rows_file=rows_file,
        geometry=None if geometry is None else Path(geometry),
        exclusion=read_exclusions(_paths(exclude), exclude_level, smiles_column, choose),
        parts=parts,
        descriptors=descriptors,
        ecfp=ecfp,
    )
    return run_build(plan, report)


def _report_columns(found: NumericColumns | None, choose: Callable[[str], None]) -> None:
    """Report which columns "all" takes, and why not the others."""
    if found is not None:
        shown = few_names([write_name(name) for name in found.taken])
        choose(f"targets: {len(found.taken)} columns of numbers: {shown}")
        if found.left_out:
            reasons = [f"{write_name(name)} ({reason})" for name, reason in found.left_out.items()]
            choose(f"not taken: {few_names(reasons)}")


def _several(given: Any) -> list[Any]:  # noqa: ANN401  one value or several
    return list(given) if isinstance(given, Iterable) and not isinstance(given, str) else [given]


def _paths(given: AnyPath | Sequence[AnyPath]) -> list[Path]:
    return [Path(path) for path in _several(given)]


def run_build(plan: BuildPlan, progress: Progress) -> BuildResult:
    """Build the stores of ``plan``, beginning with what an interrupted build of it has finished."""
    refuse_existing_stores(plan)
    _check_inputs(plan)
    started = time.monotonic()
    checksums = plan.checksums()
    work = work_of(plan)

    def note(line: str) -> None:
        progress(BuildProgress("note", line))

    with staging(plan, work_settings(plan, work, checksums), note) as stage:
        resumed = len(stage.rows)
        _finish_rows(plan, work, stage.rows, RowCounter(plan.sources, plan.limit, progress))
        result = _divide(plan, stage, resumed, checksums, started)
        result.write(stage.result / REPORT)
    return result


def _check_inputs(plan: BuildPlan) -> None:
    """Refuse, before the work, an input that lacks a column, or a list of rows for another table."""
    if len(plan.sources) > 1:
        for source in plan.sources:
            next(iter(source.again()), None)
    if plan.rows_file is not None and not plan.rows_file.key and plan.limit is None:
        table = plan.sources[0]
        plan.rows_file.check_count(sum(1 for _ in table.again()), table.name)


def _finish_rows(plan: BuildPlan, work: BuildWork, finished: FinishedRows, counter: RowCounter) -> None:
    """Have the outcome of every row in ``finished``."""
    counter.report(finished)
    if len(finished):
        counter.report_resumed(finished)
    if plan.strict:  # rows of an earlier command without --strict
        _refuse_rejected(finished.rejections())
    read = islice(chain.from_iterable(plan.sources), plan.limit)
    rows = read if plan.rows_file is None else without_excluded(read, plan.rows_file)
    chunks = (
        (number, chunk) for number, chunk in enumerate(chunks_of(rows, work.chunk)) if number not in finished
    )
    for number, outcomes in work_on(chunks, work, plan.workers):
        if plan.strict:
            _refuse_rejected(outcome for outcome in outcomes if isinstance(outcome, Rejected))
        finished.add(number, outcomes)
        counter.report(finished)
    finished.sync()


def _refuse_rejected(rows: Iterable[Rejected]) -> None:
    for bad in rows:
        raise MoleblendError(
            f"{bad.source}:{bad.row} is rejected ({bad.reason}): {bad.text[:200]!r}; "
            "correct the row or leave out --strict"
        )


def _divide(
    plan: BuildPlan, stage: Stage, resumed: int, checksums: dict[str, str], started: float
) -> BuildResult:
    """Finished rows to the stores of their parts and the lists, counted on the way."""
    finished, folder, settings = stage.rows, stage.result, plan.settings()
    tally = Tally(plan.columns.targets, resumed)
    for bad in finished.rejections():
        tally.reject(bad)
    for row in finished.exclusions():
        tally.rows[row.source] += 1
        tally.excluded[row.cause] += 1
    parts = assign_parts(plan, finished)
    if plan.descriptors:
        settings["descriptors"] = descriptor_settings(finished, parts)
    if plan.ecfp:
        settings["ecfp"] = ecfp_settings(TOOLKIT) | {"probe": probe_ecfp()}
    with StoreWriters(folder, plan, settings, checksums) as writers:
        for part, molecule in zip(parts, finished.molecules(), strict=True):
            tally.add(PARTS[part], molecule)
            writers.add(PARTS[part], molecule)
        _refuse_nothing(plan, tally)
        splits = writers.counts(tally.rejected)
    write_rejected(folder / REJECTED, finished, plan.sources)
    return result_of(
        plan,
        tally,
        duplicates(finished, parts, plan.columns.targets),
        splits,
        write_split(folder / SPLIT_LIST, plan, finished, parts),
        settings,
        checksums,
        time.monotonic() - started,
    )


def _whole(name: str, number: SupportsIndex, least: int) -> int:
    """The number as an ``int``, NumPy's too."""
    if not isinstance(number, SupportsIndex) or index(number) < least:
        raise MoleblendError(f"--{name} {number}: give a whole number from {least}")
    return index(number)


def _refuse_nothing(plan: BuildPlan, tally: Tally) -> None:
    """Refuse a build without molecules, or with target columns but without any label."""
    names = ", ".join(source.name for source in plan.sources)
    if not tally.molecules:
        reasons = [f"{reason}: {count}" for reason, count in tally.rejected.most_common(3)]
        for cause, by in (("split", "the split"), ("list", "--exclude")):
            reasons += [f"excluded by {by}: {tally.excluded[cause]}"] if tally.excluded[cause] else []
        _, colon, detail = tally.first_reason.partition(": ")
        first = f"; the first one: {detail}" if colon else ""
        first += f"; {plan.method.name} holds {tally.unknown_words}" if len(tally.unknown_parts) > 1 else ""
        nothing = f"({'; '.join(reasons) or 'no rows'}{first})"
        if tally.excluded["list"] and not tally.rejected:
            raise NothingToBuild(f"no molecule of {names} is left {nothing}; give another --exclude")
        raise NothingToBuild(f"no row of {names} is a molecule {nothing}; check the column and file")
    if plan.columns.targets and not any(any(counts.values()) for counts in tally.labels.values()):
        columns = ", ".join(map(repr, plan.columns.targets[:5])) + (
            ", ..." if plan.columns.targets[5:] else ""
        )
        raise NothingToBuild(
            f"none of the {tally.molecules:,} molecules of {names} has a label in {columns}; check "
            "--target-columns, or leave it out for molecules without labels"
        )
