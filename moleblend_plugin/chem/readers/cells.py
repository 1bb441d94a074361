"""One line of a table -> cells, by the rules of CSV (RFC 4180); and which separator a table has."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Final

BLANKS: Final = " "
"""The separator of tables whose columns stand apart by blanks or tabs, however many."""

SEPARATORS: Final = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "vertical bars", BLANKS: "blanks"}
"""Separators that tables use, with their names for messages."""

_CLOSED: Final = re.compile(r'"([^"]*(?:""[^"]*)*)"(?!")')
_WORD: Final = re.compile(r'"[^"]*(?:""[^"]*)*"(?=\s|$)|\S+')
_LIKE_HEADER: Final = 0.8
"""Share of rows that must have the header's number of words before blanks are taken for separators."""


def split_line(line: str, separator: str, literal: bool = False) -> tuple[list[str], bool]:
    """Cells of a line, and whether a quote is open at its end.

    A cell is quoted where it begins with a double quote; a double quote inside it is written twice.
    Anywhere else a quote is a letter; a cell with more behind its closing quote is taken as it stands.

    Args:
        line: without its end; with line ends inside where a quoted cell has them.
        separator: one of ``SEPARATORS``.
        literal: take a quote that is not closed as a letter.
    """
    if separator == BLANKS:
        words = line.split() if '"' not in line else _WORD.findall(line)
        return [_unquoted(word) for word in words], False
    if '"' not in line:
        return line.split(separator), False
    cells: list[str] = []
    place = 0
    while True:
        stop = place
        if line.startswith('"', place):
            closed = _CLOSED.match(line, place)
            if closed is None and not literal:
                return [*cells, line[place:]], True
            stop = closed.end() if closed else place
            if closed and (stop == len(line) or line[stop] == separator):
                cells.append(closed[1].replace('""', '"'))
                if stop == len(line):
                    return cells, False
                place = stop + 1
                continue
        stop = line.find(separator, stop)
        if stop < 0:
            return [*cells, line[place:]], False
        cells.append(line[place:stop])
        place = stop + 1


def _unquoted(word: str) -> str:
    closed = _CLOSED.fullmatch(word)
    return closed[1].replace('""', '"') if closed else word


def trimmed(cells: Sequence[str], width: int) -> list[str]:
    """``cells`` without empty ones at the end beyond ``width``."""
    count = len(cells)
    while count > width and not cells[count - 1].strip():
        count -= 1
    return list(cells[:count])


def choose_separator(lines: Sequence[str], usual: str, is_found: Callable[[list[str]], bool]) -> str:
    """The separator of a table.

    That of the file's name wherever the header then has what it must have; else the first that gives it.
    Blanks must fit the rows, too: names have blanks.

    Args:
        lines: the header line and some rows, without their ends.
        usual: what the name says.
        is_found: whether the cells of a header have what it must have.
    """
    for separator in (usual, *SEPARATORS):
        header, _ = split_line(lines[0], separator, literal=True)
        if is_found(header) and (separator != BLANKS or _fits(lines[1:], len(header))):
            return separator
    return usual


def _fits(lines: Iterable[str], width: int) -> bool:
    """Whether most rows have as many words as the header."""
    counts = [len(split_line(line, BLANKS)[0]) for line in lines]
    return sum(count == width for count in counts) >= _LIKE_HEADER * len(counts)
