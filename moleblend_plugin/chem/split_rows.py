"""Given splits: a file that lists the rows of a table that train, validate and test.

A JSON object (also .gz) with lists of row numbers::

    train valid test      numbers of rows; headers and blank lines do not count, bad rows keep their number
    row_base              0 (default) or 1: the number of the first row
    n_rows                rows of the table; checked where given
    excluded_rows         rows in no part; so are all that no list names
    train_is_complement   true: without a list ``train``, all rows that no other list names train
    key                   a column: the numbers then are values of this column, not of the row's place
"""

from __future__ import annotations

import gzip
import hashlib
import json
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from moleblend_plugin.chem.splits import PARTS
from moleblend_plugin.chem.text_files import GZIP
from moleblend_plugin.errors import MoleblendError

_EXCLUDED: Final = "excluded_rows"


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
    """

    path: Path
    sha256: str
    listed: dict[int, str]
    rest: str = ""
    n_rows: int | None = None
    key: str = ""

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


def read_rows_file(path: str | Path) -> RowsFile:
    """Read the file of ``--split rows:FILE``.

    Raises:
        MoleblendError: no such file, not as described above, or a row in two places.
    """
    file = Path(path)
    raw = _bytes(file)
    content = _object(file, raw)
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
    return RowsFile(file, hashlib.sha256(raw).hexdigest(), listed, rest, n_rows, key)


def _bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise MoleblendError(
            f"--split rows:{file} cannot be read ({error.strerror or error}); check the path"
        ) from error


def _object(file: Path, raw: bytes) -> dict[str, Any]:
    try:
        content = json.loads(gzip.decompress(raw) if raw.startswith(GZIP) else raw)
    except (OSError, EOFError, zlib.error, ValueError) as error:
        raise MoleblendError(
            f"{file} is no JSON ({error}); a split file lists rows as {{'train': [0, 2], 'valid': [1], ...}}"
        ) from error
    if not isinstance(content, dict):
        raise MoleblendError(f"{file} holds no JSON object; expected lists named train, valid and test")
    return content


def _numbers(file: Path, content: dict[str, Any], part: str, complement: bool) -> list[int]:
    if part not in content and (part == _EXCLUDED or part == "train" and complement):
        return []
    if part not in content:
        remedy = "add it, or train_is_complement: true" if part == "train" else "add it (it may be empty)"
        raise MoleblendError(f"{file} has no list {part!r}; {remedy}")
    numbers = content[part]
    if not isinstance(numbers, list) or any(type(number) is not int for number in numbers):
        raise MoleblendError(f"{file}: {part} must be a list of whole numbers")
    return numbers
