"""Kinds of columns of labels: of a run with several, each has its own.

``schema.LabelKind`` is the kind of a whole run.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

from moleblend_plugin.schema import LabelKind

ColumnKind = Literal["classification", "multiclass", "regression"]
"""What the labels of one column are: classes 0 and 1, one of several classes 0, 1, 2 ..., or values."""

MOST_CLASSES: Final = 1000
"""Classes that a column of "multiclass" may have: a larger number is no class, but a value or an id."""

Kinds = LabelKind | tuple[ColumnKind, ...]
"""What functions over columns take: one kind of all columns, which is not "mixed", or one of each."""


def each_kind(kinds: Kinds, columns: int) -> tuple[ColumnKind, ...]:
    """The kind of each of some columns.

    Raises:
        ValueError: "mixed", which does not say which, or another number of columns.
    """
    if isinstance(kinds, str):
        if kinds == "mixed":
            raise ValueError("mixed columns need a kind each")
        return (kinds,) * columns
    if len(kinds) != columns:
        raise ValueError(f"{len(kinds)} kinds for {columns} columns")
    return kinds


def kind_of_all(kinds: Sequence[ColumnKind]) -> LabelKind:
    """The kind of a run with these columns, one or more."""
    return kinds[0] if len(set(kinds)) == 1 else "mixed"
