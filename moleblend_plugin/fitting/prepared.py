"""A table that is read, divided and has settings for its size: what ``fit`` and ``tune`` begin with."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from moleblend_plugin.fitting.defaults import with_defaults
from moleblend_plugin.fitting.folder import LEAKS
from moleblend_plugin.fitting.parts import OUT, Divided, divide
from moleblend_plugin.fitting.table import FitTable
from moleblend_plugin.schema import PARTS
from moleblend_plugin.splits.report import PartIdentities, read_identities, split_report
from moleblend_plugin.splits.split_list import EXCLUDED, SPLIT_LIST, write_split_list


class Prepared(NamedTuple):
    """What training begins with.

    Attributes:
        table: its options leave nothing open.
        divided: its parts.
        identities: of its molecules.
        learned: int64 [n], places of the molecules that train: of the parts train and valid.
    """

    table: FitTable
    divided: Divided
    identities: PartIdentities
    learned: npt.NDArray[np.int64]


def prepare(table: FitTable, say: Callable[[str], None], progress: Callable[[float, str], None]) -> Prepared:
    """Divide a table, and settle what its options leave open.

    Args:
        table: as it was read.
        say: told what was guessed, a line each.
        progress: told what is done.

    Raises:
        MoleblendError: the parts that are asked for cannot be made.
    """
    for note in table.notes:
        say(note)
    progress(0.0, "dividing")
    identities = read_identities(table.records)
    divided = divide(table, identities)
    for note in divided.notes:
        say(note)
    learned = np.concatenate((divided.rows("train"), divided.rows("valid")))
    learned.sort()
    options = with_defaults(table.options, len(learned))
    if divided.method in ("random", "stratified"):
        options = replace(options, split=divided.method)
    return Prepared(table._replace(options=options), divided, identities, learned)


def write_parts(folder: Path, prepared: Prepared) -> str:
    """Write ``split.json`` and the report on leaks; the hash of the split."""
    table, divided, identities, _ = prepared
    ids = table.row_ids

    def row_ids(part: str) -> Iterator[str]:
        number = OUT if part == EXCLUDED else PARTS.index(part)
        return (ids[row] for row in np.flatnonzero(divided.parts == number).tolist())

    found = write_split_list(folder / SPLIT_LIST, divided.method, divided.settings, row_ids)
    parts = {}
    for part in PARTS:
        rows = divided.rows(part).tolist()
        if rows:
            parts[part] = PartIdentities(
                [identities.identities[row] for row in rows],
                [identities.row_ids[row] for row in rows],
                [identities.targets[row] for row in rows],
            )
    report = split_report(parts, table.names)
    (folder / LEAKS).write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    return found
