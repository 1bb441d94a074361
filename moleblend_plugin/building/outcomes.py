"""What becomes of a row: a molecule, a rejection or an exclusion. Plain tuples, for processes and SQLite."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np

from moleblend_plugin.schema import Float64Array


class Molecule(NamedTuple):
    """A row that is a molecule: all that dividing and counting need, and the record as it will be stored.

    Attributes:
        source: name of its file.
        row: its number there.
        group: what decides its part: text of the split column, or the scaffold.
        n_atoms: heavy atoms.
        with_3d: 1 where there are coordinates, else 0.
        coords_from: where they come from.
        stereo_unknown: 1 where the source leaves open what stereochemistry the molecule has, else 0.
        identity: 64-bit hash of the molecule, equal for equal molecules.
        targets: labels as float64 bytes.
        value: the encoded record.
    """

    source: str
    row: int
    group: str
    n_atoms: int
    with_3d: int
    coords_from: str
    stereo_unknown: int
    identity: int
    targets: bytes
    value: bytes

    @property
    def labels(self) -> Float64Array:
        """``targets`` as numbers, float64 [T]."""
        return labels_from_bytes(self.targets)


class Rejected(NamedTuple):
    """A row that is none.

    Attributes:
        source: name of its file.
        row: its number there.
        text: what stands there.
        reason: ``kind`` or ``kind: detail``.
        unknown_part: text of its split column, where it is rejected because that names no part.
    """

    source: str
    row: int
    text: str
    reason: str
    unknown_part: str | None = None


class Excluded(NamedTuple):
    """A row that is left out because the user wants so.

    Attributes:
        source: name of its file.
        row: its number there.
        cause: a given split has it in no part, or ``--exclude`` lists its molecule.
    """

    source: str
    row: int
    cause: Literal["split", "list"]


Outcome = Molecule | Rejected | Excluded


def labels_from_bytes(targets: bytes) -> Float64Array:
    """Labels of their float64 bytes, [T]."""
    return np.frombuffer(targets, "<f8")
