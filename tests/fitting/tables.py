"""Small tables for the tests of fits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

SMILES = tuple("C" * length + end for length in range(1, 11) for end in ("O", "N", "Cl", "c1ccccc1"))
"""40 molecules."""


def write_table(path: Path, columns: Mapping[str, Sequence[object]], separator: str = ",") -> Path:
    """A table of the columns, those of SMILES among them."""
    rows = [
        separator.join(columns),
        *(separator.join(map(str, row)) for row in zip(*columns.values(), strict=True)),
    ]
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path


def usual_table(path: Path, **more: Sequence[object]) -> Path:
    """40 molecules with names and a number each."""
    columns: dict[str, Sequence[object]] = {
        "id": [f"mol-{number}" for number in range(len(SMILES))],
        "smiles": SMILES,
        "logS": [round(-0.3 * len(text) + 0.01 * number, 3) for number, text in enumerate(SMILES)],
    }
    return write_table(path, columns | more)
