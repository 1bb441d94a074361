"""``--exclude``: lists of molecules in any format that build reads, our stores and built folders too."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from moleblend_plugin.chem.readers.source import Columns, Source
from moleblend_plugin.chem.readers.tables import is_table, read_cells
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.inputs import expand_folders, open_molecules


@dataclass(frozen=True, slots=True)
class Exclusion:
    """All lists of a build.

    Attributes:
        level: at which molecules are the same (``chem.identity.likeness``).
        identities: of the molecules of all lists.
        files: what each list holds, plain values for the report.
    """

    level: str = "connectivity"
    identities: frozenset[str] = frozenset()
    files: tuple[dict[str, Any], ...] = ()


def read_exclusions(
    paths: list[Path], level: str, smiles_column: str, say: Callable[[str], None]
) -> Exclusion:
    """Molecules of the files of ``--exclude``.

    Args:
        paths: tables, SDF, npz, files of Uni-Mol, our stores, or folders of either.
        level: one of ``chem.identity.likeness.LEVELS``.
        smiles_column: of the build's own inputs; taken in a table that has a column of that name.
        say: told what each list holds.

    Raises:
        MoleblendError: an unknown level, or a file that cannot be read or holds no molecule.
    """
    from moleblend_plugin.chem.identity.exclusion import check_level, excluded_from

    check_level(level)
    identities: frozenset[str] = frozenset()
    files = []
    for path in expand_folders(paths):
        listed = excluded_from(_list(path, smiles_column), level)
        if not listed.identities:
            raise MoleblendError(
                f"--exclude {path} holds no molecule ({listed.unreadable:,} rows that are none); check the "
                "file"
            )
        bad = f"; {listed.unreadable:,} rows are no molecules" if listed.unreadable else ""
        say(f"exclude: {len(listed.identities):,} molecules of {path}{bad} (level {level})")
        identities |= listed.identities
        files.append(
            {"file": path.name, "molecules": len(listed.identities), "unreadable": listed.unreadable}
        )
    return Exclusion(level, identities, tuple(files))


def _list(path: Path, smiles_column: str) -> Source:
    """The file, by the build's column of SMILES where it is a table that has it too."""
    source = open_molecules(path)
    if smiles_column and is_table(source) and smiles_column in next(read_cells(source.again()), []):
        return source.asking(Columns(smiles_column))
    return source
