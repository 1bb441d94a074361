"""Labels of an input's rows, for scores: from a store's targets, or from the columns of a file.

Legend: T targets of a model.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from moleblend_plugin.chem.readers.label_text import LabelReader, LabelRules
from moleblend_plugin.chem.readers.source import Columns, Source
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.inference.input_rows import Input, InputRow
from moleblend_plugin.inputs import open_molecules
from moleblend_plugin.label_kinds import ColumnKind
from moleblend_plugin.names import closest_name
from moleblend_plugin.schema import Float64Array

LabelsOf = Callable[[InputRow], Float64Array]
"""Labels [T] of a row, NaN where one is missing; raises ``ValueError`` where a cell is none."""


def open_labelled(path: Path, columns: Columns) -> Source:
    """An input whose rows bring labels: all that it holds with its molecules, else those of its columns.

    A file without named columns is read without. What is missing in a store was decided when it was built.

    Raises:
        MoleblendError: as ``open_molecules``.
    """
    source = open_molecules(path, Columns(columns.smiles))
    if source.format.held_labels is not None:
        columns = Columns() if source.format.holds_records else columns
        return source.asking(replace(columns, targets=source.format.held_labels(source.path)))
    return source.asking(columns) if source.format.has_columns else source


def labels_of(
    rows: Input,
    targets: Sequence[str],
    columns: Sequence[str],
    file: str,
    class_names: Sequence[str] = (),
) -> LabelsOf:
    """Where the labels of a model's targets stand in an input.

    Args:
        rows: the input.
        targets: names of the model's targets.
        columns: columns that hold their labels, in that order; none: those of the targets' names.
        file: the input's name, for messages.
        class_names: of a target with several classes. A store has their numbers, from 0, or the numbers that
            they are called by.

    Raises:
        MoleblendError: it has no such columns, or not as many as the model has targets.
    """
    names = list(columns or targets)
    if len(names) != len(targets):
        raise MoleblendError(
            f"--target-columns names {len(names)} columns, but the model has {len(targets)} targets "
            f"({', '.join(targets)}): name one for each, in this order"
        )
    held = list(rows.source.columns.targets)
    if rows.source.format.held_labels is not None:
        what = "the store" if rows.source.format.holds_records else "the file"
        return _of_records(_places(names, held, file, what), class_names)
    places = _places(names, list(rows.header), file, "the file")
    if held:
        return _of_records(list(range(len(names))))
    labels = LabelReader(names, LabelRules(classes=tuple(class_names)))

    def read(row: InputRow) -> Float64Array:
        return np.array(labels.read([row.cells[place] for place in places]), np.float64)

    return read


def check_labels(
    labels: Float64Array,
    row_id: str,
    names: Sequence[str],
    kinds: Sequence[ColumnKind],
    class_names: Sequence[str] = (),
) -> None:
    """Refuse labels [T] that are no classes where a model's targets are.

    Raises:
        MoleblendError: one is neither 0, 1 nor missing, or of several classes none of theirs.
    """
    if class_names:
        label, count = float(labels[0]), len(class_names)
        if not (np.isnan(label) or (label.is_integer() and 0 <= label < count)):
            raise MoleblendError(
                f"{row_id}: the label of {names[0]!r} is {label:g}, but the model distinguishes {count} "
                f"classes ({', '.join(class_names[:12])}), in a store 0 to {count - 1}: give such labels"
            )
        return
    is_class = np.array([kind == "classification" for kind in kinds])
    odd = is_class & ~(np.isnan(labels) | (labels == 0) | (labels == 1))
    if odd.any():
        place = int(np.flatnonzero(odd)[0])
        raise MoleblendError(
            f"{row_id}: the label of {names[place]!r} is {labels[place]:g}, but the model distinguishes "
            "class 1 from class 0: give labels 0 and 1, or a model of regression"
        )


def _of_records(places: list[int], class_names: Sequence[str] = ()) -> LabelsOf:
    code_of = dict(zip(class_names, range(len(class_names)), strict=True))

    def read(row: InputRow) -> Float64Array:
        if row.record is None:
            return np.full(len(places), np.nan)
        labels = row.record.targets[places]
        if class_names and f"{labels[0]:g}" in code_of:  # the class 3 may be the first of a model
            return np.array([code_of[f"{labels[0]:g}"]], np.float64)
        return labels

    return read


def _places(names: list[str], there: list[str], file: str, what: str) -> list[int]:
    if not there:
        raise MoleblendError(f"{file} holds no labels: build it with --target-columns, or name a table")
    for name in names:
        if name in there:
            continue
        close = closest_name(name, there)
        hint = f" (did you mean {close!r}?)" if close else ""
        shown = ", ".join(there[:30]) + (f" and {len(there) - 30} more" if len(there) > 30 else "")
        raise MoleblendError(
            f"{file} has no labels {name!r}{hint}; {what} has {shown}: name the columns with --target-columns"
        )
    return [there.index(name) for name in names]
