"""Files of bytes -> lines of text: compression, encoding and line ends are found by what a file holds.

A name that ends in ``.gz`` is not believed, nor is its absence. Text is UTF-8, or UTF-16 and UTF-32 with a
byte order mark (UTF-16 also without). Single bytes that are no UTF-8 are read as Windows-1252, which has
Latin-1's letters, and the first line of them is told. Lines end in LF, CR LF or CR.
"""

from __future__ import annotations

import codecs
import gzip
import io
import re
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO, Any, Final, TextIO

from moleblend_plugin.errors import MoleblendError

_HEAD: Final = 1 << 16
"""Bytes that decide the encoding."""

_LONGEST_LINE: Final = 1 << 24
"""Characters of one line; a file without line ends must not fill the memory."""

GZIP: Final = b"\x1f\x8b"

LMDB_MAGIC: Final = (b"\xde\xc0\xef\xbe", b"\xbe\xef\xc0\xde")
"""Bytes 16 to 19 of an LMDB file."""

_XYZ: Final = re.compile(rb"\s*\d+[ \t]*\r?\n[^\n]*\n\s*[A-Z][a-z]?(\s+-?\d+\.\d+){3}")

_PDB: Final = (b"HEADER    ", b"COMPND    ", b"REMARK   ", b"CRYST1", b"ATOM     ", b"HETATM")

_NO_TEXT: Final = (
    (b"PAR1", "a Parquet file in gzip", "unpack it with gunzip"),  # as it is, it is no text
    (b"BZh", "compressed by bzip2", "unpack it with bunzip2, or compress it with gzip"),
    (b"\xfd7zXZ\x00", "compressed by xz", "unpack it with unxz, or compress it with gzip"),
    (b"\x28\xb5\x2f\xfd", "compressed by zstd", "unpack it with unzstd, or compress it with gzip"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive", "unpack it"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Excel workbook (.xls)", "save the sheet as CSV (UTF-8)"),
    (b"\x89HDF", "an HDF5 file", "write it as CSV"),
    (b"ARROW1", "an Arrow file", "write it as Parquet: pandas.read_feather(...).to_parquet(...)"),
    (b"SQLite format 3", "an SQLite database", "write its table as CSV"),
    *((bytes((0x80, protocol)), "a pickle", "write its molecules as CSV or SDF") for protocol in range(2, 6)),
    (b"@<TRIPOS>", "a MOL2 file", "convert it: obabel in.mol2 -O out.sdf"),
    (b"$RXN", "a reaction", "give molecules"),
    (b"$RDFILE", "a file of reactions", "give molecules"),
    *((start, "a PDB file", "convert it: obabel in.pdb -O out.sdf") for start in _PDB),
    (b'{"', "a JSON file", "write it as CSV: pandas.read_json(...).to_csv(...)"),
    (b'[{"', "a JSON file", "write it as CSV: pandas.read_json(...).to_csv(...)"),
    (b"%PDF", "a PDF", "give a table"),
    (b"{\\rtf", "a document (RTF)", "save it as plain text"),
)
"""(first bytes, what the file is, what to do): formats that are known here and not read."""

LOST: Final = "\N{REPLACEMENT CHARACTER}"
"""What stands for a byte that could not be read."""

_BAD: Final = re.compile("[\udc80-\udcff]+")
"""Bytes that were no UTF-8, as ``surrogateescape`` shows them."""

_WESTERN: Final = frozenset(
    letter
    for letter in bytes(range(0x80, 0x100)).decode("cp1252", "replace")
    if letter not in "ƒˆ˜‰†‡‹›¬¤¦¨¯´¸¿¡" + LOST
)
"""Letters and signs of Windows-1252 that headers and names hold."""

_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


@contextmanager
def open_lines(raw: IO[bytes], shown: str, add_note: Callable[[str], None]) -> Iterator[Iterator[str]]:
    """Lines of a text file with their ends, read as they are needed.

    Args:
        raw: the open file.
        shown: its name, for messages.
        add_note: called with what a user should know about how it is read.

    Raises:
        MoleblendError: it is no text.
    """
    plain: Any = raw
    if _peek(raw)[:2] == GZIP:
        plain = gzip.GzipFile(fileobj=raw)
        if "." in shown and not shown.lower().endswith(".gz"):  # standard input has no name
            add_note("is compressed by gzip, although its name does not say so")
    elif shown.lower().endswith(".gz"):
        add_note("is not compressed, although its name ends in .gz")
    buffer = io.BufferedReader(plain, _HEAD)
    head = buffer.peek(_HEAD)
    _refuse_other_formats(head, buffer, raw, shown)
    mark, encoding = _encoding(head)
    buffer.read(mark)
    if encoding != "utf-8":
        add_note(f"is read as {encoding.upper()}")
    # What is no UTF-8 comes as lone surrogates to `_mended`.
    errors = "surrogateescape" if encoding == "utf-8" else "replace"
    with io.TextIOWrapper(buffer, encoding=encoding, errors=errors, newline="") as text:
        yield _mended(text, add_note)


def _peek(raw: IO[bytes]) -> bytes:
    head = raw.read(16)
    raw.seek(0)
    return head


def _refuse_other_formats(head: bytes, buffer: io.BufferedReader, raw: IO[bytes], shown: str) -> None:
    for start, what, remedy in _NO_TEXT:
        if head.startswith(start):
            raise MoleblendError(f"{shown} is {what}, which is not read: {remedy}")
    if head.startswith(b"PK\x03\x04"):
        raise MoleblendError(f"{shown} is {_kind_of_zip(raw)}")
    if head.lstrip()[:200].lower().startswith((b"<!doctype html", b"<html")):
        raise MoleblendError(f"{shown} is a web page, not a text file: download the file itself")
    if head.startswith(GZIP):
        raise MoleblendError(f"{shown} is compressed twice: unpack it once with gunzip")
    if head[16:20] in LMDB_MAGIC:
        raise MoleblendError(f"{shown} is an LMDB file compressed by gzip: unpack it with gunzip")
    if _XYZ.match(head):
        raise MoleblendError(
            f"{shown} is an XYZ file, which has no bonds and is not read: convert it: obabel in.xyz -O "
            "out.sdf"
        )
    if len(head) >= 1024 and not any(mark in head for mark in (b"\n", b"\r")):
        _refuse_endless_line(buffer, shown)


def _refuse_endless_line(buffer: io.BufferedReader, shown: str) -> None:
    """Refuse a file that shows no line end for long. Reads nothing away from ``buffer``'s seekable file."""
    start, seen = buffer.tell(), 0
    while block := buffer.read(_HEAD):
        seen += len(block)
        if b"\n" in block or b"\r" in block:
            break
        if seen > _LONGEST_LINE:
            raise MoleblendError(
                f"{shown} has no line end in its first {seen:,} bytes: it is not a list or table of molecules"
            )
    buffer.seek(start)


def _kind_of_zip(raw: IO[bytes]) -> str:
    try:
        names = zipfile.ZipFile(raw).namelist()
    except (zipfile.BadZipFile, OSError):
        names = []
    if any(name.startswith("xl/") for name in names):
        return "an Excel workbook (.xlsx), not a text file: save the sheet as CSV (UTF-8)"
    if any(name.endswith("/data.pkl") for name in names):
        return "a checkpoint of PyTorch, not a file of molecules"
    return "a ZIP archive, not a text file: unpack it"


def _encoding(head: bytes) -> tuple[int, str]:
    """(bytes of the byte order mark, encoding) of a file that begins with ``head``."""
    for mark, name in _MARKS:
        if head.startswith(mark):
            return len(mark), name
    # Without a mark: every other byte of UTF-16's ASCII is zero.
    sample = head[: len(head) // 2 * 2]
    zeros = (sample[::2].count(0), sample[1::2].count(0))
    for place, name in enumerate(("utf-16-be", "utf-16-le")):
        if len(sample) >= 4 and zeros[place] > 0.4 * len(sample) / 2 and not zeros[1 - place]:
            return 0, name
    return 0, "utf-8"


def _mended(text: TextIO, add_note: Callable[[str], None]) -> Iterator[str]:
    """Lines of ``text``; bytes that are no UTF-8 are Windows-1252 where that makes words, else ``LOST``."""
    western, lost = 0, 0
    for number, line in enumerate(text, 1):
        if line.isascii() or not _BAD.search(line):
            yield line
        elif _is_western(line):
            if not western:
                add_note(
                    f"is not all UTF-8: line {number} and others like it are read as Windows-1252 (Latin-1)"
                )
            western = western or number
            yield _BAD.sub(_as_cp1252, line)
        else:
            if not lost:
                add_note(f"has bytes of an encoding that is not known (line {number}): save it as UTF-8")
            lost = lost or number
            yield _BAD.sub(lambda found: LOST * len(found[0]), line)


def _as_cp1252(found: re.Match[str]) -> str:
    return found[0].encode("utf-8", "surrogateescape").decode("cp1252", "replace")


def _is_western(line: str) -> bool:
    """Whether bad bytes make letters and signs of Western text.

    Two side by side must be small letters, as in German: bytes of Cyrillic, Chinese or Japanese text
    come in runs.
    """
    for found in _BAD.finditer(line):
        text = _as_cp1252(found)
        if len(text) > 2 or len(text) == 2 and not all(map(str.islower, text)):
            return False
        if any(letter not in _WESTERN for letter in text):
            return False
    return True
