"""``--exclude``: lists of molecules in any format that build reads, our stores and built folders too."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from moleblend_plugin.building.inputs import expand_folders, is_unimol, open_inputs
from moleblend_plugin.errors import MoleblendError

if TYPE_CHECKING:
    from moleblend_plugin.chem.readers.raw_row import RawRow
    from moleblend_plugin.chem.readers.source import Source
    from moleblend_plugin.data.store.reader import MoleculeStore
    from moleblend_plugin.schema import MoleculeRecord, Rejection


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
    paths: list[Path], level: str, smiles_column: str, choose: Callable[[str], None]
) -> Exclusion:
    """Molecules of the files of ``--exclude``.

    Args:
        paths: tables, SDF, npz, files of Uni-Mol, our stores, or folders of either.
        level: one of ``chem.identity.likeness.LEVELS``.
        smiles_column: of the build's own inputs; taken in a table that has a column of that name.
        choose: hears what each list holds.

    Raises:
        MoleblendError: an unknown level, or a file that cannot be read or holds no molecule.
    """
    from moleblend_plugin.chem.identity.exclusion import check_level, excluded_from

    check_level(level)
    identities: frozenset[str] = frozenset()
    files = []
    for path in expand_folders(paths):
        listed = excluded_from(_rows(path, smiles_column), level)
        if not listed.identities:
            raise MoleblendError(
                f"--exclude {path} holds no molecule ({listed.unreadable:,} rows that are none); check the "
                "file"
            )
        bad = f"; {listed.unreadable:,} rows are no molecules" if listed.unreadable else ""
        choose(f"exclude: {len(listed.identities):,} molecules of {path}{bad} (level {level})")
        identities |= listed.identities
        files.append(
            {"file": path.name, "molecules": len(listed.identities), "unreadable": listed.unreadable}
        )
    return Exclusion(level, identities, tuple(files))


def _rows(path: Path, smiles_column: str) -> Iterator[RawRow | Rejection | MoleculeRecord]:
    from moleblend_plugin.chem.readers.formats import open_source
    from moleblend_plugin.chem.readers.source import Columns
    from moleblend_plugin.data.store.reader import MoleculeStore, NotAStore

    if not is_unimol(path):
        source = open_source(path)
        yield from open_source(path, Columns(smiles=_column(source, smiles_column)))
        return
    try:
        store = MoleculeStore(path)
    except NotAStore:
        (source,), _ = open_inputs([path], Columns())
        yield from source
    else:
        yield from _records(store)


def _column(source: Source, wanted: str) -> str:
    """The build's column of SMILES where this table has it too."""
    from moleblend_plugin.chem.readers.tables import is_table, read_cells

    return wanted if wanted and is_table(source) and wanted in next(read_cells(source), []) else ""


def _records(store: MoleculeStore) -> Iterator[MoleculeRecord | Rejection]:
    """Records of a store; a damaged one is a rejection."""
    from moleblend_plugin.data.store.reader import DamagedValue
    from moleblend_plugin.schema import Rejection

    for index in range(len(store)):
        try:
            yield store[index]
        except DamagedValue as damage:
            yield Rejection(store.path.name, index, "", f"damaged row: {damage}")
