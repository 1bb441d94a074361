"""Codes and their decoders: atoms, bonds, degrees, path lengths.

The value lists are the Open Graph Benchmark's (``ogb.utils.features``, MIT licence); a test compares
them. Two layers of codes exist and only this file converts between them:

* *stored* codes are OGB's own, 0-based;
* *batch* codes are shifted by one where 0 must mean padding.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from typing import Final, Generic, TypeVar

V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class Feature(Generic[V]):
    """One categorical feature: value <-> 0-based code. ``misc`` marks a last, catch-all code."""

    name: str
    values: tuple[V, ...]
    misc: bool = False

    @property
    def size(self) -> int:
        """Number of codes."""
        return len(self.values) + self.misc

    def encode(self, value: V) -> int:
        """Code of ``value``; the catch-all code for an unknown value, ``ValueError`` without one."""
        try:
            return self.values.index(value)
        except ValueError:
            if self.misc:
                return len(self.values)
            raise ValueError(f"{self.name} has no code for {value!r}") from None

    def decode(self, code: int) -> V | str:
        """Value of ``code``, or ``"misc"``."""
        if not 0 <= code < self.size:
            raise ValueError(f"{self.name} codes go from 0 to {self.size - 1}, got {code}")
        return "misc" if code == len(self.values) else self.values[code]


ATOM_FEATURES: Final[tuple[Feature[int] | Feature[str] | Feature[bool], ...]] = (
    Feature("atomic_number", tuple(range(1, 119)), misc=True),
    Feature(
        "chirality", ("CHI_UNSPECIFIED", "CHI_TETRAHEDRAL_CW", "CHI_TETRAHEDRAL_CCW", "CHI_OTHER"), misc=True
    ),
    Feature("degree", tuple(range(11)), misc=True),
    Feature("formal_charge", tuple(range(-5, 6)), misc=True),
    Feature("n_hydrogens", tuple(range(9)), misc=True),
    Feature("n_radical_electrons", tuple(range(5)), misc=True),
    Feature("hybridisation", ("SP", "SP2", "SP3", "SP3D", "SP3D2"), misc=True),
    Feature("is_aromatic", (False, True)),
    Feature("is_in_ring", (False, True)),
)
CIP_LABELS: Final = Feature("chirality", ("none", "R", "S", "r", "s or other"))
"""What the second of these columns says in a store of today: the label of Cahn, Ingold and Prelog, in the
rows of OGB's feature. "other" is a stereocentre that has no label, and one that is not tetrahedral."""

CHIRALITY: Final = 1
"""Column of ``ATOM_FEATURES`` that holds one or the other (``schema.InputCodes``)."""

ATOM_SIZES: Final = tuple(feature.size for feature in ATOM_FEATURES)
ATOM_OFFSETS: Final = tuple(accumulate(ATOM_SIZES, initial=0))[:-1]
"""Row of a batch atom code in one joint table: ``offset[f] + code`` (code >= 1, row 0 is padding)."""
ATOM_ROWS: Final = 1 + sum(ATOM_SIZES)

BOND_FEATURES: Final[tuple[Feature[str] | Feature[bool], ...]] = (
    Feature("bond_type", ("SINGLE", "DOUBLE", "TRIPLE", "AROMATIC"), misc=True),
    Feature("stereo", ("STEREONONE", "STEREOZ", "STEREOE", "STEREOCIS", "STEREOTRANS", "STEREOANY")),
    Feature("is_conjugated", (False, True)),
)
N_TYPE, N_STEREO, N_CONJUGATED = (feature.size for feature in BOND_FEATURES)


@dataclass(frozen=True, slots=True)
class CappedCount:
    """Batch code of a count 0..``largest``: ``count + 1``; larger counts share the last code."""

    name: str
    largest: int
    unreachable: int | None = None
    pad: int = 0

    @property
    def size(self) -> int:
        """Number of table rows, padding and unreachable included."""
        return (self.largest + 1 if self.unreachable is None else self.unreachable) + 1

    def encode(self, count: int | None) -> int:
        """Code of ``count``; ``None`` means no path."""
        if count is None:
            if self.unreachable is None:
                raise ValueError(f"{self.name} has no code for a missing value")
            return self.unreachable
        if count < 0:
            raise ValueError(f"{self.name} counts start at 0, got {count}")
        return min(count, self.largest) + 1

    def decode(self, code: int) -> int | None:
        """Count of ``code``; ``None`` for unreachable. ``ValueError`` for padding or beyond the table."""
        if not 1 <= code < self.size:
            raise ValueError(f"{self.name} codes go from 1 to {self.size - 1}, got {code}")
        return None if code == self.unreachable else code - 1


SPD: Final = CappedCount("spd", largest=253, unreachable=255)
"""Shortest-path length: 1..254 stand for 0..253 and longer, 255 for another fragment, 0 for padding."""

DEGREE: Final = CappedCount("degree", largest=15)
"""Number of heavy neighbours: 1..16 stand for 0..15 and more, 0 for padding."""


@dataclass(frozen=True, slots=True)
class BondVocabulary:
    """Batch code of a bond on a path: type x stereo x conjugated as one byte, 0 where there is no bond."""

    pad: int = 0

    @property
    def size(self) -> int:
        """Number of table rows, "no bond" included (61)."""
        return 1 + N_TYPE * N_STEREO * N_CONJUGATED

    def encode(self, bond_type: int, stereo: int, conjugated: int) -> int:
        """Code 1..60 of three OGB bond codes."""
        for feature, code in zip(BOND_FEATURES, (bond_type, stereo, conjugated), strict=True):
            feature.decode(code)  # raises for a code out of range
        return 1 + (bond_type * N_STEREO + stereo) * N_CONJUGATED + conjugated

    def decode(self, code: int) -> tuple[int, int, int]:
        """OGB codes (type, stereo, conjugated) of ``code``."""
        if not 1 <= code < self.size:
            raise ValueError(f"bond codes go from 1 to {self.size - 1}, got {code}")
        rest, conjugated = divmod(code - 1, N_CONJUGATED)
        bond_type, stereo = divmod(rest, N_STEREO)
        return bond_type, stereo, conjugated


BOND: Final = BondVocabulary()


@dataclass(frozen=True, slots=True)
class EdgeClasses:
    """Classes of the edge head: 24 = type 4 x stereo 3 x conjugated 2 (method 4).

    Other bonds and the stereo codes cis, trans and any have no class; the published code let them
    alias the classes of other bonds. ``ignored`` marks what the loss leaves out.
    """

    n_type: int = 4
    n_stereo: int = 3
    ignored: int = -100

    @property
    def size(self) -> int:
        """Number of classes."""
        return self.n_type * self.n_stereo * N_CONJUGATED

    def encode(self, bond_code: int) -> int:
        """Class of a batch bond code, or ``ignored`` (no bond, or outside the 24)."""
        if bond_code == BOND.pad:
            return self.ignored
        bond_type, stereo, conjugated = BOND.decode(bond_code)
        if bond_type >= self.n_type or stereo >= self.n_stereo:
            return self.ignored
        return (bond_type * self.n_stereo + stereo) * N_CONJUGATED + conjugated

    def decode(self, edge_class: int) -> int:
        """Batch bond code of a class."""
        if not 0 <= edge_class < self.size:
            raise ValueError(f"edge classes go from 0 to {self.size - 1}, got {edge_class}")
        rest, conjugated = divmod(edge_class, N_CONJUGATED)
        bond_type, stereo = divmod(rest, self.n_stereo)
        return BOND.encode(bond_type, stereo, conjugated)

    def table(self) -> list[int]:
        """Class of every batch bond code, for a tensor look-up: [BOND.size]."""
        return [self.encode(code) for code in range(BOND.size)]


EDGE_CLASSES: Final = EdgeClasses()


@dataclass(frozen=True, slots=True)
class SpdClasses:
    """Classes of the spd head: d = 1..10, then 11 and longer. The diagonal and no path have none."""

    size: int = 11
    ignored: int = -100

    def encode(self, spd_code: int) -> int:
        """Class of a batch spd code, or ``ignored``."""
        if spd_code == SPD.pad:
            return self.ignored
        distance = SPD.decode(spd_code)
        return self.ignored if not distance else min(distance, self.size) - 1

    def decode(self, spd_class: int) -> int:
        """Batch spd code of a class; the last class decodes to its shortest member."""
        if not 0 <= spd_class < self.size:
            raise ValueError(f"spd classes go from 0 to {self.size - 1}, got {spd_class}")
        return SPD.encode(spd_class + 1)

    def table(self) -> list[int]:
        """Class of every batch spd code, for a tensor look-up: [SPD.size]."""
        return [self.encode(code) for code in range(SPD.size)]


SPD_CLASSES: Final = SpdClasses()
