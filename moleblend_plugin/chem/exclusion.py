"""Molecules that a build leaves out, such as those that a model will be tested on.

Two molecules are the same when their canonical SMILES without stereochemistry and isotopes agree, so that
a held-out molecule is not met as another stereoisomer either.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from rdkit import Chem, rdBase

from moleblend_plugin.chem.convert import ConversionConfig, convert
from moleblend_plugin.chem.rows import RawRow
from moleblend_plugin.chem.scaffold import stereo_free
from moleblend_plugin.schema import MoleculeRecord, Rejection

_GRAPH_ONLY = ConversionConfig(conformers=None, source_coords=False)


@dataclass(frozen=True, slots=True)
class Excluded:
    """What is left out.

    Attributes:
        identities: :func:`identity_of` of the molecules.
        unreadable: rows of the list that are no molecules.
    """

    identities: frozenset[str] = frozenset()
    unreadable: int = 0


def identity_of(row: RawRow) -> str:
    """The molecule of ``row``, whatever its stereochemistry; "" where it is none."""
    record = convert(row, _GRAPH_ONLY)
    return identity_of_smiles(record.smiles) if isinstance(record, MoleculeRecord) else ""


def identity_of_smiles(smiles: str) -> str:
    """The same of a SMILES that RDKit reads."""
    with rdBase.BlockLogs():
        return stereo_free(Chem.MolFromSmiles(smiles))


def excluded_from(rows: Iterable[RawRow | Rejection]) -> Excluded:
    """The molecules of ``rows``."""
    found = [identity_of(row) if isinstance(row, RawRow) else "" for row in rows]
    return Excluded(frozenset(filter(None, found)), found.count(""))
