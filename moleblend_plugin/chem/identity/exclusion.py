"""Molecules that a build leaves out, such as those that a model will be tested on.

Two molecules are the same when their texts agree at a level of ``likeness``: ``connectivity``, the default,
so that a held-out molecule is not met as another stereoisomer either; ``exact``; or ``parent``, so that it is
not met as a salt. Texts are made anew from every list, whatever version of RDKit wrote it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from moleblend_plugin.chem.convert import ConversionConfig, convert
from moleblend_plugin.chem.identity.likeness import LEVELS, identity
from moleblend_plugin.chem.readers.raw_row import RawRow
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.schema import MoleculeRecord, Rejection

_GRAPH_ONLY = ConversionConfig(conformers=None, source_coords=False)

DEFAULT_LEVEL = "connectivity"


@dataclass(frozen=True, slots=True)
class ExcludedMolecules:
    """What is left out.

    Attributes:
        identities: :func:`identity_of` the molecules at the level.
        unreadable: rows of the list that are no molecules.
    """

    identities: frozenset[str] = frozenset()
    unreadable: int = 0


def check_level(level: str) -> str:
    """``level`` if it is one.

    Raises:
        MoleblendError: it is none.
    """
    if level not in LEVELS:
        raise MoleblendError(f"--exclude-level {level!r} is unknown; use {', '.join(LEVELS)}")
    return level


def identity_of(row: RawRow, level: str = DEFAULT_LEVEL) -> str:
    """The molecule of ``row`` at a level; "" where it is none."""
    record = row.record or convert(row, _GRAPH_ONLY)
    return identity(record.smiles, level) if isinstance(record, MoleculeRecord) else ""


def excluded_from(rows: Iterable[RawRow | Rejection], level: str = DEFAULT_LEVEL) -> ExcludedMolecules:
    """The molecules of ``rows``; a :class:`Rejection` counts as unreadable."""
    found: set[str] = set()
    unreadable = 0
    for row in rows:
        text = identity_of(row, level) if isinstance(row, RawRow) else ""
        if text:
            found.add(text)
        else:
            unreadable += 1
    return ExcludedMolecules(frozenset(found), unreadable)
