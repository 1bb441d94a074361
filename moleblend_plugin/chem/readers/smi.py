"""Reader of `.smi` lists: a SMILES per line, with a name or more behind it."""

from __future__ import annotations

from itertools import chain, islice
from typing import Final

from moleblend_plugin.chem.readers.cells import BLANKS, SEPARATORS, split_line
from moleblend_plugin.chem.readers.raw_row import RawRow
from moleblend_plugin.chem.readers.source import Fit, Format, Head, Rows, Source
from moleblend_plugin.chem.readers.table_text import USUAL_NAMES
from moleblend_plugin.chem.smiles_text import looks_like_smiles, what_follows
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.schema import Rejection

_LOOK_AHEAD: Final = 100
"""Lines that decide the separator."""


def read_smi(source: Source) -> Rows:
    """`SMILES [name]` per line, separated by blanks or by what most lines show; # begins a comment.

    A header is skipped; it may say that the SMILES come second. A CXSMILES extension stays with its SMILES.
    """
    row = -1
    with source.text() as lines:
        plain = (line.strip() for line in lines)
        wanted = (line for line in plain if line and not line.startswith("#"))
        first = list(islice(wanted, _LOOK_AHEAD))
        separator = _separator(first)
        if separator != BLANKS:
            source.add_note(f"has its columns separated by {SEPARATORS[separator]}")
        place, is_header = _smiles_place(first[:1], separator)
        for line in chain(first[is_header:], wanted):
            row += 1
            yield _row(source, row, line, separator, place)
    if row < 0:
        raise MoleblendError(f"{source.shown} holds no molecules; expected one SMILES per line")


def _row(source: Source, row: int, line: str, separator: str, place: int) -> RawRow | Rejection:
    if "\0" in line:
        return Rejection(source.name, row, line.replace("\0", "")[:500], "zero byte in the line")
    if separator == BLANKS and not place:
        smiles, name = what_follows(line)
        quoted = len(smiles) > 1 and smiles[0] == smiles[-1] == '"'
        return RawRow(source.name, row, smiles[1:-1] if quoted else smiles, "smiles", name=name)
    cells, _ = split_line(line, separator, literal=True)
    if place >= len(cells):
        return Rejection(source.name, row, line[:500], "no SMILES where the header has it")
    name = " ".join(cell.strip() for number, cell in enumerate(cells) if number != place)
    return RawRow(source.name, row, cells[place].strip(), "smiles", name=name.strip())


def _separator(lines: list[str]) -> str:
    """Blanks, unless what stands before the first blank of most lines is cut by another."""
    words = [line.split()[0] for line in lines]
    for separator in SEPARATORS:
        heads = [word.partition(separator)[0] for word in words if separator in word and separator != BLANKS]
        if heads and 2 * len(heads) > len(lines):
            known = [looks_like_smiles(head.strip('"')) for head in heads]
            if 2 * sum(known) >= len(lines):  # a header is none
                return separator
    return BLANKS


def _smiles_place(first: list[str], separator: str) -> tuple[int, int]:
    """Which cell holds the SMILES, and 1 where the first line is a header, else 0."""
    for line in first:
        cells = [cell.strip().strip('"').lower() for cell in split_line(line, separator, literal=True)[0]]
        if looks_like_smiles(line.split()[0]):
            break
        for name in USUAL_NAMES:
            if name in cells:
                return cells.index(name), 1
    return 0, 0


def _resembles_list(head: Head) -> Fit:
    """Certain for a header, or lines that mostly begin with a SMILES and a blank; possible with a comma."""
    plain = (line.strip() for line in head.lines)
    lines = [line for line in plain if line and not line.startswith("#")]
    separator = _separator(lines)
    if _smiles_place(lines[:1], separator)[1]:
        return Fit.CERTAIN
    cells = [split_line(line, separator, literal=True)[0][0].strip('"') for line in lines]
    alike = [looks_like_smiles(cell) for cell in cells]
    if not any(alike[:1]):
        return Fit.NONE
    return Fit.CERTAIN if separator == BLANKS and 2 * sum(alike) > len(lines) else Fit.POSSIBLE


LIST: Final = Format("a list of SMILES", (".smi", ".smiles"), _resembles_list, read_smi)
