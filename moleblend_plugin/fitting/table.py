"""The table as molecules with labels: what can be trained on, and what is rejected and why.

Legend: n rows that are kept, T targets.
"""

from __future__ import annotations

import csv
import math
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from moleblend_plugin.chem.convert import ConversionConfig
from moleblend_plugin.chem.readers.beside import free_name
from moleblend_plugin.chem.readers.label_text import LabelReader, LabelRules, has_decimal_commas
from moleblend_plugin.chem.readers.raw_row import RawRow
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.files import replacing
from moleblend_plugin.fitting.class_counts import check_several, check_two
from moleblend_plugin.fitting.descriptor_columns import read_descriptors
from moleblend_plugin.fitting.held_rows import HeldRows, hold_rows
from moleblend_plugin.fitting.label_columns import ColumnContent, choose_targets, look_at, uncensored
from moleblend_plugin.fitting.options import FitOptions
from moleblend_plugin.fitting.task_type import task_type
from moleblend_plugin.inference.conversion import new_conversion
from moleblend_plugin.inference.estimators.molecules import convert_all
from moleblend_plugin.inference.input_rows import MAX_ATOMS
from moleblend_plugin.label_kinds import ColumnKind
from moleblend_plugin.names import write_name
from moleblend_plugin.schema import Float64Array, LabelKind, MoleculeRecord, Rejection

FEWEST: Final = 10
"""Molecules with a label that a fit needs."""


class FitTable(NamedTuple):
    """Molecules with labels.

    Attributes:
        held: all rows of the files.
        kept: int64 [n], places among them of the rows that can be used.
        records: [n] molecules, with their labels.
        labels: [n, T], NaN where one is missing.
        names: T of them.
        kind: "regression", "classification", "multiclass" or "mixed".
        kinds: of every target.
        weights: [n], or ``None``.
        descriptors: [n, X], the columns that models read beside the molecule, NaN where one is missing.
        rejected: the other rows, by place, with the reason.
        classes: by target, the words that were read as classes.
        notes: what was guessed, a line each.
        options: the options, with what was found in place of what was left open.
        class_names: of "multiclass", what the K classes are called; labels are their places.
    """

    held: HeldRows
    kept: npt.NDArray[np.int64]
    records: list[MoleculeRecord]
    labels: Float64Array
    names: tuple[str, ...]
    kind: LabelKind
    kinds: tuple[ColumnKind, ...]
    weights: Float64Array | None
    descriptors: Float64Array
    rejected: dict[int, str]
    classes: dict[str, dict[str, float]]
    notes: tuple[str, ...]
    options: FitOptions
    class_names: tuple[str, ...] = ()

    @property
    def classes_of(self) -> list[bool]:
        """Whether a target is classes, T."""
        return [kind != "regression" for kind in self.kinds]

    @property
    def read_beside(self) -> tuple[str, ...]:
        """Names of the X columns that models read beside the molecule."""
        return self.options.descriptors_columns

    @property
    def row_ids(self) -> list[str]:
        """[n]."""
        return [self.held.row_id(place) for place in self.kept.tolist()]

    @property
    def smiles(self) -> list[str]:
        """[n]."""
        return [record.smiles for record in self.records]

    def column(self, name: str) -> list[str]:
        """Cells [n] of a column."""
        cells = self.held.column(name)
        return [cells[place] for place in self.kept.tolist()]


def read_table(options: FitOptions, jobs: int) -> FitTable:
    """Read the files of a fit.

    Args:
        options: what is asked for.
        jobs: processes that convert molecules.

    Raises:
        MoleblendError: a file or column that is not there, a question that the user must answer, or too few
            molecules with labels.
    """
    held = hold_rows(options.data, options.valid, options.test, options.smiles_column)
    rules = LabelRules(options.missing_label, options.positive, options.negative)
    _check_special(held, options)
    contents = _contents(held, options, rules)
    names, note = (held.held, "") if held.held else choose_targets(contents, options.targets, options.data)
    chosen = {name: contents[name] for name in names}
    found = task_type(chosen, options.task, rules)
    rejected: dict[int, str] = {
        place: row.reason for place, row in enumerate(held.rows) if isinstance(row, Rejection)
    }
    numbers, reader, more = _labels(held, names, chosen, found.rules, options, rejected)
    weights = _weights(held, options.weights_column, rejected)
    descriptors, told = read_descriptors(held, options, rejected)
    records = _records(held, options, jobs, rejected)
    kept = np.array([place for place in range(len(held.rows)) if place not in rejected], np.int64)
    labels = numbers[kept]
    classes = [place for place, kind in enumerate(found.kinds) if kind == "classification"]
    check_two(labels[:, classes], [names[place] for place in classes])
    if found.classes:
        more.append(check_several(labels[:, 0], names[0], found.classes))
    resolved = replace(
        options,
        targets=names,
        smiles_column=held.smiles_column,
        task=found.kind,
        positive=found.rules.positive,
        negative=found.rules.negative,
    )
    smiles = f"column of SMILES: {write_name(held.smiles_column)}" if held.smiles_column else ""
    notes = [
        *([smiles] if not options.smiles_column and smiles else []),
        note,
        *found.notes,
        *more,
        *told,
        *held.notes,
    ]
    if len(kept) < FEWEST:
        raise MoleblendError(_too_few(options.data, len(kept), rejected))
    return FitTable(
        held,
        kept,
        [
            replace(records[place], targets=labels[row], extra_descriptors=own)
            for row, (place, own) in enumerate(zip(kept.tolist(), _rows_of(descriptors[kept]), strict=True))
        ],
        labels,
        names,
        found.kind,
        found.kinds,
        None if weights is None else weights[kept],
        descriptors[kept],
        rejected,
        reader.classes,
        tuple(dict.fromkeys(each for each in notes if each)),
        resolved,
        found.classes,
    )


def write_rejected(path: Path, table: FitTable) -> None:
    """Write ``rejected.csv``: row id, what stood there, the reason, and all columns of the row."""
    header = ["row_id", "input", "reason"]
    columns: list[str] = []
    for name in table.held.header:
        columns.append(free_name(name, [*header, *columns]))
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        out = csv.writer(file, lineterminator="\n")
        out.writerow([*header, *columns])
        for place, reason in sorted(table.rejected.items()):
            row = table.held.rows[place]
            shown = row.text if isinstance(row, Rejection) else row.shown
            out.writerow([table.held.row_id(place), shown, reason, *table.held.cells[place]])


def reasons(rejected: dict[int, str]) -> Counter[str]:
    """Rejected rows by kind of reason."""
    return Counter(reason.partition(":")[0] for reason in rejected.values())


def _rows_of(descriptors: Float64Array) -> list[Float64Array | None]:
    """What each record gets of them; ``None`` where there are no columns."""
    return list(descriptors) if descriptors.shape[1] else [None] * len(descriptors)


def _check_special(held: HeldRows, options: FitOptions) -> None:
    flags = ("weights", "group", "date", "split")
    named = [(f"--{flag}-column", getattr(options, f"{flag}_column")) for flag in flags]
    named += [("--descriptors-columns", name) for name in options.descriptors_columns]
    for flag, name in named:
        if name and name not in held.header:
            raise MoleblendError(
                f"{flag}: {options.data} has no column {name!r} (columns: {', '.join(held.header[:30])})"
            )
    special = [*options.special_columns, held.smiles_column]
    twice = next((name for name in options.descriptors_columns if special.count(name) > 1), None)
    if twice is not None:
        raise MoleblendError(
            f"--descriptors-columns: {twice!r} is named for another purpose too: name it once"
        )
    both = set(options.special_columns) & set(options.targets)
    if both:
        raise MoleblendError(f"--target {both.pop()!r} is named for another purpose too: name it once")


def _contents(held: HeldRows, options: FitOptions, rules: LabelRules) -> dict[str, ColumnContent]:
    """What the columns hold that may be labels; of those that the user named, no others are looked at."""
    if held.held:
        values = {
            name: [row.targets[n] for row in held.rows if isinstance(row, RawRow)]
            for n, name in enumerate(held.held)
        }
        return {
            name: look_at(name, [f"{value:g}" for value in column], rules) for name, column in values.items()
        }
    taken = {held.smiles_column, "", *options.special_columns}
    names = [name for name in held.header if name not in taken and held.header.count(name) == 1]
    if not held.smiles_column:
        names = names[1:]  # the SMILES or the title of what is no table
    if options.targets and set(options.targets) <= set(names):
        names = [name for name in names if name in options.targets]
    return {name: look_at(name, held.column(name), rules) for name in names}


def _labels(
    held: HeldRows,
    names: tuple[str, ...],
    contents: dict[str, ColumnContent],
    rules: LabelRules,
    options: FitOptions,
    rejected: dict[int, str],
) -> tuple[Float64Array, LabelReader, list[str]]:
    """Labels [all rows, T], who read them, and notes; rows without a readable label go to ``rejected``."""
    notes: list[str] = []
    numbers = np.full((len(held.rows), len(names)), np.nan)
    if held.held:
        for place, row in enumerate(held.rows):
            if isinstance(row, RawRow):
                numbers[place] = row.targets
        if rules.classes:
            known = ~np.isnan(numbers)
            numbers[known] = np.searchsorted(np.array(rules.classes, np.float64), numbers[known])
    columns = [] if held.held else [held.column(name) for name in names]
    for n, name in enumerate(() if held.held else names):
        censored = contents[name].censored
        if censored and options.censored == "refuse":
            first = next(cell for cell in columns[n] if cell and cell[0] in "<>\u2264\u2265=")
            raise MoleblendError(
                f"column {write_name(name)} holds {censored:,} bounds, such as {first!r}: give --censored "
                "drop "
                "to leave such labels out, or --censored value to take the numbers as they stand"
            )
        if censored:
            what = "left out" if options.censored == "drop" else "taken as the numbers that stand there"
            notes.append(f"{censored:,} bounds such as > and < in {write_name(name)} are {what}")
            columns[n] = uncensored(columns[n], options.censored)
    comma = frozenset(name for name, cells in zip(names, columns, strict=False) if has_decimal_commas(cells))
    reader = LabelReader(names, replace(rules, decimal_comma=comma))
    notes += [f"decimal commas in {write_name(name)}: 1,5 is read as 1.5" for name in sorted(comma)]
    for place, cells in enumerate(zip(*columns, strict=True)):
        if place in rejected:
            continue
        try:
            numbers[place] = reader.read(cells)
        except ValueError as error:
            rejected[place] = str(error)
    for place in np.flatnonzero(np.isnan(numbers).all(1)).tolist():
        rejected.setdefault(place, f"no label in {', '.join(map(write_name, names[:5]))}")
    return numbers, reader, notes


def _weights(held: HeldRows, name: str, rejected: dict[int, str]) -> Float64Array | None:
    """Weights [all rows]; a row without a number of 0 or more is rejected."""
    if not name:
        return None
    found = np.zeros(len(held.rows))
    for place, cell in enumerate(held.column(name)):
        try:
            found[place] = float(cell)
        except ValueError:
            found[place] = math.nan
        if not (math.isfinite(found[place]) and found[place] >= 0):
            rejected.setdefault(
                place, f"weight is no number of 0 or more: column {name!r} holds {cell[:40]!r}"
            )
    if not found[[place for place in range(len(found)) if place not in rejected]].any():
        raise MoleblendError(f"--weights-column {name}: no row counts more than 0")
    return found


def _records(
    held: HeldRows, options: FitOptions, jobs: int, rejected: dict[int, str]
) -> dict[int, MoleculeRecord]:
    """Molecules by place; a row that is none is rejected."""
    places = [place for place in range(len(held.rows)) if place not in rejected]
    rows = [_bare(held.rows[place]) for place in places]
    records: dict[int, MoleculeRecord] = {}
    for place, result in zip(places, convert_all(rows, conversion_of(options), jobs), strict=True):
        if isinstance(result, Rejection):
            rejected[place] = result.reason
        elif result.n_atoms > MAX_ATOMS:
            rejected[place] = f"more than {MAX_ATOMS} heavy atoms: {result.n_atoms}"
        else:
            records[place] = result
    return records


def conversion_of(options: FitOptions) -> ConversionConfig:
    """How rows become molecules, as the estimators do it."""
    return new_conversion(options.input_mode, conformer_method=options.conformer_method)


def _bare(row: RawRow | Rejection) -> RawRow:
    assert isinstance(row, RawRow)
    return replace(row.bare(), targets=())


def _too_few(data: str, count: int, rejected: dict[int, str]) -> str:
    listed = "; ".join(f"{reason}: {number:,}" for reason, number in reasons(rejected).most_common(3))
    example = next(iter(rejected.values()), "")
    more = f" (rejected: {listed}; the first: {example})" if listed else ""
    return f"{data} has {count} molecules with labels{more}: a fit needs {FEWEST} or more"
