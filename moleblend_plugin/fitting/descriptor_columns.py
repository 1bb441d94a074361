"""Columns of a table that models read beside the molecule: numbers, and what is missing of them.

Legend: n rows, X columns.
"""

from __future__ import annotations

import numpy as np

from moleblend_plugin.chem.readers.extra_columns import ExtraCells
from moleblend_plugin.chem.readers.label_text import has_decimal_commas
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.fitting.held_rows import HeldRows
from moleblend_plugin.fitting.options import FitOptions
from moleblend_plugin.names import write_name
from moleblend_plugin.schema import Float64Array


def read_descriptors(
    held: HeldRows, options: FitOptions, rejected: dict[int, str]
) -> tuple[Float64Array, list[str]]:
    """Values [all rows, X], NaN where one is missing, and notes; a row with another text is rejected.

    Raises:
        MoleblendError: a column holds no number, or one number only.
    """
    names = options.descriptors_columns
    columns = [held.column(name) for name in names]
    comma = frozenset(name for name, cells in zip(names, columns, strict=True) if has_decimal_commas(cells))
    notes = [f"decimal commas in {write_name(name)}: 1,5 is read as 1.5" for name in sorted(comma)]
    reader = ExtraCells(names, options.missing_label, comma)
    values = np.full((len(held.rows), len(names)), np.nan)
    for place, cells in enumerate(zip(*columns, strict=True)):
        if place in rejected:
            continue
        try:
            values[place] = reader.read(cells)
        except ValueError as error:
            rejected[place] = str(error)
    kept = values[[place for place in range(len(values)) if place not in rejected]]
    for name, column in zip(names, kept.T, strict=True):
        known = column[~np.isnan(column)]
        if not len(known) or known.min() == known.max():
            what = "no number in any row that can be used" if not len(known) else f"{known[0]:g} in every row"
            raise MoleblendError(
                f"--descriptors-columns: {write_name(name)} holds {what}, which says nothing: leave it out"
            )
        missing = len(column) - len(known)
        if missing:
            notes.append(
                f"{write_name(name)} is missing in {missing:,} rows, which count as the mean of training"
            )
    return values, notes
