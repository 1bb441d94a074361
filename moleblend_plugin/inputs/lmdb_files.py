"""Molecules in LMDB files, Uni-Mol's and our own stores: labels come with them, by the names there."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Final

import numpy as np

from moleblend_plugin.chem.readers.raw_row import RawRow
from moleblend_plugin.chem.readers.source import Fit, Format, Head, Rows, Source, missing_column
from moleblend_plugin.chem.readers.text_files import LMDB_MAGIC
from moleblend_plugin.chem.readers.unimol import row_of, targets_of
from moleblend_plugin.data.store.reader import DamagedValue, MoleculeStore, is_store
from moleblend_plugin.data.unimol.reader import UniMolFile
from moleblend_plugin.schema import Rejection

_LOOK_AHEAD: Final = 100
"""Values of Uni-Mol's searched for one with labels, to count them."""


def _resembles_unimol(head: Head) -> Fit:
    return Fit.CERTAIN if _is_lmdb(head) and not is_store(head.path) else Fit.NONE


def _resembles_store(head: Head) -> Fit:
    return Fit.CERTAIN if _is_lmdb(head) and is_store(head.path) else Fit.NONE


def _is_lmdb(head: Head) -> bool:
    return head.start[16:20] in LMDB_MAGIC


def _read_unimol(source: Source) -> Rows:
    file = UniMolFile(source.path)
    n_targets = len(source.columns.targets)
    for done, entry in enumerate(file, 1):
        source.rows_done = done / len(file)
        if entry.value is None:
            yield Rejection(source.name, entry.key, "", entry.problem)
        else:
            yield row_of(source.name, entry.key, entry.value, n_targets, source.path.stem)


def _unimol_labels(path: Path) -> tuple[str, ...]:
    """``target_0`` and so on: as many as the first value has that can be read."""
    for entry in islice(UniMolFile(path), _LOOK_AHEAD):
        if entry.value is not None and "target" in entry.value:
            try:
                return tuple(f"target_{index}" for index in range(len(targets_of(entry.value))))
            except ValueError:
                continue
    return ()


def _read_store(source: Source) -> Rows:
    store = MoleculeStore(source.path)
    places = []
    for name in source.columns.targets:
        if name not in store.meta.target_names:
            raise missing_column(source, name, list(store.meta.target_names), "label")
        places.append(store.meta.target_names.index(name))
    part = source.path.stem
    for row in range(len(store)):
        source.rows_done = (row + 1) / len(store)
        try:
            record = store[row]
        except DamagedValue as damage:
            yield Rejection(source.name, row, "", f"damaged row: {damage}")
            continue
        labels = tuple(np.asarray(record.targets)[places].tolist())
        yield RawRow(source.name, row, record.smiles, "smiles", labels, part, record=record)


UNIMOL: Final = Format(
    title="a file of Uni-Mol",
    endings=(".lmdb",),
    resembles=_resembles_unimol,
    read=_read_unimol,
    held_labels=_unimol_labels,
    count=lambda path: len(UniMolFile(path)),
)
STORE: Final = Format(
    title="a store",
    endings=(".lmdb",),
    resembles=_resembles_store,
    read=_read_store,
    held_labels=lambda path: tuple(MoleculeStore(path).meta.target_names),
    count=lambda path: len(MoleculeStore(path)),
    holds_records=True,
)
