"""Files of molecules as streams: rows for conversion, or rejections; never the whole file in memory.

``inputs.open_molecules`` finds the format. Its reader raises :class:`MoleblendError` for what
concerns the whole file (missing, empty, no such column, damaged compression) and yields a
:class:`Rejection` for what concerns one row. Rows are counted from 0; blank lines and headers do not count.
"""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass, replace
from enum import IntEnum
from pathlib import Path
from typing import Any, Final, NamedTuple

from moleblend_plugin.chem.readers.label_text import LabelReader, LabelRules, missing_numbers
from moleblend_plugin.chem.readers.raw_row import RawRow
from moleblend_plugin.chem.readers.text_files import open_lines
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.names import closest_name, write_name, write_names
from moleblend_plugin.schema import Rejection

Rows = Iterator[RawRow | Rejection]

_COUNT_BYTES: Final = 16 << 20
"""Files up to this size (16 MiB) are read through once to count their rows for the progress."""

_SHOWN_COLUMNS: Final = 30
"""Column names that an error lists; files with hundreds would drown it."""


_WORDS: Final = ("missing_words", "positive", "negative", "classes")
"""Fields of :class:`Columns` that name words."""


@dataclass(frozen=True, slots=True)
class Columns:
    """Which columns of a table (or tags of an SDF, or arrays of an npz) mean what.

    Attributes:
        smiles: column of SMILES (tables only); "" looks for a usual name.
        targets: columns of labels, numbers.
        split: column that names each row's split, or "".
        missing_label: the number that stands for a missing label in targets, where there is one.
        missing_words: more words, or numbers, that do (``chem.readers.label_text`` knows the usual words).
        positive: words for class 1 in targets, besides the usual ones.
        negative: words for class 0.
        classes: words or numbers for the classes 0, 1, 2 ... of a target with several.
    """

    smiles: str = ""
    targets: tuple[str, ...] = ()
    split: str = ""
    missing_label: float | None = None
    missing_words: tuple[str, ...] = ()
    positive: tuple[str, ...] = ()
    negative: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()

    @property
    def rules(self) -> LabelRules:
        """What cells of labels mean."""
        missing = () if self.missing_label is None else (repr(self.missing_label),)
        words = (*missing, *self.missing_words)
        return LabelRules(words, self.positive, self.negative, classes=self.classes)

    def settings(self) -> dict[str, Any]:
        """Plain values for reports and fingerprints."""
        told: dict[str, Any] = {"smiles": self.smiles, "targets": list(self.targets), "split": self.split}
        told["missing_label"] = self.missing_label
        words = {name: list(getattr(self, name)) for name in _WORDS}
        return told | {name: given for name, given in words.items() if given}


class Head(NamedTuple):
    """How a file begins, by which its format is recognised.

    Attributes:
        start: first bytes, as they lie on disk.
        lines: first lines with their ends, decompressed and decoded; none where it is no text.
        path: the file.
        smiles: name of the column of SMILES, where one is asked for.
    """

    start: bytes
    lines: Sequence[str]
    path: Path
    smiles: str = ""


class Fit(IntEnum):
    """Whether a file is of a format, by how it begins: where it is possible, its name decides."""

    NONE = 0
    POSSIBLE = 1
    CERTAIN = 2


@dataclass(frozen=True, slots=True, eq=False)
class Format:
    """One kind of file.

    Attributes:
        title: what a file of it is, for messages ("a table").
        endings: of names, each also with ``.gz`` where it is text.
        resembles: whether a file that begins so is of it.
        read: generator over the rows of a file.
        has_columns: whether columns of it can be named.
        held_labels: names of the labels that a file brings with its molecules; ``None``: labels are columns.
        count: how many rows a file has, where that is known without reading them.
        holds_records: whether its molecules are converted already (``RawRow.record``).
    """

    title: str
    endings: tuple[str, ...]
    resembles: Callable[[Head], Fit]
    read: Callable[[Source], Rows]
    has_columns: bool = False
    held_labels: Callable[[Path], tuple[str, ...]] | None = None
    count: Callable[[Path], int] | None = None
    holds_records: bool = False


FILE_COLUMN: Final = "file"
"""What files without columns of text offer to ``--split column:NAME``: their names without the ending."""


class Source:
    """One input file.

    Args:
        path: the file.
        columns: what to read from it.
        format: its format.
        name: what row ids and notes call it.
        shown: what errors call it.
        note: what a user should know of its format, or "".

    Attributes:
        n_bytes: size on disk.
        rows_done: fraction of rows read, from readers that know the number of rows.
        notes: what a user should know about how the file is read, as far as it was read.
        classes: by label column, the words for classes that were met and their numbers.
        labels: the reader of labels, once there is one.

    Raises:
        MoleblendError: columns are asked for that files of this format do not have.
    """

    def __init__(
        self, path: Path, columns: Columns, format: Format, name: str = "", shown: str = "", note: str = ""
    ) -> None:
        self.path = path
        self.name = name or path.name
        self.shown = shown or str(path)
        self.columns = columns
        self.format = format
        self.n_bytes = path.stat().st_size
        self._changes: tuple[Callable[[Rows], Rows], ...] = ()
        self._note = note
        self._start_anew()
        self._check_columns()

    def _start_anew(self) -> None:
        self._raw: io.BufferedReader | None = None
        self.rows_done: float | None = None
        self.notes: list[str] = []
        self.classes: dict[str, dict[str, float]] = {}
        self.labels: LabelReader | None = None

    def _check_columns(self) -> None:
        columns = self.columns
        if self.format.held_labels is not None:
            if columns.smiles:
                raise MoleblendError(
                    f"{self.shown} is {self.format.title}, which has one SMILES per molecule; leave out "
                    f"--smiles-column {columns.smiles!r}"
                )
            if columns.split not in ("", FILE_COLUMN):
                raise missing_column(self, columns.split, [FILE_COLUMN], "column")
        elif not self.format.has_columns and (columns.smiles or columns.targets or columns.split):
            raise MoleblendError(
                f"{self.shown} has no named columns, as {self.format.title}; leave out the column options "
                "or give a CSV, TSV, Parquet or SDF"
            )

    def __iter__(self) -> Rows:
        if self._note:
            self.add_note(self._note)
        rows = self.format.read(self)
        missing = frozenset(missing_numbers(self.columns.rules.missing))
        for change in self._changes:
            rows = change(rows)
        return (_with_missing(row, missing) for row in rows) if missing else rows

    def add_note(self, what: str) -> None:
        """Note ``what`` a user should know, once."""
        note = f"{self.name} {what}"
        if note not in self.notes:
            self.notes.append(note)

    def label_reader(self, decimal_comma: frozenset[str] = frozenset()) -> LabelReader:
        """A reader of this file's labels, whose words for classes are noted in ``classes``."""
        for name in sorted(decimal_comma):
            self.add_note(f"has decimal commas in column {write_name(name)}: 1,5 is read as 1.5")
        reader = LabelReader(self.columns.targets, replace(self.columns.rules, decimal_comma=decimal_comma))
        self.classes, self.labels = reader.classes, reader
        return reader

    def again(self) -> Source:
        """A fresh reader of the same file, for a second pass beside or after the first."""
        fresh = copy(self)
        fresh._start_anew()
        return fresh

    def asking(self, columns: Columns) -> Source:
        """A fresh reader of the same file that reads other columns.

        Raises:
            MoleblendError: files of this format do not have them.
        """
        fresh = self.again()
        fresh.columns = columns
        fresh._check_columns()
        return fresh

    def without_targets(self) -> Source:
        """A fresh reader that looks at no label, so that no row is rejected for one."""
        return self.asking(Columns(self.columns.smiles))

    def changed(self, change: Callable[[Rows], Rows]) -> Source:
        """The same file, whose rows go through ``change`` each time they are read."""
        fresh = self.again()
        fresh._changes = (*self._changes, change)
        return fresh

    def named(self, name: str) -> Source:
        """The same file under another name in row ids."""
        fresh = self.again()
        fresh.name = name
        return fresh

    def __repr__(self) -> str:
        return f"Source({str(self.path)!r})"

    @property
    def fraction_read(self) -> float:
        """How far reading has come, 0 to 1, by rows or bytes on disk (for progress bars)."""
        if self.rows_done is not None or self._raw is None:
            return self.rows_done or 0.0
        return 1.0 if self._raw.closed else self._raw.tell() / max(1, self.n_bytes)

    def quick_count(self) -> int | None:
        """Rows in all; ``None`` where counting would take long."""
        if self.format.count is not None:
            return self.format.count(self.path)
        return None if self.n_bytes > _COUNT_BYTES else sum(1 for _ in self.again())

    @contextmanager
    def text(self) -> Iterator[Iterator[str]]:
        """Lines of the file with their ends, decompressed and decoded; read once at a time."""
        with self._clear_errors(), self.path.open("rb") as raw:
            self._raw = raw
            with open_lines(raw, self.shown, self.add_note) as lines:
                yield lines

    @contextmanager
    def _clear_errors(self) -> Iterator[None]:
        try:
            yield
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise MoleblendError(f"{self.shown} is damaged or truncated ({error}); copy it again") from error
        except OSError as error:
            raise MoleblendError(f"{self.shown} cannot be read ({error.strerror or error})") from error


def _with_missing(row: RawRow | Rejection, missing: frozenset[float]) -> RawRow | Rejection:
    """``row`` with NaN for every label that is one of ``missing``, also where the source holds numbers."""
    if isinstance(row, Rejection) or missing.isdisjoint(row.targets):
        return row
    return replace(row, targets=tuple(float("nan") if label in missing else label for label in row.targets))


def missing_column(
    source: Source, wanted: str, present: Sequence[str], what: str, why: str = ""
) -> MoleblendError:
    """The error for a name that the file lacks: lists those there are, and the closest.

    Args:
        source: the file.
        wanted: the name.
        present: names that it has.
        what: of what kind they are, such as "column".
        why: what the name is needed for, with a comma before it.
    """
    close = closest_name(wanted, present)
    parted = [
        name for name in present if "," in name and wanted in (part.strip() for part in name.split(","))
    ]
    hint = ""
    if parted:
        hint = f"; a name with a comma is written in double quotes: '{write_name(parted[0])}'"
    elif close:
        hint = f"; did you mean {close!r}?"
    more = f" and {len(present) - _SHOWN_COLUMNS} more" if len(present) > _SHOWN_COLUMNS else ""
    shown = write_names(present[:_SHOWN_COLUMNS], ", ") or "none"
    return MoleblendError(f"{source.shown} has no {what} {wanted!r}{why}{hint} ({what}s: {shown}{more})")
