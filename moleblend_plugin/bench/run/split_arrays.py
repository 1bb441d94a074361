"""The parts of a set as arrays: what every model is trained on and scored on, row for row the same."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from moleblend_plugin.data.store.reader import MoleculeStore
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.schema import Float64Array


class PartArrays(NamedTuple):
    """One part of a set.

    Attributes:
        ids: ``file:row`` of every molecule, M of them.
        smiles: canonical SMILES.
        targets: [M, T], NaN where a label is missing.
        names: of the T targets.
        path: the store.
    """

    ids: list[str]
    smiles: list[str]
    targets: Float64Array
    names: tuple[str, ...]
    path: Path


def read_arrays(folder: Path, part: str) -> PartArrays:
    """Read a store.

    Raises:
        MoleblendError: it is missing, damaged, empty or has no labels.
    """
    store = MoleculeStore(folder / f"{part}.lmdb")
    names = tuple(store.meta.target_names)
    if not len(store) or not names:
        what = "molecules" if names else "target columns"
        raise MoleblendError(f"{store.path} holds no {what}: build the set with a {part} part and labels")
    records = list(store)
    return PartArrays(
        ids=[record.row_id for record in records],
        smiles=[record.smiles for record in records],
        targets=np.stack([record.targets for record in records]).astype(np.float64),
        names=names,
        path=store.path,
    )
