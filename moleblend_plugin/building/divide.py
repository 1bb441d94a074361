"""Splits of a build: rows that are left out, the part of every molecule, and ``split.json``."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from itertools import compress
from pathlib import Path

from moleblend_plugin.building.finished_rows import FinishedRows
from moleblend_plugin.building.outcomes import Excluded, Molecule
from moleblend_plugin.building.plan import BuildPlan
from moleblend_plugin.building.work import Row
from moleblend_plugin.chem.readers.raw_row import RawRow
from moleblend_plugin.schema import PARTS, Rejection
from moleblend_plugin.splits.given_rows import RowsFile
from moleblend_plugin.splits.methods import PART_WORDS
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
    kind = plan.method.kind
    if plan.method.needs_all:
        # One reference per molecule waits in memory, to one string per scaffold.
        groups = [sys.intern(group) for group in rows.column("group")]
        return bytes(plan.method.parts(groups, plan.sizes, plan.seed))
    if kind in ("column", "files"):
        return bytes(PARTS.index(PART_WORDS[group.strip().lower()]) for group in rows.column("group"))
    if plan.rows_file is not None:
        numbers = rows.column("group" if plan.rows_file.key else "row")
        return bytes(PARTS.index(plan.rows_file.part_of(int(number))) for number in numbers)
    return bytes(rows.counts[Molecule])


def write_split(path: Path, plan: BuildPlan, rows: FinishedRows, parts: bytes) -> str:
    """Write ``split.json`` (``splits.split_list``), from ``rows``, so that memory does not grow.

    Args:
        path: the file.
        plan: the build.
        rows: finished rows.
        parts: :func:`assign_parts` its molecules.

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

    return write_split_list(path, plan.method.kind, plan.split_settings(), row_ids)
