"""Files of molecules as inference reads them: every row keeps its id and cells, molecule or not."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Final, Protocol

from moleblend_plugin.chem.convert import ConversionConfig
from moleblend_plugin.chem.readers import beside
from moleblend_plugin.chem.readers.columns import has_columns
from moleblend_plugin.chem.readers.formats import open_source
from moleblend_plugin.chem.readers.raw_row import RawRow
from moleblend_plugin.chem.readers.source import Columns, Source
from moleblend_plugin.chem.readers.tables import is_table, read_cells
from moleblend_plugin.chem.workers import convert_in_order
from moleblend_plugin.data.store.reader import DamagedValue, MoleculeStore
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.schema import MoleculeRecord, Rejection

MAX_ATOMS: Final = 512
"""Heavy atoms of the largest molecule that is given to a network unless asked otherwise: at 512 the pairs of
one molecule take about a gigabyte in the largest preset, and memory grows with their square."""


_COUNT_BYTES: Final = 16 << 20
"""Inputs up to this size (16 MiB) are read through once to count their rows for the progress."""


@dataclass(frozen=True, slots=True)
class InputRow:
    """One row of an input.

    Attributes:
        row_id: ``file:row``, rows counted from 0.
        cells: what the row says in the columns of :attr:`Input.header`.
        record: the molecule, or ``None``.
        reason: why there is no molecule, else "".
    """

    row_id: str
    cells: tuple[str, ...]
    record: MoleculeRecord | None
    reason: str = ""


class Input(Protocol):
    """Rows of a file, read while they are needed; iterate it once."""

    header: tuple[str, ...]
    """Names of the columns that rows bring."""

    def __iter__(self) -> Iterator[InputRow]:
        """Every row, in order."""

    @property
    def notes(self) -> list[str]:
        """What a user should know about how the file was read, once it is."""

    @property
    def fraction_read(self) -> float:
        """How far reading has come, 0 to 1; it runs ahead of the rows given out."""

    @property
    def total(self) -> int | None:
        """Rows in all, where they are known or quickly counted."""

    def fraction_done(self, rows: int) -> float:
        """How far the work has come, 0 to 1, when so many rows are done."""


class StoreInput:
    """Molecules of a store, as they are; a damaged one is a row with its reason."""

    header: tuple[str, ...] = ("smiles",)

    def __init__(self, store: MoleculeStore, max_atoms: int = MAX_ATOMS) -> None:
        self._store = store
        self.target_names: tuple[str, ...] = tuple(store.meta.target_names)
        self._max_atoms = max_atoms
        self._read = 0

    @property
    def notes(self) -> list[str]:
        """Nothing: a store is as it is."""
        return []

    @property
    def fraction_read(self) -> float:
        """Rows read over rows."""
        return self._read / max(1, len(self._store))

    @property
    def total(self) -> int:
        """Molecules of the store."""
        return len(self._store)

    def fraction_done(self, rows: int) -> float:
        """``rows`` over all rows."""
        return rows / max(1, len(self._store))

    def __iter__(self) -> Iterator[InputRow]:
        for index in range(len(self._store)):
            self._read = index + 1
            try:
                record = self._store[index]
            except DamagedValue as damage:
                yield InputRow(f"{self._store.path.name}[{index}]", ("",), None, f"damaged row: {damage}")
                continue
            yield _checked(record, (record.smiles,), self._max_atoms)


class FileInput:
    """Rows of a file of molecules, converted on the way by ``workers`` processes.

    A table keeps all its columns; of other files see :mod:`moleblend_plugin.chem.readers.beside`.

    Raises:
        MoleblendError: the file cannot be read.
    """

    def __init__(
        self, source: Source, conversion: ConversionConfig, workers: int = 1, max_atoms: int = MAX_ATOMS
    ) -> None:
        self._source = source
        self._conversion = conversion
        self._workers = workers
        self._max_atoms = max_atoms
        self._passed = 0
        self.target_names: tuple[str, ...] = source.columns.targets  # of records; a table's are in its cells
        self._cells: Iterator[list[str]] | None = None
        if is_table(self._source):
            self._cells = read_cells(open_source(source.path, source.columns))
            self.header = tuple(next(self._cells))
        else:
            self._columns = beside.Columns(source.without_targets() if self.target_names else source)
            self.header = self._columns.names

    @property
    def notes(self) -> list[str]:
        """What a user should know about how the file was read."""
        return self._source.notes

    @property
    def fraction_read(self) -> float:
        """Bytes or rows read."""
        return self._source.fraction_read

    @cached_property
    def total(self) -> int | None:
        """Rows, counted where the file is small."""
        if self._source.n_bytes > _COUNT_BYTES:
            return None
        return sum(1 for _ in self._source.again())

    def fraction_done(self, rows: int) -> float:
        """``rows`` over all rows; where those are not known, as a share of what was read."""
        if self.total is not None:
            return rows / max(1, self.total)
        return self.fraction_read * rows / max(1, self._passed)

    def __iter__(self) -> Iterator[InputRow]:
        given: deque[tuple[str, ...]] = deque()
        for result in convert_in_order(self._noting(given), self._conversion, self._workers):
            cells = given.popleft()
            if isinstance(result, Rejection):
                yield InputRow(f"{result.source}:{result.row}", cells, None, result.reason)
            else:
                yield _checked(result, cells, self._max_atoms)

    def _noting(self, given: deque[tuple[str, ...]]) -> Iterator[RawRow | Rejection]:
        """The rows, whose cells go to ``given`` as they pass."""
        for row in self._source:
            self._passed += 1
            if self._cells is not None:
                given.append(beside.fit(next(self._cells), len(self.header)))
            else:
                given.append(self._columns.cells(row))
            yield row.bare() if isinstance(row, RawRow) else row


def open_input(
    path: str | Path,
    conversion: ConversionConfig,
    workers: int = 1,
    smiles_column: str = "",
    max_atoms: int = MAX_ATOMS,
    labels: Columns | None = None,
) -> Input:
    """A store (``.lmdb``) as it is, or any file that ``moleblend build`` reads.

    Args:
        path: the file.
        conversion: how rows of a file become molecules.
        workers: processes that convert.
        smiles_column: column of SMILES in a table; "" looks for a usual name.
        max_atoms: molecules with more heavy atoms are rows with a reason.
        labels: columns of labels, which the molecules then bring as targets, read as a build reads them;
            files without named columns and stores are read without.

    Raises:
        MoleblendError: no such file, format or column.
    """
    file = Path(path)
    if file.suffix == ".lmdb":
        if smiles_column:
            raise MoleblendError(f"--smiles-column {smiles_column!r}: {file} is a store; leave it out")
        return StoreInput(MoleculeStore(file), max_atoms)
    columns = Columns(smiles=smiles_column)
    if labels is not None and has_columns(file):
        columns = replace(labels, smiles=smiles_column)
    return FileInput(open_source(file, columns), conversion, workers, max_atoms)


def _checked(record: MoleculeRecord, cells: tuple[str, ...], max_atoms: int) -> InputRow:
    if record.n_atoms > max_atoms:
        return InputRow(record.row_id, cells, None, f"more than {max_atoms} heavy atoms: {record.n_atoms}")
    return InputRow(record.row_id, cells, record)
