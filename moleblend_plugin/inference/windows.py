"""An input in windows: rows that are computed together, whichever rows a run begins with or leaves out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Final, NamedTuple, TypeVar

from moleblend_plugin.inference.input_rows import InputRow
from moleblend_plugin.schema import MoleculeRecord

OnRows = Callable[[int], None]
"""Called with the rows that are finished, as often as rows are read."""

FIRST: Final = 64
"""Rows of the first window."""
LARGEST: Final = 1024
"""Rows sorted together: enough to cut padding, few enough that progress is told now and then."""

_Result = TypeVar("_Result")


def in_windows(
    rows: Iterable[InputRow],
    results: Callable[[Iterable[MoleculeRecord]], Iterator[_Result]],
    progress: OnRows,
    largest: int = LARGEST,
    first: int = 0,
) -> Iterator[list[tuple[InputRow, _Result | None]]]:
    """All rows with their results, in order, a window at a time.

    The first windows are small, so that the first results are there early; each is twice the last. Which row
    falls into which window depends on nothing but its place, so results are the same in every run.

    Args:
        rows: the input; read as needed.
        results: the network's results for molecules, in their order.
        progress: told how many rows are finished, at every row that is read and after every window.
        largest: rows held in memory.
        first: place of the first of ``rows`` in the input, at which a window starts (:func:`window_at`).
    """
    source, size, finished = iter(rows), window_at(first, largest).size, 0
    while True:
        part = []
        for row in islice(source, size):
            part.append(row)
            progress(finished)
        if not part:
            return
        values = results([row.record for row in part if row.record is not None])
        yield [(row, None if row.record is None else next(values)) for row in part]
        finished += len(part)
        progress(finished)
        size = min(2 * size, largest)


Span = tuple[int, int | None]
"""Number of a first row and of the one behind the last, ``None`` for the rest of an input."""

ALL: Final[tuple[Span, ...]] = ((0, None),)


def in_spans(
    rows: Iterable[InputRow],
    results: Callable[[Iterable[MoleculeRecord]], Iterator[_Result]],
    progress: OnRows,
    largest: int,
    spans: Sequence[Span],
) -> Iterator[list[tuple[InputRow, _Result | None]]]:
    """The same of rows of ``spans`` alone, in their order; a window starts at the first row of each."""
    source, finished = iter(rows), 0

    def report(done: int) -> None:
        progress(finished + done)

    for first, stop in spans:
        part = source if stop is None else islice(source, stop - first)
        count = 0
        for window in in_windows(part, results, report, largest, first):
            count += len(window)
            yield window
        finished += count


class Window(NamedTuple):
    """Rows that are computed together: its first one, and how many there are."""

    start: int
    size: int


def window_at(row: int, largest: int = LARGEST) -> Window:
    """The window in which row number ``row`` of an input is."""
    start, size = 0, min(FIRST, largest)
    while size < largest and start + size <= row:
        start += size
        size = min(2 * size, largest)
    return Window(start + (row - start) // size * size, size)
