"""Which rows of its inputs a piece of a build has: a matter of their content alone."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from moleblend_plugin.chem.readers.sdf import SDF
from moleblend_plugin.chem.readers.source import Source
from moleblend_plugin.chem.readers.text_files import GZIP
from moleblend_plugin.errors import MoleblendError

ENDING: Final = ".piece"
"""Of the name of a piece's file."""

_BUFFER: Final = 1 << 20
"""Bytes that are looked at together; rows of files below that size are counted exactly."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Which piece of how many.

    Attributes:
        number: from 1.
        of: pieces in all.
    """

    number: int
    of: int

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"

    @property
    def file_name(self) -> str:
        """Name of its file: names sort as the pieces do."""
        return f"{self.number:0{len(str(self.of))}d}-of-{self.of}{ENDING}"

    def rows(self, count: int) -> tuple[int, int | None]:
        """Its first row and the one behind its last one; ``None``: it has the rest.

        Args:
            count: rows in all, about: pieces are of one size where it is right, and whole where it is not.
        """
        first = count * (self.number - 1) // self.of
        return first, None if self.number == self.of else count * self.number // self.of


def parse_piece(text: str) -> Piece:
    """Piece of ``--piece K/N``.

    Raises:
        MoleblendError: it is not of that form, or there is no such piece.
    """
    number, _, of = text.partition("/")
    if number.strip().isdecimal() and of.strip().isdecimal():
        piece = Piece(int(number), int(of))
        if 1 <= piece.number <= piece.of:
            return piece
    raise MoleblendError(f"--piece {text}: give K/N, piece K of N, from 1/N to N/N, such as 3/16")


def rows_about(sources: Sequence[Source], limit: int | None) -> int:
    """Rows of all inputs, counted roughly where they are many: by their ends of lines or of records.

    Raises:
        MoleblendError: an input cannot be read.
    """
    count = 0
    for source in sources:
        known = source.format.count is not None or source.n_bytes < _BUFFER
        exact = source.quick_count() if known else None
        count += _ends(source) if exact is None else exact
    return count if limit is None else min(count, limit)


def _ends(source: Source) -> int:
    mark = b"$$$$" if source.format is SDF else b"\n"
    count, rest = 0, b""
    try:
        with source.path.open("rb") as raw:
            is_gzip = raw.read(len(GZIP)) == GZIP
        with gzip.open(source.path, "rb") if is_gzip else source.path.open("rb") as file:
            while block := file.read(_BUFFER):
                read = rest + block
                count += read.count(mark)
                rest = read[max(0, len(read) - len(mark) + 1) :]  # a mark may lie across two blocks
    except (gzip.BadGzipFile, EOFError, zlib.error, OSError) as error:
        raise MoleblendError(f"{source.shown} is damaged or truncated ({error}); copy it again") from error
    return count


def piece_path(out: Path, piece: Piece) -> Path:
    """The file of a piece that is made in the folder ``out``."""
    return out / piece.file_name
