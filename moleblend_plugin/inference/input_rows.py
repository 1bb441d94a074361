"""Files of molecules as inference reads them: every row keeps its id and cells, molecule or not."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from itertools import islice
from typing import Any, Final

import numpy as np

from moleblend_plugin.chem.convert import ConversionConfig
from moleblend_plugin.chem.guarded import engine_for
from moleblend_plugin.chem.readers.beside import Beside
from moleblend_plugin.chem.readers.extra_columns import ExtraColumns
from moleblend_plugin.chem.readers.raw_row import RawRow
from moleblend_plugin.chem.readers.source import Source
from moleblend_plugin.chem.workers import convert_in_order
from moleblend_plugin.data.store.reader import MoleculeStore
from moleblend_plugin.inference.featurized import stored_as_here
from moleblend_plugin.schema import Float64Array, MoleculeRecord, Rejection

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


class Input:
    """Rows of a file of molecules, converted on the way by ``workers`` processes; iterate it once.

    A table keeps all its columns; of other files see :mod:`moleblend_plugin.chem.readers.beside`. Molecules
    of a store are taken as they are, and keep the ids that they have there.

    Args:
        source: the file (``inputs.open_molecules``).
        conversion: how its rows become molecules.
        workers: processes that convert.
        max_atoms: molecules with more heavy atoms are rows with a reason.
        featurizers: what molecules get besides: "descriptors", "ecfp"; those of a store keep their own if
            this RDKit made them.
        extra_descriptors: columns of the file that molecules get besides.
        canonical: whether molecules get their canonical SMILES; else that of the file.
        span: number of the first row that is wanted and of the one behind the last, ``None`` for the rest;
            rows before are read, since what a cell means may hang on cells before it.
        row_timeout: seconds after which a row is one with a reason, as is one that ends its process;
            ``None``: such a row ends the work.

    Attributes:
        source: as given; of a file that holds labels, asked for them where they are ``extra_descriptors``.
        header: names of the columns that rows bring.

    Raises:
        MoleblendError: the file cannot be read, or lacks a column.
    """

    def __init__(
        self,
        source: Source,
        conversion: ConversionConfig,
        workers: int = 1,
        max_atoms: int = MAX_ATOMS,
        featurizers: tuple[str, ...] = (),
        extra_descriptors: tuple[str, ...] = (),
        *,
        canonical: bool = True,
        span: tuple[int, int | None] = (0, None),
        row_timeout: float | None = None,
    ) -> None:
        self.source = source
        first, self._stop = span
        self._passed_over = [(0, first)]
        self._engine = engine_for(row_timeout)
        self._conversion = conversion
        self._workers = workers
        self._max_atoms = max_atoms
        self._featurizers = featurizers
        self._canonical = canonical
        self._passed = 0
        self._beside = Beside(source)
        self.header = self._beside.names
        self._extra: ExtraColumns | None = None
        if extra_descriptors:
            self._extra = ExtraColumns(source, self.header, extra_descriptors)
            self.source = self._extra.source

    def pass_over(self, spans: Sequence[tuple[int, int]]) -> None:
        """Have rows of ``spans`` (first, one behind the last; ascending) read, and no more done with them."""
        self._passed_over += spans

    def settings(self) -> dict[str, Any]:
        """What molecules depend on beside the file, plain values."""
        return {
            "columns": self.source.columns.settings(),
            "conversion": asdict(self._conversion),
            "featurizers": list(self._featurizers),
            "canonical": self._canonical,
            "max_atoms": self._max_atoms,
        }

    @property
    def notes(self) -> list[str]:
        """What a user should know about how the file was read, once it is."""
        return self.source.notes

    @cached_property
    def total(self) -> int | None:
        """Rows in all, where they are known or quickly counted."""
        return self.source.quick_count()

    def fraction_done(self, rows: int) -> float:
        """``rows`` that are done over all rows; where those are not known, as a share of what was read."""
        if self.total is not None:
            return rows / max(1, self.total)
        return self.source.fraction_read * rows / max(1, self._passed)

    def __iter__(self) -> Iterator[InputRow]:
        given: deque[tuple[tuple[str, ...], Float64Array | str | None]] = deque()
        held = self.source.format.holds_records
        rows = self._noting(given)
        results = (
            map(self._reader(), rows)
            if held
            else convert_in_order(
                *(rows, self._conversion, self._workers, self._featurizers),
                canonical=self._canonical,
                engine=self._engine,
            )
        )
        for result in results:
            cells, extra = given.popleft()
            if isinstance(result, Rejection):
                number = f"[{result.row}]" if held else f":{result.row}"
                yield InputRow(result.source + number, cells, None, result.reason)
            elif result.n_atoms > self._max_atoms:
                reason = f"more than {self._max_atoms} heavy atoms: {result.n_atoms}"
                yield InputRow(result.row_id, cells, None, reason)
            elif isinstance(extra, str):
                yield InputRow(result.row_id, cells, None, extra)
            elif extra is not None:
                yield InputRow(result.row_id, cells, replace(result, extra_descriptors=extra))
            else:
                yield InputRow(result.row_id, cells, result)

    def _reader(self) -> Callable[[RawRow | Rejection], MoleculeRecord | Rejection]:
        """Reads rows of a store."""
        if not self._featurizers:
            return _held
        as_here = stored_as_here(MoleculeStore(self.source.path), self._featurizers)

        def featurized(row: RawRow | Rejection) -> MoleculeRecord | Rejection:
            held = _held(row)
            return as_here(held) if isinstance(held, MoleculeRecord) else held

        return featurized

    def _noting(
        self, given: deque[tuple[tuple[str, ...], Float64Array | str | None]]
    ) -> Iterator[RawRow | Rejection]:
        """The rows, whose cells go to ``given`` as they pass, with their extra descriptors or why not."""
        spans = iter(self._passed_over)
        first, stop = next(spans)
        for number, row in enumerate(islice(self.source, self._stop)):
            self._passed += 1
            cells = self._beside.cells(row)
            while number >= stop:
                first, stop = next(spans, (sys.maxsize, sys.maxsize))
            if number >= first:
                continue
            given.append((cells, self._extra_of(row, cells)))
            yield row.bare() if isinstance(row, RawRow) else row

    def _extra_of(self, row: RawRow | Rejection, cells: tuple[str, ...]) -> Float64Array | str | None:
        """Extra descriptors of a row, or why there are none; ``None`` where none are wanted."""
        if self._extra is None:
            return None
        try:
            return self._extra.read(row, cells)
        except ValueError as error:
            return str(error)


def _held(row: RawRow | Rejection) -> MoleculeRecord | Rejection:
    """The molecule of a store's row, with the labels asked for."""
    if isinstance(row, Rejection):
        return row
    assert row.record is not None
    return replace(row.record, targets=np.array(row.targets, np.float64))
