"""What a source yields before chemistry: one small, picklable value per row of the input."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


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
    """

    source: str
    row: int
    text: str
    kind: Literal["smiles", "molblock"]
    targets: tuple[float, ...] = ()
    split: str = ""

    @property
    def shown(self) -> str:
        """How reports quote the row: the SMILES, or the title of the mol block."""
        if self.kind == "smiles":
            return self.text
        return self.text.partition("\n")[0].strip() or "(untitled record)"
