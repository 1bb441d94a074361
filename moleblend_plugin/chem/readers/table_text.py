"""The one reader of tables: text -> header and rows of cells, or why a row cannot be taken apart.

``docs/tables.md`` states the rules. Cells follow RFC 4180 but where that would lose rows: of a quote that
is not closed in its line, the lines up to the closing quote are one row only where none of them is a sound
row by itself; else every line is its own row and the quote a letter.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Final, NamedTuple

from moleblend_plugin.chem.readers.cells import SEPARATORS, choose_separator, split_line, trimmed
from moleblend_plugin.chem.readers.text_files import LOST
from moleblend_plugin.chem.smiles_text import looks_like_smiles
from moleblend_plugin.errors import MoleblendError

USUAL_NAMES: Final = ("smiles", "canonical_smiles", "isomeric_smiles", "isosmiles", "smi", "mol")
"""Names of SMILES columns tried in this order (case does not matter) when none is given."""

_UNSEEN: Final = "".join(map(chr, (*range(33), 0xA0, 0x200B, 0x200E, 0x3000, 0xFEFF)))
"""Blanks around names, those that nobody sees too."""

LOOK_AHEAD: Final = 1000
"""Lines that decide the separator, and whether numbers have decimal commas."""

_MOST_LINES: Final = 500
"""Lines of one row, and of a header."""

_LONGEST_ROW: Final = 1 << 24
"""Characters of one row."""


class TableRow(NamedTuple):
    """One row.

    Attributes:
        line: number of its first line in the file, from 1.
        cells: as many as the header has, those that the row lacks empty; any number where there is a problem.
        given: how many the row has.
        problem: why it cannot be taken apart, or "".
        text: of such a row, its start.
    """

    line: int
    cells: list[str]
    given: int
    problem: str = ""
    text: str = ""


@dataclass
class Oddities:
    """What was met while reading, for people: number of the first line of a kind, and how many."""

    add_note: Callable[[str], None]
    comments: tuple[int, int] = (0, 0)
    short: tuple[int, int] = (0, 0)
    quotes: tuple[int, int] = (0, 0)

    def report(self) -> None:
        """Report all of them."""
        for (count, first), what in (
            (self.comments, "lines that begin with #, passed over"),
            (self.short, "lines with fewer cells than the header, those that they lack taken as empty"),
            (self.quotes, "lines whose quote does not close there, each read as a row of its own"),
        ):
            if count:
                self.add_note(f"has {what}: {count:,} (first: line {first})")


def _more(counted: tuple[int, int], line: int) -> tuple[int, int]:
    return counted[0] + 1, counted[1] or line


class Table:
    """A table whose header is read; iterate :meth:`rows` once.

    Args:
        lines: of the file, with their ends.
        shown: the file's name, for messages.
        separator: what the name says.
        smiles: name of the SMILES column, or "" for a usual one.
        add_note: called with what a user should know.

    Attributes:
        header: names of the columns, without the blanks around them.
        separator: the one that the file has.
        smiles: place of the SMILES column; ``None`` where there is none.
        first_lines: some rows' lines, without their ends.
        nested: types of columns that are left out: of text none.

    Raises:
        MoleblendError: there is no header, or it cannot be read.
    """

    def __init__(
        self, lines: Iterable[str], shown: str, separator: str, smiles: str, add_note: Callable[[str], None]
    ) -> None:
        self._shown = shown
        self._lines = enumerate(lines, 1)
        self._ahead: deque[tuple[int, str]] = deque()
        self._met = Oddities(add_note)
        number, first = self._first_line(smiles)
        if first.lower().startswith("sep=") and len(first) == 5:  # Excel's own
            separator = first[4]
            number, first = self._first_line(smiles)
        self._ahead.extend(islice(self._lines, LOOK_AHEAD))
        self.first_lines = [line.rstrip("\r\n") for _, line in self._ahead if not line.isspace()]
        self.separator = choose_separator(
            [first, *self.first_lines], separator, lambda cells: bool(smiles_places(cells, smiles))
        )
        if self.separator != separator:
            add_note(f"has its columns separated by {SEPARATORS[self.separator]}")
        self.header = self._header(number, first)
        self.nested: dict[str, str] = {}

    @property
    def first_rows(self) -> list[list[str]]:
        """Cells of some rows; none where no number there can have a decimal comma."""
        mark = '"' if self.separator == "," else ","
        if not any(mark in line for line in self.first_lines):
            return []
        return [split_line(line, self.separator, literal=True)[0] for line in self.first_lines]

    def rows(self, is_sound: Callable[[list[str]], bool]) -> Iterator[TableRow]:
        """Every row; blank lines and comments are none.

        Args:
            is_sound: whether cells, as many as the header's or fewer, make a whole row by themselves.
        """
        try:
            yield from self._rows(is_sound)
        finally:  # also where the caller stops early
            self._met.report()

    def _rows(self, is_sound: Callable[[list[str]], bool]) -> Iterator[TableRow]:
        separator, width, ahead = self.separator, len(self.header), self._ahead
        odd = f"#{separator}"
        while True:
            try:
                number, line = ahead.popleft() if ahead else next(self._lines)
            except StopIteration:
                break
            if '"' in line or "\0" in line or line[0] in odd or line[0].isspace() or len(line) > _LONGEST_ROW:
                row = self._odd(number, line.rstrip("\r\n"), is_sound)
                if row is not None:
                    yield row
                continue
            cells, _ = split_line(line.rstrip("\r\n"), separator)
            if len(cells) == width:
                yield TableRow(number, cells, width)
            elif any(cell.strip() for cell in cells):
                yield self._fitted(number, cells)

    def _first_line(self, smiles: str) -> tuple[int, str]:
        """The line of the header: the first that is neither blank nor a comment."""
        for number, line in self._lines:
            text = line.rstrip("\r\n").lstrip("\N{ZERO WIDTH NO-BREAK SPACE}")
            if not text.strip(" \t,;|"):
                continue
            if text.startswith("#"):
                bare = text.lstrip("# ")
                if not any(smiles_places(split_line(bare, each, True)[0], smiles) for each in SEPARATORS):
                    self._met.comments = _more(self._met.comments, number)
                    continue
                text = bare
            return number, text
        raise MoleblendError(f"{self._shown} is empty; expected a header line and rows")

    def _header(self, number: int, text: str) -> list[str]:
        cells, is_open = split_line(text, self.separator)
        for _ in range(_MOST_LINES):
            if not is_open or not self._ahead:
                break
            text += "\n" + self._ahead.popleft()[1].rstrip("\r\n")
            cells, is_open = split_line(text, self.separator)
        if is_open:
            raise MoleblendError(
                f"{self._shown}: the header opens a quote in line {number} that does not close; close it"
            )
        header = [column_name(cell) for cell in cells]
        if LOST in "".join(header):
            raise MoleblendError(
                f"{self._shown}: the header (line {number}) is in an encoding that is not known: save the "
                "file as UTF-8"
            )
        if "\0" in text:
            raise MoleblendError(
                f"{self._shown}: the header (line {number}) holds zero bytes: save it as text"
            )
        return header

    def _odd(self, number: int, text: str, is_sound: Callable[[list[str]], bool]) -> TableRow | None:
        """The row of a line that may be blank, a comment, quoted, or none of these."""
        if not any(cell.strip() for cell in split_line(text, self.separator, True)[0]):
            return None
        if len(text) > _LONGEST_ROW:
            return TableRow(
                number,
                [],
                0,
                f"line too long: line {number} has more than {_LONGEST_ROW:,} letters",
                text[:500],
            )
        if "\0" in text:
            bare = text.replace("\0", "")
            cells, _ = split_line(bare, self.separator, literal=True)
            return TableRow(number, cells, 0, f"zero byte: line {number}", bare[:500])
        if text.startswith("#") and not self._fits(text):
            self._met.comments = _more(self._met.comments, number)
            return None
        cells, is_open = split_line(text, self.separator)
        if not is_open:
            return self._fitted(number, cells)
        return self._joined(number, text, is_sound) or self._alone(number, text)

    def _fits(self, text: str) -> bool:
        return len(split_line(text, self.separator, literal=True)[0]) == len(self.header)

    def _joined(self, number: int, text: str, is_sound: Callable[[list[str]], bool]) -> TableRow | None:
        """The row of the lines that begin with ``text``; ``None``, and nothing read, where it is none."""
        taken: list[tuple[int, str]] = []
        found: TableRow | None = None
        whole = text
        for _ in range(_MOST_LINES):
            line = self._ahead.popleft() if self._ahead else next(self._lines, None)
            if line is None:
                break
            taken.append(line)
            plain = line[1].rstrip("\r\n")
            cells, _ = split_line(plain, self.separator, literal=True)
            cells = trimmed(cells, len(self.header))
            if len(cells) <= len(self.header) and is_sound(cells):
                break
            whole += "\n" + plain
            if '"' not in plain:
                continue
            cells, is_open = split_line(whole, self.separator)
            if not is_open:
                cells = trimmed(cells, len(self.header))
                if len(cells) == len(self.header) or len(cells) < len(self.header) and is_sound(cells):
                    found = self._fitted(number, cells)
                break
        if found is None:
            self._ahead.extendleft(reversed(taken))
        return found

    def _alone(self, number: int, text: str) -> TableRow:
        """The row of a line whose quote is not closed, taken as a letter."""
        self._met.quotes = _more(self._met.quotes, number)
        cells = trimmed(split_line(text, self.separator, literal=True)[0], len(self.header))
        if len(cells) == len(self.header):
            return TableRow(number, cells, len(cells))
        return TableRow(number, cells, 0, f"unclosed quote: line {number}", text[:500])

    def _fitted(self, number: int, cells: list[str]) -> TableRow:
        """The row of cells that may be more or fewer than the header's."""
        width = len(self.header)
        cells = trimmed(cells, width)
        if len(cells) > width:
            problem = f"wrong number of cells: {len(cells)} instead of {width} (line {number})"
            return TableRow(number, cells, 0, problem, self.separator.join(cells)[:500])
        if len(cells) < width:
            self._met.short = _more(self._met.short, number)
        return TableRow(number, cells + [""] * (width - len(cells)), len(cells))


def smiles_column(header: list[str], wanted: str, shown: str) -> int | None:
    """Place of the SMILES column; ``None`` where there is none.

    Args:
        header: names of the columns.
        wanted: its name; "" looks for a usual one.
        shown: the file's name, for messages.

    Raises:
        MoleblendError: several columns have the name.
    """
    places = smiles_places(header, wanted)
    if len(places) > 1 and not wanted:
        several = " and ".join(repr(header[place]) for place in places)
        raise MoleblendError(f"{shown} has the columns {several}; say by --smiles-column which one is meant")
    return places[0] if places else None


def smiles_places(header: list[str], wanted: str) -> list[int]:
    """Places of the columns that may hold the SMILES."""
    names = [column_name(cell) for cell in header]
    if wanted:
        return [place for place, name in enumerate(names) if name == column_name(wanted)]
    lower = [name.lower() for name in names]
    for usual in USUAL_NAMES:
        if usual in lower:
            return [place for place, name in enumerate(lower) if name == usual]
    return []


def column_name(cell: str) -> str:
    """Name of a column: its cell of the header without blanks around it, and with a blank for a line end."""
    return " ".join(line.strip(_UNSEEN) for line in cell.splitlines()).strip(_UNSEEN)


def without_header(header: list[str]) -> str:
    """A hint for a header that is none: its cells hold a SMILES; "" where they do not."""
    has_number = any(cell.replace(".", "", 1).isdigit() for cell in header)
    for cell in header:
        if looks_like_smiles(cell) and (len(cell) > 1 or has_number):
            return f"; its first line holds {cell[:40]!r}, which is a SMILES: add a line of names above it"
    return ""
