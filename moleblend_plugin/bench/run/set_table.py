"""The table that a set is built from: its file, or a copy with other names of columns or with fewer rows.

``sample`` draws rows at random, every molecule with a label of class 1 among them. The draw is the same for
equal tables and seeds. Given rows of a split (``rows:FILE``) keep their parts. Molecules of class 0 in all
tasks are thinned out alike in every part, which leaves the expectation of an area under a ROC curve as it is
and makes the share of class 1 larger.
"""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np

from moleblend_plugin.bench.spec.config import SetSpec
from moleblend_plugin.chem.readers.text_files import GZIP
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.files import replacing
from moleblend_plugin.schema import PARTS
from moleblend_plugin.splits.given_rows import RowsFile, read_rows_file

_CLASS_1: Final = frozenset({"1", "1.0", "true", "yes", "active", "positive"})


def with_table(spec: SetSpec, out: Path) -> SetSpec:
    """The set with the table to build from; a copy by ``header`` and ``sample`` lies in ``out/tables``.

    Raises:
        MoleblendError: the table is no CSV file, or has no such columns.
    """
    if spec.sample is None and not spec.header:
        return spec
    header, rows = _read(spec.table)
    if spec.header and len(spec.header) != len(header):
        raise MoleblendError(
            f"{spec.name}: header names {len(spec.header)} columns, {spec.table} has {len(header)}; name all"
        )
    header = list(spec.header) or header
    kind, _, name = spec.split.partition(":")
    given = read_rows_file(name) if kind == "rows" else None
    if given is not None and given.key:
        raise MoleblendError(f"{spec.name}: sample cannot be used with rows by {given.key}; leave sample out")
    parts = [given.part_of(number) if given else "all" for number in range(len(rows))]
    usable = np.array([bool(part) for part in parts])
    always = usable & _with_class_1(spec, header, rows)
    chosen = list(range(len(rows)))
    if spec.sample is not None:
        chosen = _drawn(usable, always, spec.sample, spec.split_seed)
    folder = out / "tables"
    folder.mkdir(parents=True, exist_ok=True)
    table = folder / f"{spec.name}.csv"
    with replacing(table) as temporary, temporary.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream, lineterminator="\n").writerows([header, *(rows[number] for number in chosen)])
    split = spec.split if given is None else _rows_of(given, parts, chosen, folder / f"{spec.name}.json")
    return replace(spec, table=table, split=split)


def about_sample(spec: SetSpec) -> str:
    """What the report says of a sampled set, "" for a whole one."""
    if spec.sample is None:
        return ""
    kept = ", all with a label of class 1 among them" if spec.kind == "classification" else ""
    return f"{spec.name}: {spec.sample:,} rows of the table, drawn at random{kept}"


def _drawn(
    usable: np.ndarray[tuple[int], np.dtype[np.bool_]],
    always: np.ndarray[tuple[int], np.dtype[np.bool_]],
    count: int,
    seed: int,
) -> list[int]:
    """Row numbers in order: all of ``always``, the rest drawn among ``usable``."""
    others = np.flatnonzero(usable & ~always)
    wanted = max(0, count - int(always.sum()))
    drawn = np.random.default_rng(seed).permutation(others)[:wanted]
    numbers: list[int] = sorted([*np.flatnonzero(always).tolist(), *drawn.tolist()])
    return numbers


def _with_class_1(
    spec: SetSpec, header: Sequence[str], rows: Sequence[Sequence[str]]
) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Rows with a label of class 1; none of a regression."""
    if spec.kind == "regression":
        return np.zeros(len(rows), bool)
    absent = [name for name in spec.targets if name not in header and spec.targets != ("all",)]
    if absent:
        raise MoleblendError(f"{spec.table} has no column {absent[0]!r}; correct targets of {spec.name}")
    columns = [
        place
        for place, name in enumerate(header)
        if (name in spec.targets if spec.targets != ("all",) else name != spec.smiles)
    ]
    words = _CLASS_1 | {word.lower() for word in (spec.words or {}).get("positive", ())}
    found = [
        any(row[place].strip().lower() in words for place in columns if place < len(row)) for row in rows
    ]
    return np.array(found, bool)


def _rows_of(given: RowsFile, parts: Sequence[str], chosen: Sequence[int], path: Path) -> str:
    """A file of the same parts for the drawn rows, which have new numbers."""
    lists = {part: [place for place, number in enumerate(chosen) if parts[number] == part] for part in PARTS}
    with replacing(path) as temporary:
        temporary.write_text(json.dumps({**lists, "of": given.path.name}), encoding="utf-8")
    return f"rows:{path}"


def _read(path: Path) -> tuple[list[str], list[list[str]]]:
    """Header and rows of a CSV file, plain or packed with gzip."""
    try:
        with path.open("rb") as raw:
            packed = raw.read(len(GZIP)) == GZIP
        with (gzip.open if packed else open)(path, "rt", newline="", encoding="utf-8") as stream:
            header, *rows = [row for row in csv.reader(stream) if row]
    except (OSError, EOFError, ValueError, csv.Error) as error:
        raise MoleblendError(
            f"{path} cannot be copied ({error}): sample and header need a CSV file"
        ) from error
    return header, rows
