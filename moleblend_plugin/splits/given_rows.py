"""Given splits: a file that lists the rows of a table that train, validate and test.

A JSON object (also .gz) with lists of row numbers::

    train valid test      numbers of rows; headers and blank lines do not count, bad rows keep their number
    row_base              0 (default) or 1: the number of the first row
    n_rows                rows of the table; checked where given
    excluded_rows         rows in no part; so are all that no list names
    train_is_complement   true: without a list ``train``, all rows that no other list names train
    key                   a column: the numbers then are values of this column, not of the row's place

``val``, ``validation`` and ``dev`` stand for ``valid``. A file of chemprop is a list of such objects, one for
each replicate, in which ``val`` and ``test`` may be absent and numbers may be text ("0-2,4"): with several,
FILE:K takes that of number K, from 0.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from moleblend_plugin.chem.readers.text_files import GZIP
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.schema import PARTS
from moleblend_plugin.splits.methods import PART_WORDS

_EXCLUDED: Final = "excluded_rows"
_LONGEST_RANGE: Final = 50_000_000
"""Rows of one range; a slip of the pen must not fill the memory."""


@dataclass(frozen=True, slots=True)
class RowsFile:
    """A given split.

    Attributes:
        path: the file.
        sha256: checksum (hex) of the file as it lies on disk.
        listed: part, or ``excluded_rows``, of every row listed; rows from 0 (values of ``key`` as given).
        rest: part of rows that no list names: "train" or "" (none).
        n_rows: rows of the table, or ``None``.
        key: column whose values the numbers are, or "".
        replicate: number of the object taken from a list of several, or ``None``.
    """

    path: Path
    sha256: str
    listed: dict[int, str]
    rest: str = ""
    n_rows: int | None = None
    key: str = ""
    replicate: int | None = None

    def part_of(self, number: int) -> str:
        """Part of a row; "" where it is in none."""
        part = self.listed.get(number, self.rest)
        return "" if part == _EXCLUDED else part

    def check_count(self, count: int, table: str) -> None:
        """Refuse a table of another number of rows.

        Raises:
            MoleblendError: ``count`` is not ``n_rows``, or a listed row is beyond it.
        """
        if self.key:
            return
        if self.n_rows is not None and count != self.n_rows:
            raise MoleblendError(
                f"{self.path} splits a table of {self.n_rows} rows, {table} has {count}; give the table that "
                "it was made for"
            )
        last = max(self.listed, default=-1)
        if last >= count:
            raise MoleblendError(
                f"{self.path} lists row {last}, {table} has {count} rows (0 to {count - 1}); give the table "
                "that it was made for"
            )


def rows_file_path(name: str | Path) -> tuple[Path, int | None]:
    """The file of FILE or FILE:K, and K. A file that is there under the whole name is taken as it is."""
    text, colon, number = str(name).rpartition(":")
    if colon and number.isdecimal() and not Path(name).exists():
        return Path(text), int(number)
    return Path(name), None


def read_rows_file(name: str | Path) -> RowsFile:
    """Read the file of ``--split rows:FILE`` (or FILE:K).

    Raises:
        MoleblendError: no such file, not as described above, or a row in two places.
    """
    file, replicate = rows_file_path(name)
    raw = _bytes(file)
    content, from_list = _object(file, raw, replicate)
    content = _with_part_names(file, content)
    if from_list:
        content = dict.fromkeys(PARTS[1:], []) | content
    complement = content.get("train_is_complement", False) is True
    base, key = content.get("row_base", 0), content.get("key", "")
    if base not in (0, 1) or isinstance(base, bool) or not isinstance(key, str):
        raise MoleblendError(
            f"{file}: row_base is 0 or 1 and key the name of a column; got {base!r}, {key!r}"
        )
    listed: dict[int, str] = {}
    for part in (*PARTS, _EXCLUDED):
        for number in _numbers(file, content, part, complement):
            row = number if key else number - base
            if row < 0:
                raise MoleblendError(f"{file}: {part} lists row {number}; rows begin at {base}")
            if row in listed:
                raise MoleblendError(f"{file}: row {number} is listed in {listed[row]} and again in {part}")
            listed[row] = part
    n_rows = content.get("n_rows")
    if n_rows is not None and (not isinstance(n_rows, int) or isinstance(n_rows, bool)):
        raise MoleblendError(f"{file}: n_rows is a number; got {n_rows!r}")
    rest = "train" if complement and "train" not in content else ""
    return RowsFile(file, hashlib.sha256(raw).hexdigest(), listed, rest, n_rows, key, replicate)


def _bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise MoleblendError(
            f"--split rows:{file} cannot be read ({error.strerror or error}); check the path"
        ) from error


def _object(file: Path, raw: bytes, replicate: int | None) -> tuple[dict[str, Any], bool]:
    """The object wanted, and whether it comes from a list of chemprop."""
    try:
        content = json.loads(gzip.decompress(raw) if raw.startswith(GZIP) else raw)
    except (OSError, EOFError, zlib.error, ValueError) as error:
        raise MoleblendError(
            f"{file} is not JSON ({error}); a split file lists rows as {{'train': [0, 2], 'valid': [1], ...}}"
        ) from error
    listed = isinstance(content, list) and bool(content)
    choices = content if listed else [content]
    if not all(isinstance(choice, dict) for choice in choices):
        raise MoleblendError(f"{file} holds no JSON object; expected lists named train, valid and test")
    if replicate is None and len(choices) > 1:
        raise MoleblendError(
            f"{file} holds {len(choices)} splits; choose one by its number, such as --split rows:{file}:0"
        )
    if (replicate or 0) >= len(choices):
        raise MoleblendError(f"{file} has no split {replicate}; it holds {len(choices)}, counted from 0")
    return choices[replicate or 0], listed


def _with_part_names(file: Path, content: dict[str, Any]) -> dict[str, Any]:
    """``content`` with our names of the parts."""
    found: dict[str, Any] = {}
    for name, value in content.items():
        part = PART_WORDS.get(name.strip().lower(), name)
        if part in found:
            raise MoleblendError(f"{file} lists {part} twice, once as {name!r}; join the two lists")
        found[part] = value
    return found


def _numbers(file: Path, content: dict[str, Any], part: str, complement: bool) -> list[int]:
    if part not in content and (part == _EXCLUDED or part == "train" and complement):
        return []
    if part not in content:
        remedy = "add it, or train_is_complement: true" if part == "train" else "add it (it may be empty)"
        raise MoleblendError(f"{file} has no list {part!r}; {remedy}")
    numbers = content[part]
    if isinstance(numbers, str):
        return _from_text(file, part, numbers)
    if not isinstance(numbers, list) or any(type(number) is not int for number in numbers):
        raise MoleblendError(f"{file}: {part} must be a list of whole numbers")
    return numbers


def _from_text(file: Path, part: str, text: str) -> list[int]:
    """Numbers of "0-2,4": 0, 1, 2, 4, as chemprop reads them."""
    numbers: list[int] = []
    for piece in filter(None, (piece.strip() for piece in text.split(","))):
        first, dash, last = (word.strip() for word in piece.partition("-"))
        if not first.isdecimal() or (dash and not last.isdecimal()):
            raise MoleblendError(f"{file}: {part} holds {piece[:20]!r}; expected row numbers such as '0-2,4'")
        low, high = int(first), int(last or first)
        if high < low or high - low > _LONGEST_RANGE:
            raise MoleblendError(f"{file}: {part} holds {piece[:20]!r}, which is not a range of rows")
        numbers += range(low, high + 1)
    return numbers
