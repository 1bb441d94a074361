"""What a source yields before chemistry: one small, picklable value per row of the input."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

from moleblend_plugin.schema import Float32Array, MoleculeRecord


@dataclass(frozen=True, slots=True, eq=False)
class ListedAtoms:
    """Coordinates that a row lists beside its SMILES; the SMILES' atoms are found in the list by order.

    Attributes:
        symbols: element symbols [A], hydrogens among them or not.
        coords: float32 [C, A, 3] in Angstrom, or ``None``.
        problem: without coords, why.
    """

    symbols: tuple[str, ...]
    coords: Float32Array | None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class RawRow:
    """One row of an input file, not yet a molecule.

    Attributes:
        source: name of the file (no folder).
        row: 0-based number of the record in it.
        text: a SMILES, or an MDL mol block (up to ``M  END``).
        kind: which of the two.
        targets: labels in the order of the requested columns; NaN where missing.
        split: text of the split column, where one was asked for.
        listed: coordinates beside a SMILES, where the row brings them.
        expected: SMILES of the molecule that a mol block must be, where another file gives it.
        name: what stands behind the SMILES in a ``.smi``, its inner blanks kept.
        record: the molecule that a store holds, already converted; ``text`` is its SMILES.
        items: (name, value) of an SDF's data items or an ``.npz``'s arrays; conversion does not read them.
    """

    source: str
    row: int
    text: str
    kind: Literal["smiles", "molblock"]
    targets: tuple[float, ...] = ()
    split: str = ""
    listed: ListedAtoms | None = field(default=None, compare=False)
    expected: str = ""
    record: MoleculeRecord | None = field(default=None, compare=False)
    name: str = field(default="", compare=False)
    items: tuple[tuple[str, str], ...] = field(default=(), compare=False)

    def bare(self) -> RawRow:
        """The row without its name and items, for workers that only convert it."""
        return replace(self, name="", items=()) if self.name or self.items else self

    @property
    def shown(self) -> str:
        """How reports quote the row: the SMILES, or the title of the mol block."""
        if self.kind == "smiles" or self.expected:
            return self.expected or self.text
        return self.text.partition("\n")[0].strip() or "(untitled record)"
