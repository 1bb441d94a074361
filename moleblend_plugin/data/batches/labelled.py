"""Stored molecules with labels: what a property run trains on, evaluates and predicts.

L labels per molecule, M molecules, N atoms.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from moleblend_plugin.data.batches.dataset import Records, StoredMolecules
from moleblend_plugin.data.head_inputs import HeadInputs
from moleblend_plugin.data.samples.blend import Sample, unblended
from moleblend_plugin.data.samples.featurize import featurize
from moleblend_plugin.data.store.reader import DamagedValue
from moleblend_plugin.schema import InputMode, MoleculeRecord

ConformerUse = Literal["draw", "all"]


class PropertyMolecules(StoredMolecules):
    """Molecules as they are, with their labels.

    Args:
        records: the molecules.
        columns: which columns of ``MoleculeRecord.targets`` are the labels, [L].
        input_mode: "2d", "3d" or "both"; a molecule without 3D shows 2D.
        seed: the run's seed.
        shuffle: whether :meth:`order` shuffles (training).
        conformers: "draw" one per molecule and epoch (an item is a molecule), or "all" (an item is a
            conformer; this reads every record once).
        strict: whether a damaged row is an error, else it is left out of its batch.
        counts: conformers of every molecule [M], where they are known already ("all" only).
        weight_column: which column of ``MoleculeRecord.targets`` holds weights; ``None``: all count alike.
        head_inputs: what the network's head reads beside the encoder; ``None``: nothing.
        extra_columns: which columns of ``MoleculeRecord.targets`` are its ``extra_descriptors``, [X].
    """

    def __init__(
        self,
        records: Records,
        columns: Sequence[int],
        input_mode: InputMode,
        seed: int,
        shuffle: bool = False,
        conformers: ConformerUse = "draw",
        strict: bool = False,
        counts: npt.NDArray[np.int64] | None = None,
        weight_column: int | None = None,
        head_inputs: HeadInputs | None = None,
        extra_columns: Sequence[int] = (),
    ) -> None:
        super().__init__(records, seed, shuffle, strict)
        self.columns = np.array(columns, np.int64)
        self.weight_column = weight_column
        self.head_inputs = head_inputs
        self.extra_columns = np.array(extra_columns, np.int64)
        self.input_mode = input_mode
        self._items: npt.NDArray[np.int64] | None = None  # [items, 2]: molecule, conformer
        if conformers == "all":
            counts = count_conformers(records) if counts is None else counts
            molecules = np.repeat(np.arange(len(counts)), counts)
            first = np.repeat(np.cumsum(counts) - counts, counts)
            self._items = np.stack((molecules, np.arange(len(molecules)) - first), axis=1)

    def __len__(self) -> int:
        return len(self.records) if self._items is None else len(self._items)

    def item_of(self, index: int) -> tuple[int, int | None]:
        """Molecule of item ``index`` and its conformer, ``None`` where one is drawn in every epoch."""
        if self._items is None:
            return index, None
        molecule, conformer = self._items[index]
        return int(molecule), int(conformer)

    def sizes(self) -> npt.NDArray[np.uint16]:
        """Heavy atoms of every item, [len]."""
        n_atoms = self.records.n_atoms
        return n_atoms if self._items is None else n_atoms[self._items[:, 0]]

    def sample(self, record: MoleculeRecord, conformer: int, molecule: int) -> Sample:
        """Input and labels of one conformer."""
        targets = record.targets[self.columns].astype(np.float32)
        sample = unblended(featurize(record, conformer, self.codes), self.input_mode) | {"targets": targets}
        if self.weight_column is not None:
            sample["weights"] = np.array(record.targets[self.weight_column], np.float32)
        if self.head_inputs is not None:
            if len(self.extra_columns):
                record = replace(record, extra_descriptors=record.targets[self.extra_columns])
            sample["head_inputs"] = self.head_inputs(record)
        return sample


def count_conformers(records: Records) -> npt.NDArray[np.int64]:
    """Items that evaluation makes of every molecule, [M]: its conformers, and one where it has no 3D."""
    counts = np.ones(len(records), np.int64)
    for index in range(len(records)):
        try:
            coords = records[index].coords
        except DamagedValue:
            continue  # told when the item is read
        if coords is not None:
            counts[index] = len(coords)
    return counts
