"""Reader of `.sdf` files: records are cut out as text, so that a broken one costs only itself."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from typing import Final

from moleblend_plugin.chem.readers.label_text import LabelReader, has_decimal_commas
from moleblend_plugin.chem.readers.raw_row import RawRow
from moleblend_plugin.chem.readers.source import Fit, Format, Head, Rows, Source, missing_column
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.schema import Rejection

_TAG: Final = re.compile(r"^>[^<]*<(.*?)>\s*(?:\([^()]*\))?[^<>]*$")
"""Head of a data item; the name may hold any letter, and a registry number in brackets may follow."""

_COUNTS: Final = re.compile(r"^[ 0-9]{6}.*V[23]000\s*$")
"""The fourth line of a mol block."""

_LOOK_AHEAD: Final = 200
"""Records searched for the tags that are asked for, before a missing one is called an error."""

_LONGEST_RECORD: Final = 200_000
"""Lines of one record; a file without separators must not fill the memory."""


class SdfRecord(list[str]):
    """Lines of a record; ``is_cut`` where the file ends without the separator."""

    is_cut: bool = False


def read_sdf(source: Source) -> Rows:
    """Records of an SDF; labels and splits come from its data items (``> <name>``)."""
    with source.text() as lines:
        records = _records(lines, source)
        first = list(islice(records, _LOOK_AHEAD))
        if not first:
            raise MoleblendError(f"{source.shown} holds no molecules; expected SDF records ended by $$$$")
        _check_tags(source, first)
        labels = source.label_reader(_decimal_commas(source, first))
        for row, record in enumerate(chain(first, records)):
            yield _row(source, row, record, labels)


def _row(source: Source, row: int, record: SdfRecord, labels: LabelReader) -> RawRow | Rejection:
    block, items = _parts(record)
    raw = RawRow(source.name, row, block, "molblock")
    if len(record) >= _LONGEST_RECORD:
        return Rejection(source.name, row, raw.shown, f"record longer than {_LONGEST_RECORD} lines")
    names = source.columns.targets
    tags = dict(items)
    try:
        _check_items(record, items, (*names, source.columns.split))
        numbers = labels.read([tags.get(name, "") for name in names])
    except ValueError as error:
        return Rejection(source.name, row, raw.shown, str(error))
    split = tags.get(source.columns.split, "")
    return RawRow(source.name, row, block, "molblock", numbers, split, items=tuple(tags.items()))


def _check_items(record: SdfRecord, items: list[tuple[str, str]], used: Iterable[str]) -> None:
    """Refuse a record whose labels are not sure.

    Raises:
        ValueError: an item stands there twice with different values, or the file may be cut off in it.
    """
    values: dict[str, str] = {}
    wanted = set(used) - {""}
    for name, value in items:
        if name in wanted and values.setdefault(name, value) != value:
            raise ValueError(f"data item twice: {name!r} holds {values[name][:40]!r} and {value[:40]!r}")
    if record.is_cut and record[-1].strip() and items and items[-1][0] in wanted:
        raise ValueError(f"record cut off: the file ends in data item {items[-1][0]!r}, without $$$$")


def _records(lines: Iterable[str], source: Source) -> Iterator[SdfRecord]:
    """Lines of each record, without the separator; a last record may lack it."""
    record, number = SdfRecord(), 0
    for number, line in enumerate(lines, 1):
        text = line.rstrip("\r\n")
        if text.startswith("$$$$"):
            yield from _parted(record, number, source)
            record = SdfRecord()
        elif len(record) < _LONGEST_RECORD:
            record.append(text)
    if any(text.strip() for text in record):
        record.is_cut = True
        yield from _parted(record, number, source)


def _parted(record: SdfRecord, number: int, source: Source) -> Iterator[SdfRecord]:
    """``record``, or its parts where a separator is missing between mol blocks.

    A mol block that is the value of a data item begins right below the line with the item's name.
    """
    starts = [
        place - 3
        for place, line in enumerate(record)
        if place > 3 and _COUNTS.match(line) and not (place > 4 and _TAG.match(record[place - 4]))
    ]
    ends = [place for place, line in enumerate(record) if line.startswith("M  END")] if starts else []
    cuts = [start for start in starts if ends and start > ends[0]]
    if not cuts:
        yield record
        return
    first = number - len(record)
    source.add_note(
        f"lacks $$$$ between records, such as before line {first + cuts[0]}: read as records of their own"
    )
    for start, end in zip([0, *cuts], [*cuts, len(record)], strict=True):
        part = SdfRecord(record[start:end])
        part.is_cut = record.is_cut and end == len(record)
        yield part


def take_apart(record: list[str]) -> tuple[str, dict[str, str]]:
    """Mol block and data items of a record; of items with one name the last."""
    block, items = _parts(record)
    return block, dict(items)


def _parts(record: list[str]) -> tuple[str, list[tuple[str, str]]]:
    start = next((n for n, line in enumerate(record) if n >= 3 and _TAG.match(line)), len(record))
    end = next((n + 1 for n, line in enumerate(record[:start]) if line.startswith("M  END")), start)
    items: list[tuple[str, str]] = []
    for line in record[start:]:
        match = _TAG.match(line)
        if match:
            items.append((match[1].strip(), ""))
        elif items and line.strip():
            name, value = items[-1]
            items[-1] = name, f"{value}\n{line.strip()}" if value else line.strip()
    return "\n".join(record[:end]) + "\n", items


def _decimal_commas(source: Source, records: list[SdfRecord]) -> frozenset[str]:
    """The data items of labels whose numbers have decimal commas in ``records``."""
    items = [take_apart(record)[1] for record in records] if source.columns.targets else []
    return frozenset(
        name
        for name in source.columns.targets
        if has_decimal_commas(tags[name] for tags in items if name in tags)
    )


def _check_tags(source: Source, records: list[SdfRecord]) -> None:
    wanted = [name for name in (*source.columns.targets, source.columns.split) if name]
    if not wanted:
        return
    present: dict[str, None] = {}
    for record in records:
        present.update(dict.fromkeys(take_apart(record)[1]))
    for name in wanted:
        if name not in present:
            raise missing_column(source, name, list(present), "data item")


def _resembles_sdf(head: Head) -> Fit:
    """Certain where the first record has a line of counts, or any ends; possible where a mol block does."""
    counts = len(head.lines) > 3 and _COUNTS.match(head.lines[3].rstrip("\r\n"))
    if counts or any(line.startswith("$$$$") for line in head.lines):
        return Fit.CERTAIN
    return Fit.POSSIBLE if any(line.startswith("M  END") for line in head.lines) else Fit.NONE


SDF: Final = Format("an SDF", (".sdf", ".sd", ".mol"), _resembles_sdf, read_sdf, has_columns=True)
