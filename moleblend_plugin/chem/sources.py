"""Files of molecules as streams: rows for conversion, or rejections; never the whole file in memory.

`open_source` picks the reader by the file's name. A reader raises :class:`MoleblendError` for what
concerns the whole file (missing, empty, no such column, damaged compression) and yields a
:class:`Rejection` for what concerns one row. Rows are counted from 0; blank lines and headers do not count.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final, TextIO

from moleblend_plugin.chem.rows import RawRow
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.schema import Rejection

Rows = Iterator[RawRow | Rejection]

_MISSING: Final = frozenset({"", "nan", "na", "n/a", "none", "null"})
_SHOWN_COLUMNS: Final = 30
"""Column names that an error lists; files with hundreds would drown it."""


@dataclass(frozen=True, slots=True)
class Columns:
    """Which columns of a table (or tags of an SDF, or arrays of an npz) mean what.

    Attributes:
        smiles: column of SMILES (tables only); "" looks for a usual name.
        targets: columns of labels, numbers.
        split: column that names each row's split, or "".
        missing_label: the number that stands for a missing label in targets, where there is one.
    """

    smiles: str = ""
    targets: tuple[str, ...] = ()
    split: str = ""
    missing_label: float | None = None


class Source:
    """One input file.

    Args:
        path: the file.
        columns: what to read from it.
        read: generator over the open file's rows.

    Attributes:
        n_bytes: size on disk.
        rows_done: fraction of rows read, from readers that know the number of rows.
    """

    def __init__(
        self, path: Path, columns: Columns, read: Callable[[Source], Rows], expects_columns: bool
    ) -> None:
        if not path.exists():
            raise MoleblendError(f"{path} does not exist; check the path")
        if not path.is_file():
            raise MoleblendError(f"{path} is not a file; name the files inside it")
        if not expects_columns and (columns.smiles or columns.targets or columns.split):
            raise MoleblendError(
                f"{path} has no named columns; leave out the column options or give a CSV, TSV or SDF"
            )
        self.path = path
        self.name = path.name
        self.columns = columns
        self.n_bytes = path.stat().st_size
        self._read = read
        self._raw: io.BufferedReader | None = None
        self.rows_done: float | None = None

    def __iter__(self) -> Rows:
        rows = self._read(self)
        if self.columns.missing_label is None:
            return rows
        return (_with_missing(row, self.columns.missing_label) for row in rows)

    def again(self) -> Source:
        """A fresh reader of the same file, for a second pass beside or after the first."""
        return Source(self.path, self.columns, self._read, expects_columns=True)

    def without_targets(self) -> Source:
        """A fresh reader that looks at no label, so that no row is rejected for one."""
        return Source(self.path, Columns(self.columns.smiles), self._read, expects_columns=True)

    def changed(self, change: Callable[[Rows], Rows]) -> Source:
        """The same file, whose rows go through ``change`` each time they are read."""
        return Source(
            self.path, self.columns, lambda source: change(self._read(source)), expects_columns=True
        )

    def __repr__(self) -> str:
        return f"Source({str(self.path)!r})"

    @property
    def fraction_read(self) -> float:
        """How far reading has come, 0 to 1, by rows or bytes on disk (for progress bars)."""
        if self.rows_done is not None or self._raw is None:
            return self.rows_done or 0.0
        return 1.0 if self._raw.closed else self._raw.tell() / max(1, self.n_bytes)

    def sha256(self) -> str:
        """Checksum (hex) of the file as it lies on disk."""
        digest = hashlib.sha256()
        with self._clear_errors(), self.path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
        return digest.hexdigest()

    @contextmanager
    def text(self) -> Iterator[TextIO]:
        """The file as text, decompressed where its name ends in .gz; read once at a time."""
        with self._clear_errors(), self.path.open("rb") as raw:
            self._raw = raw
            plain: Any = gzip.GzipFile(fileobj=raw) if self.path.suffix == ".gz" else raw
            # A stray byte in a name must not stop a build; in a SMILES it makes the row unreadable.
            with io.TextIOWrapper(
                io.BufferedReader(plain, 1 << 16),
                encoding="utf-8-sig",
                errors="replace",
                newline="",
            ) as lines:
                yield lines

    @contextmanager
    def _clear_errors(self) -> Iterator[None]:
        try:
            yield
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise MoleblendError(f"{self.path} is damaged or cut off ({error}); copy it again") from error
        except OSError as error:
            raise MoleblendError(f"{self.path} cannot be read ({error.strerror or error})") from error


def open_source(path: str | Path, columns: Columns | None = None) -> Source:
    """Reader for ``path`` by its name: .smi, .csv, .tsv, .sdf (each also .gz) or .npz.

    Raises:
        MoleblendError: no such file, or a name that tells no format.
    """
    # Here, not at the top: the readers need Source.
    from moleblend_plugin.chem import source_npz, source_sdf, source_tables

    file, wanted = Path(path), columns or Columns()
    name = file.name.lower().removesuffix(".gz")
    for endings, read, has_columns in (
        ((".smi", ".smiles"), source_tables.read_smi, False),
        ((".csv", ".tsv"), source_tables.read_table, True),
        ((".sdf", ".sd", ".mol"), source_sdf.read_sdf, True),
        ((".npz",), source_npz.read_npz, True),
    ):
        if name.endswith(endings):
            return Source(file, wanted, read, has_columns)
    raise MoleblendError(
        f"{file} has no ending that tells its format; use .smi, .csv, .tsv, .sdf (each also .gz) or .npz"
    )


def _with_missing(row: RawRow | Rejection, missing: float) -> RawRow | Rejection:
    """``row`` with NaN for every label that says ``missing``."""
    if isinstance(row, Rejection) or missing not in row.targets:
        return row
    return replace(row, targets=tuple(float("nan") if label == missing else label for label in row.targets))


def missing_column(source: Source, wanted: str, present: list[str], what: str) -> MoleblendError:
    """The error for a name that the file lacks: lists those there are, and the closest."""
    by_case = {name.lower(): name for name in present}
    close = get_close_matches(wanted.lower(), by_case, n=1)
    hint = f"; did you mean {by_case[close[0]]!r}?" if close else ""
    more = f" and {len(present) - _SHOWN_COLUMNS} more" if len(present) > _SHOWN_COLUMNS else ""
    shown = ", ".join(present[:_SHOWN_COLUMNS]) or "none"
    return MoleblendError(f"{source.path} has no {what} {wanted!r}{hint} ({what}s: {shown}{more})")


def parse_targets(names: tuple[str, ...], cells: list[str]) -> tuple[float, ...]:
    """Labels from their text; NaN for an empty cell or a usual word for "missing".

    Raises:
        ValueError: a cell holds text, or infinity (the text of the error names the column).
    """
    return tuple(_number(name, cell) for name, cell in zip(names, cells, strict=True))


def _number(name: str, cell: str) -> float:
    text = cell.strip()
    if text.lower() in _MISSING:
        return float("nan")
    try:
        value = float(text) if "_" not in text else float("inf")
    except ValueError:
        value = float("inf")
    if value in (float("inf"), float("-inf")):
        raise ValueError(f"target is no number: column {name!r} holds {text[:40]!r}")
    return value
