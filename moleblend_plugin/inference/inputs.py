"""Files of molecules as inference reads them: every row keeps its id and cells, molecule or not."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Final, Protocol

from moleblend_plugin.chem.convert import ConversionConfig
from moleblend_plugin.chem.rows import RawRow
from moleblend_plugin.chem.source_tables import is_table, read_cells
from moleblend_plugin.chem.sources import Columns, Rows, Source, open_source
from moleblend_plugin.chem.workers import Outcome, Task, convert_in_order
from moleblend_plugin.data.store import DamagedValue, MoleculeStore
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.schema import MoleculeRecord, Rejection

MAX_ATOMS: Final = 512
"""Heavy atoms of the largest molecule that is given to a network unless asked otherwise: at 512 the pairs of
one molecule take about a gigabyte in the largest preset, and memory grows with their square."""


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


class StoreInput:
    """Molecules of a store, as they are; a damaged one is a row with its reason."""

    header: tuple[str, ...] = ("smiles",)

    def __init__(self, store: MoleculeStore, max_atoms: int = MAX_ATOMS) -> None:
        self._store = store
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

    A table keeps all its columns; any other file has its ``smiles`` or ``title`` as given.

    Raises:
        MoleblendError: the file cannot be read.
    """

    def __init__(
        self, source: Source, conversion: ConversionConfig, workers: int = 1, max_atoms: int = MAX_ATOMS
    ) -> None:
        self._source = source
        self._task = Task(conversion)
        self._workers = workers
        self._max_atoms = max_atoms
        self._cells: Iterator[list[str]] | None = None
        if is_table(self._source):
            self._cells = read_cells(open_source(source.path, source.columns))
            self.header = tuple(next(self._cells))
        else:
            self._first, self._rows = _peek(iter(self._source))
            smiles = isinstance(self._first, RawRow) and self._first.kind == "smiles"
            self.header = ("smiles",) if smiles else ("title",)

    @property
    def notes(self) -> list[str]:
        """What a user should know about how the file was read."""
        return self._source.notes

    @property
    def fraction_read(self) -> float:
        """Bytes or rows read."""
        return self._source.fraction_read

    def __iter__(self) -> Iterator[InputRow]:
        rows = iter(self._source) if self._cells is not None else self._rows
        given: deque[str] = deque()
        for outcome in convert_few_or_many(_noting(rows, given), self._task, self._workers):
            text, result = given.popleft(), outcome.result
            cells = (text,) if self._cells is None else self._fit(next(self._cells))
            if isinstance(result, Rejection):
                yield InputRow(f"{result.source}:{result.row}", cells, None, result.reason)
            else:
                yield _checked(result, cells, self._max_atoms)

    def _fit(self, cells: list[str]) -> tuple[str, ...]:
        """Cells under the header, also of a row with too few or too many."""
        width = len(self.header)
        return (*cells[:width], *[""] * (width - len(cells)))


def open_input(
    path: str | Path,
    conversion: ConversionConfig,
    workers: int = 1,
    smiles_column: str = "",
    max_atoms: int = MAX_ATOMS,
) -> Input:
    """A store (``.lmdb``) as it is, or any file that ``moleblend build`` reads.

    Args:
        path: the file.
        conversion: how rows of a file become molecules.
        workers: processes that convert.
        smiles_column: column of SMILES in a table; "" looks for a usual name.
        max_atoms: molecules with more heavy atoms are rows with a reason.

    Raises:
        MoleblendError: no such file, format or column.
    """
    file = Path(path)
    if file.suffix == ".lmdb":
        if smiles_column:
            raise MoleblendError(f"--smiles-column {smiles_column!r}: {file} is a store; leave it out")
        return StoreInput(MoleculeStore(file), max_atoms)
    return FileInput(open_source(file, Columns(smiles=smiles_column)), conversion, workers, max_atoms)


def convert_few_or_many(rows: Iterable[RawRow | Rejection], task: Task, workers: int) -> Iterator[Outcome]:
    """:func:`convert_in_order`, in this process where the rows are fewer than a worker's first portion."""
    source = iter(rows)
    first = list(islice(source, task.chunk + 1))
    few = len(first) <= task.chunk
    return convert_in_order(chain(first, source), task, 1 if few else workers)


def _checked(record: MoleculeRecord, cells: tuple[str, ...], max_atoms: int) -> InputRow:
    if record.n_atoms > max_atoms:
        return InputRow(record.row_id, cells, None, f"more than {max_atoms} heavy atoms: {record.n_atoms}")
    return InputRow(record.row_id, cells, record)


def _peek(rows: Rows) -> tuple[RawRow | Rejection | None, Iterator[RawRow | Rejection]]:
    """The first row, and all of them."""
    first = next(rows, None)
    return first, rows if first is None else chain([first], rows)


def _noting(rows: Iterable[RawRow | Rejection], given: deque[str]) -> Iterator[RawRow | Rejection]:
    """``rows``, whose texts go to ``given`` as they pass."""
    for row in rows:
        given.append(row.shown if isinstance(row, RawRow) else row.text)
        yield row
