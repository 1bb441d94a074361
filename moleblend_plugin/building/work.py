"""What a worker does with a chunk of rows, and which settings its outcomes depend on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Any, Final

import numpy as np

from moleblend_plugin.building.exclude import Exclusion
from moleblend_plugin.building.outcomes import Excluded, Molecule, Outcome, Rejected
from moleblend_plugin.building.plan import BuildPlan
from moleblend_plugin.chem.convert import TOOLKIT, ConversionConfig, convert
from moleblend_plugin.chem.identity.descriptors import DESCRIPTORS, stable_descriptors
from moleblend_plugin.chem.identity.exclusion import identity_of
from moleblend_plugin.chem.identity.likeness import written_identity
from moleblend_plugin.chem.identity.scaffold import scaffold_of
from moleblend_plugin.chem.identity.sparse_ecfp import sparse_ecfp4
from moleblend_plugin.chem.readers.raw_row import RawRow
from moleblend_plugin.chem.reading import pinned
from moleblend_plugin.data.store.record_codec import encode_record
from moleblend_plugin.schema import SCHEMA_VERSION, MoleculeRecord, Rejection
from moleblend_plugin.splits.methods import PART_WORDS, SplitMethod
from moleblend_plugin.version import __version__

_FORMAT: Final = 4
"""Of the folder that a build works in; a change makes older folders another plan's."""

Row = RawRow | Rejection | Excluded


@dataclass(frozen=True, slots=True)
class BuildWork:
    """Rows to their outcomes; sent to each worker once.

    Attributes:
        conversion: how a row becomes a record.
        method: of the split; decides whether molecules are grouped by scaffold or by the text of a column.
        key: column whose whole numbers a given split lists, or "".
        exclusion: molecules that are left out.
        descriptors: whether records get RDKit's descriptors.
        ecfp: whether they get ECFP4 counts.
    """

    conversion: ConversionConfig
    method: SplitMethod
    key: str
    exclusion: Exclusion
    descriptors: bool = False
    ecfp: bool = False

    @property
    def chunk(self) -> int:
        """Rows that are finished, sent and kept together: about a second of work."""
        if self.conversion.conformers is not None:
            return 8
        return 64 if self.descriptors else 256

    def __call__(self, rows: list[Row]) -> list[Outcome]:
        """Outcomes of ``rows``."""
        with pinned():  # once for all of them
            return [self._outcome(row) for row in rows]

    def _outcome(self, row: Row) -> Outcome:
        if isinstance(row, Excluded):
            return row
        if isinstance(row, Rejection):
            return Rejected(row.source, row.row, row.text, row.reason)
        # Before the work on conformers.
        if self.exclusion.identities and identity_of(row, self.exclusion.level) in self.exclusion.identities:
            return Excluded(row.source, row.row, "list")
        result = convert(row, self.conversion)
        if isinstance(result, Rejection):
            return Rejected(result.source, result.row, result.text, result.reason)
        if problem := self._problem_with(row.split):
            return Rejected(row.source, row.row, result.smiles, f"unknown split: {problem}", row.split)
        descriptors = stable_descriptors(result.smiles) if self.descriptors else None
        ecfp = sparse_ecfp4(result.smiles) if self.ecfp else None
        if result.descriptors is not descriptors or result.ecfp is not ecfp:
            # Also what a store brings, which may be of another RDKit.
            result = replace(result, descriptors=descriptors, ecfp=ecfp)
        if self.method.by_scaffold:
            return _molecule(result, scaffold_of(result.smiles, chiral=self.method.kind == "scaffold"))
        return _molecule(result, row.split)

    def _problem_with(self, text: str) -> str | None:
        """Why the text of a split column names no part."""
        if self.method.kind == "column":
            good, wanted = text.strip().lower() in PART_WORDS, "train, valid or test"
        else:
            good, wanted = not self.key or text.strip().lstrip("-").isdecimal(), "a whole number"
        return (
            None if good else f"column {(self.key or self.method.name)!r} holds {text[:40]!r}, not {wanted}"
        )


def _molecule(record: MoleculeRecord, group: str) -> Molecule:
    exact = blake2b(written_identity(record.smiles).encode(), digest_size=8).digest()
    return Molecule(
        record.source,
        record.row,
        group,
        record.n_atoms,
        int(record.coords is not None),
        record.coords_from,
        int(record.stereo_unknown),
        int.from_bytes(exact, "little") - (1 << 63),  # SQLite's integers have a sign
        np.ascontiguousarray(record.targets, "<f8").tobytes(),
        encode_record(record),
    )


def work_of(plan: BuildPlan) -> BuildWork:
    """What the workers of ``plan`` do."""
    key = plan.rows_file.key if plan.rows_file else ""
    return BuildWork(plan.conversion, plan.method, key, plan.exclusion, plan.descriptors, plan.ecfp)


def work_settings(plan: BuildPlan, work: BuildWork, checksums: dict[str, str]) -> dict[str, Any]:
    """What the outcomes of rows depend on, plain values: where these agree, finished rows are taken over.

    The division into parts (sizes, seed, which folds) is not among them: it is made last.
    """
    key = plan.rows_file.key if plan.rows_file else ""
    return {
        "format": _FORMAT,
        "chunk": work.chunk,
        "inputs": checksums,
        "columns": plan.columns.settings(),
        "conversion": plan.conversion.settings(),
        "scaffolds": plan.method.kind if plan.method.by_scaffold else None,
        "split_text": [plan.method.name if plan.method.kind == "column" else "", key],
        "geometry": plan.geometry.name if plan.geometry else None,
        "excluded": [plan.exclusion.level, plan.excluded_sha256] if plan.exclusion.identities else None,
        "parts_of_files": plan.parts_of_files,
        "split_rows": plan.rows_file.sha256 if plan.rows_file else None,
        "limit": plan.limit,
        "descriptors": list(DESCRIPTORS) if plan.descriptors else None,
        "ecfp": plan.ecfp,
        "schema_version": SCHEMA_VERSION,
        "package_version": __version__,
        "toolkit": TOOLKIT,
    }
