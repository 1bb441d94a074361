"""What a build writes: the stores of its parts and rejected.csv.

``rejected.csv`` tells of each row its id, what stood there and the reason, then what the input says beside
its molecules: names, titles, data items, columns. A column of the input that is called as one of ours
gets ``_`` behind its name.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Final, NamedTuple, Protocol

from moleblend_plugin.building.finished_rows import FinishedRows
from moleblend_plugin.building.outcomes import Molecule
from moleblend_plugin.building.terms import BuildTerms
from moleblend_plugin.chem.readers.beside import cells_of, free_name
from moleblend_plugin.chem.readers.source import Source
from moleblend_plugin.chem.readers.tables import is_table
from moleblend_plugin.data.store.writer import StoreWriter
from moleblend_plugin.schema import PARTS

REPORT: Final = "build_report.json"
REJECTED: Final = "rejected.csv"


class Writers(Protocol):
    """What writes the stores of a build; a context manager."""

    def __enter__(self) -> Writers:
        """Begin."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Have the stores in their places, or nothing."""

    def add(self, part: str, molecule: Molecule) -> None:
        """Take in the next molecule, of all, for the store of ``part``."""

    def counts(self, rejected: Counter[str]) -> dict[str, int]:
        """Molecules by part; called last, with the rejected rows by reason."""


class StoreWriters:
    """The stores of one build, each opened with its first record. A context manager like StoreWriter."""

    def __init__(self, folder: Path, terms: BuildTerms, settings: dict[str, Any]) -> None:
        self.folder = folder
        self.terms = terms
        self.settings = settings
        self.writers: dict[str, StoreWriter] = {}
        self._stack = ExitStack()

    def __enter__(self) -> StoreWriters:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def add(self, part: str, molecule: Molecule) -> None:
        """Append a molecule to the store of ``part``."""
        if part not in self.writers:
            writer = StoreWriter(
                self.folder / f"{part}.lmdb",
                settings=self.settings,
                sources=self.terms.checksums,
                target_names=self.terms.targets,
                split=part,
            )
            self.writers[part] = self._stack.enter_context(writer)
        self.writers[part].add_encoded(molecule.value, molecule.n_atoms)

    def counts(self, rejected: Counter[str]) -> dict[str, int]:
        """Molecules by part; called last, it gives every store the ``rejected`` rows by reason."""
        for writer in self.writers.values():
            writer.rejected.update(rejected)
        return {part: len(self.writers[part]) for part in PARTS if part in self.writers}


class RejectedCells(NamedTuple):
    """What an input says beside its rejected rows.

    Attributes:
        names: of its columns that ``rejected.csv`` takes.
        cells: of every rejected row, by its number, under all names of the file.
    """

    names: tuple[str, ...]
    cells: dict[int, dict[str, str]]


def rejected_cells(rows: FinishedRows, sources: Sequence[Source]) -> dict[str, RejectedCells]:
    """Of each input that has rejected rows, by its name; it is read once more.

    Raises:
        MoleblendError: an input cannot be read any more.
    """
    wanted: dict[str, set[int]] = {}
    for bad in rows.rejections():
        wanted.setdefault(bad.source, set()).add(bad.row)
    held = {}
    for source in sources:
        if source.name in wanted:
            names, found = cells_of(source, wanted[source.name])
            cells = {row: dict(zip(names, texts, strict=True)) for row, texts in found.items()}
            # The first column of a file that is no table is what "input" quotes: SMILES or title.
            held[source.name] = RejectedCells(names if is_table(source) else names[1:], cells)
    return held


def write_rejected(path: Path, rows: FinishedRows, beside: dict[str, RejectedCells]) -> None:
    """Write ``rejected.csv`` of the rejected ``rows``, with what the inputs say ``beside`` them."""
    columns: dict[str, str] = {}  # of the inputs, by what they are called here
    header = ["row_id", "input", "reason"]
    for found in beside.values():
        for name in found.names:
            if name not in columns.values():
                columns[free_name(name, [*header, *columns])] = name
    with path.open("w", newline="", encoding="utf-8") as file:
        out = csv.writer(file)
        out.writerow([*header, *columns])
        for bad in rows.rejections():
            held = beside[bad.source].cells.get(bad.row, {}) if bad.source in beside else {}
            ours = (f"{bad.source}:{bad.row}", bad.text, bad.reason)
            out.writerow([*ours, *(held.get(name, "") for name in columns.values())])
