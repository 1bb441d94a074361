"""Splits of a build: rows that are left out, the part of every molecule, and ``split.json``."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from itertools import compress
from pathlib import Path

from moleblend_plugin.building.finished_rows import FinishedRows
from moleblend_plugin.building.outcomes import Excluded, Molecule
from moleblend_plugin.building.plan import BuildPlan
from moleblend_plugin.building.terms import BuildTerms
from moleblend_plugin.building.work import Row
from moleblend_plugin.chem.readers.raw_row import RawRow
from moleblend_plugin.schema import PARTS, Rejection
from moleblend_plugin.splits.given_rows import RowsFile
from moleblend_plugin.splits.methods import PART_WORDS, SplitMethod
from moleblend_plugin.splits.split_list import EXCLUDED, write_split_list


def without_excluded(rows: Iterable[RawRow | Rejection], split: RowsFile) -> Iterator[Row]:
    """``rows`` with an exclusion for each that a given split has in no part.

    Asked before chemistry: such a row may be no molecule.
    """
    for row in rows:
        yield Excluded(row.source, row.row, "split") if _is_excluded(row, split) else row


def _is_excluded(row: RawRow | Rejection, split: RowsFile) -> bool:
    if not split.key:
        return not split.part_of(row.row)
    try:
        return isinstance(row, RawRow) and not split.part_of(int(row.split))
    except ValueError:  # the key is no number: the row is rejected later, with that reason
        return False


def assign_parts(plan: BuildPlan, rows: FinishedRows) -> bytes:
    """Part (index into ``PARTS``) of every molecule, a byte each, in the order of their rows."""
    if plan.method.needs_all:
        return parts_of_all(plan.method, plan.sizes, plan.seed, rows)
    return parts_of_rows(plan, rows)


def parts_of_all(method: SplitMethod, sizes: tuple[float, ...], seed: int, rows: FinishedRows) -> bytes:
    """The same, for a method that must know all molecules before the first is placed."""
    # One reference per molecule waits in memory, to one string per scaffold.
    groups = [sys.intern(group) for group in rows.column("group")]
    return bytes(method.parts(groups, sizes, seed))


def parts_of_rows(plan: BuildPlan, rows: FinishedRows) -> bytes:
    """The same, for a method that decides row by row."""
    if plan.method.kind in ("column", "files"):
        return bytes(PARTS.index(PART_WORDS[group.strip().lower()]) for group in rows.column("group"))
    if plan.rows_file is not None:
        numbers = rows.column("group" if plan.rows_file.key else "row")
        return bytes(PARTS.index(plan.rows_file.part_of(int(number))) for number in numbers)
    return bytes(rows.counts[Molecule])


def joined_parts(terms: BuildTerms, rows: FinishedRows) -> bytes:
    """The same, of the rows of joined pieces: their group is their part already, or what decides it."""
    if terms.method.needs_all:
        return parts_of_all(terms.method, terms.sizes, terms.seed, rows)
    return bytes(map(PARTS.index, rows.column("group")))


def write_split(path: Path, terms: BuildTerms, rows: FinishedRows, parts: bytes) -> str:
    """Write ``split.json`` (``splits.split_list``), from ``rows``, so that memory does not grow.

    Args:
        path: the file.
        terms: of the build.
        rows: finished rows.
        parts: part of every molecule (:func:`assign_parts`).

    Returns:
        The hash of the split.
    """

    def row_ids(part: str) -> Iterator[str]:
        if part == EXCLUDED:
            return (f"{row.source}:{row.row}" for row in rows.exclusions())
        number = PARTS.index(part)
        if number not in parts:
            return iter(())
        return compress(rows.column("row_id"), map(number.__eq__, parts))

    return write_split_list(path, terms.method.kind, terms.split_settings, row_ids)
