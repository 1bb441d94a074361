"""Reader of `.sdf` files: records are cut out as text, so that a broken one costs only itself."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import chain, islice
from typing import Final, TextIO

from moleblend_plugin.chem.rows import RawRow
from moleblend_plugin.chem.sources import Rows, Source, missing_column, parse_targets
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.schema import Rejection

_TAG: Final = re.compile(r"^>.*<([^>]*)>")
_LOOK_AHEAD: Final = 200
"""Records searched for the tags that are asked for, before a missing one is called an error."""

_LONGEST_RECORD: Final = 200_000
"""Lines of one record; a file without separators must not fill the memory."""


def read_sdf(source: Source) -> Rows:
    """Records of an SDF; labels and splits come from its data items (``> <name>``)."""
    with source.text() as lines:
        records = _records(lines)
        first = list(islice(records, _LOOK_AHEAD))
        if not first:
            raise MoleblendError(f"{source.path} holds no molecules; expected SDF records ended by $$$$")
        _check_tags(source, first)
        for row, record in enumerate(chain(first, records)):
            yield _row(source, row, record)


def peek_sdf(source: Source, count: int) -> tuple[list[str], list[list[str]]]:
    """Names of the data items in the first ``count`` records, and their values there; "" where absent."""
    with source.text() as lines:
        found = [take_apart(record)[1] for record in islice(_records(lines), count)]
    names = list(dict.fromkeys(name for tags in found for name in tags))
    return names, [[tags.get(name, "") for name in names] for tags in found]


def _row(source: Source, row: int, record: list[str]) -> RawRow | Rejection:
    block, tags = take_apart(record)
    raw = RawRow(source.name, row, block, "molblock")
    if len(record) >= _LONGEST_RECORD:
        return Rejection(source.name, row, raw.shown, f"record longer than {_LONGEST_RECORD} lines")
    names = source.columns.targets
    try:
        labels = parse_targets(names, [tags.get(name, "") for name in names])
    except ValueError as error:
        return Rejection(source.name, row, raw.shown, str(error))
    split = tags.get(source.columns.split, "")
    return RawRow(source.name, row, block, "molblock", labels, split, items=tuple(tags.items()))


def _records(lines: TextIO) -> Iterator[list[str]]:
    """Lines of each record, without the separator; a last record may lack it."""
    record: list[str] = []
    for line in lines:
        text = line.rstrip("\r\n")
        if text.startswith("$$$$"):
            yield record
            record = []
        elif len(record) < _LONGEST_RECORD:
            record.append(text)
    if any(text.strip() for text in record):
        yield record


def take_apart(record: list[str]) -> tuple[str, dict[str, str]]:
    """Mol block and data items of a record. Values of several lines are joined by line ends."""
    start = next((n for n, line in enumerate(record) if n >= 3 and _TAG.match(line)), len(record))
    end = next((n + 1 for n, line in enumerate(record[:start]) if line.startswith("M  END")), start)
    tags: dict[str, str] = {}
    name = ""
    for line in record[start:]:
        match = _TAG.match(line)
        if match:
            name = match[1]
            tags[name] = ""
        elif name and line.strip():
            tags[name] += ("\n" if tags[name] else "") + line.strip()
    return "\n".join(record[:end]) + "\n", tags


def _check_tags(source: Source, records: list[list[str]]) -> None:
    wanted = [name for name in (*source.columns.targets, source.columns.split) if name]
    if not wanted:
        return
    present: dict[str, None] = {}
    for record in records:
        present.update(dict.fromkeys(take_apart(record)[1]))
    for name in wanted:
        if name not in present:
            raise missing_column(source, name, list(present), "data item")
