"""Stored molecules as pretraining samples: item order follows the index, randomness the arguments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from moleblend_plugin.data.batching import epoch_order
from moleblend_plugin.data.blend import BlendConfig, Sample, blend, choose_pairs
from moleblend_plugin.data.collate import Batch, collate
from moleblend_plugin.data.damage import DamagedRows
from moleblend_plugin.data.featurize import featurize
from moleblend_plugin.data.rng import Purpose, generator
from moleblend_plugin.data.store import DamagedValue
from moleblend_plugin.schema import MoleculeRecord


class Records(Protocol):
    """What a data set reads: a store, or any sequence of records that knows their sizes."""

    @property
    def n_atoms(self) -> npt.NDArray[np.uint16]:
        """Heavy atoms of every record, [len]."""

    def __len__(self) -> int:
        """Number of records."""

    def __getitem__(self, index: int) -> MoleculeRecord:
        """Record number ``index``."""


class BlendedMolecules:
    """Blend-then-predict samples of stored molecules.

    Args:
        records: the molecules.
        config: how they are blended.
        seed: the run's seed.
        shuffle: whether :meth:`order` shuffles (training).
        strict: whether a damaged row is an error, else it is left out of its batch.

    Attributes:
        damaged: the rows left out so far.
    """

    def __init__(
        self,
        records: Records,
        config: BlendConfig,
        seed: int,
        shuffle: bool = False,
        strict: bool = False,
    ) -> None:
        self.records = records
        self.config = config
        self.seed = seed
        self.shuffle = shuffle
        self.strict = strict
        self.damaged = DamagedRows(len(records))
        self.epoch = 1

    def __len__(self) -> int:
        return len(self.records)

    def set_epoch(self, epoch: int) -> None:
        """Draw other conformers, blends and noise from now on."""
        self.epoch = epoch

    def __getitem__(self, index: int) -> Sample:
        """Sample ``index``; of a damaged row an empty one, which :meth:`collate` leaves out.

        Raises:
            MoleblendError: the row is damaged, and ``strict`` or the only one left.
        """
        try:
            record = self.records[index]
        except DamagedValue as damage:
            if self.strict:
                raise
            self.damaged.leave_out(index, damage)
            return {}
        conformer = 0
        if record.coords is not None and len(record.coords) > 1:
            draw = generator(self.seed, self.epoch, index, Purpose.CONFORMER)
            conformer = int(draw.integers(len(record.coords)))
        sample = blend(featurize(record, conformer), self.config, self.seed, self.epoch, index)
        sample["index"] = np.array(index)
        return sample

    def row_id(self, index: int) -> str:
        """``file:row`` of a molecule in its source, for reports."""
        return self.records[index].row_id

    def order(self, batch_size: int) -> npt.NDArray[np.int64]:
        """Order of indices in this epoch, for consecutive batches of ``batch_size``."""
        return epoch_order(self.records.n_atoms, batch_size, self.seed, self.epoch, self.shuffle)

    def collate(self, samples: Sequence[Sample]) -> Batch:
        """Pad ``samples`` to one batch; with blend scope "batch" all share one mask of pairs.

        The empty samples of damaged rows are left out; with nothing else in it the batch is ``{}``.
        """
        samples = [sample for sample in samples if sample]
        if samples and self.config.blend_scope == "batch":
            samples = self._share_mask(samples)
        return collate(samples)

    def _share_mask(self, samples: Sequence[Sample]) -> list[Sample]:
        largest = max(len(sample["atom_codes"]) for sample in samples)
        first = int(samples[0]["index"])
        uniform = generator(self.seed, self.epoch, first, Purpose.PAIRS).random(
            (largest, largest), np.float32
        )
        shared = []
        for sample in samples:
            n_atoms = len(sample["atom_codes"])
            part = uniform[:n_atoms, :n_atoms]
            shared.append(
                sample | {"pair_shown": choose_pairs(part, self.config, bool(sample["has_coords"]))}
            )
        return shared
