"""Stored molecules as samples: item order follows the index, randomness the arguments."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Protocol, cast

import numpy as np
import numpy.typing as npt

from moleblend_plugin.data.batches.collate import Batch, collate
from moleblend_plugin.data.batches.damaged_rows import DamagedRows
from moleblend_plugin.data.batches.order import Order, epoch_order, mixed_order
from moleblend_plugin.data.descriptor_scale import DescriptorScale
from moleblend_plugin.data.rng import Purpose, generator
from moleblend_plugin.data.samples.blend import BlendConfig, Sample, blend, choose_pairs
from moleblend_plugin.data.samples.featurize import featurize
from moleblend_plugin.data.store.reader import DamagedValue
from moleblend_plugin.schema import InputCodes, MoleculeRecord, UInt8Array


class Records(Protocol):
    """What a data set reads: a store, or any sequence of records that knows their sizes."""

    @property
    def n_atoms(self) -> npt.NDArray[np.uint16]:
        """Heavy atoms of every record, [len]."""

    def __len__(self) -> int:
        """Number of records."""

    def __getitem__(self, index: int) -> MoleculeRecord:
        """Record number ``index``."""


class StoredMolecules(ABC):
    """Molecules of a store as the items of a data set; subclasses make a sample of a record.

    Args:
        records: the molecules.
        seed: the run's seed.
        shuffle: whether :meth:`order` shuffles (training).
        strict: whether a damaged row is an error, else it is left out of its batch.

    Attributes:
        damaged: the rows left out so far.
        by_size: whether batches hold molecules of like size, which costs least, or of all.
        codes: which codes the samples show; ``None`` for those that are stored, whatever they are.
    """

    by_size = True
    codes: InputCodes | None = None

    def __init__(self, records: Records, seed: int, shuffle: bool = False, strict: bool = False) -> None:
        self.records = records
        self.seed = seed
        self.shuffle = shuffle
        self.strict = strict
        self.damaged = DamagedRows(len(records))
        self.epoch = 1

    def __len__(self) -> int:
        return len(self.records)

    def set_epoch(self, epoch: int) -> None:
        """Draw other random numbers from now on."""
        self.epoch = epoch

    def item_of(self, index: int) -> tuple[int, int | None]:
        """Molecule of item ``index`` and its conformer, ``None`` where one is drawn in every epoch."""
        return index, None

    def __getitem__(self, index: int) -> Sample:
        """Sample ``index``; of a damaged row an empty one, which :meth:`collate` leaves out.

        Raises:
            MoleblendError: the row is damaged, and ``strict`` or the only one left.
        """
        molecule, conformer = self.item_of(index)
        try:
            record = self.records[molecule]
        except DamagedValue as damage:
            if self.strict:
                raise
            self.damaged.leave_out(molecule, damage)
            return cast("Sample", {})
        if conformer is None:
            conformer = self._draw_conformer(record, index)
        sample = self.sample(record, conformer, molecule)
        sample["index"] = np.array(molecule)
        return sample

    def _draw_conformer(self, record: MoleculeRecord, index: int) -> int:
        if record.coords is None or len(record.coords) < 2:
            return 0
        draw = generator(self.seed, self.epoch, index, Purpose.CONFORMER)
        return int(draw.integers(len(record.coords)))

    @abstractmethod
    def sample(self, record: MoleculeRecord, conformer: int, molecule: int) -> Sample:
        """What the batch holds of one record, without its ``index``."""

    def row_id(self, index: int) -> str:
        """``file:row`` of a molecule in its source, for reports."""
        return self.records[self.item_of(index)[0]].row_id

    def sizes(self) -> npt.NDArray[np.uint16]:
        """Heavy atoms of every item, [len]."""
        return self.records.n_atoms

    def order(self, batch_size: int) -> Order:
        """Order of indices in this epoch, for consecutive batches of ``batch_size``."""
        if not self.by_size:
            return mixed_order(len(self), self.seed, self.epoch)
        return epoch_order(self.sizes(), batch_size, self.seed, self.epoch, self.shuffle)

    def collate(self, samples: Sequence[Sample]) -> Batch:
        """Pad ``samples`` to one batch.

        The empty samples of damaged rows are left out; with nothing else in it the batch is ``{}``.
        """
        return collate([sample for sample in samples if sample])


class BlendedMolecules(StoredMolecules):
    """Blend-then-predict samples of stored molecules.

    Args:
        records: the molecules.
        config: how they are blended.
        seed: the run's seed.
        shuffle: whether :meth:`order` shuffles (training).
        strict: whether a damaged row is an error, else it is left out of its batch.
        scale: how the records' descriptors become targets; ``None`` for samples without.
        ecfp_bits: E, length of the fingerprints that are targets; 0 for samples without.
    """

    def __init__(
        self,
        records: Records,
        config: BlendConfig,
        seed: int,
        shuffle: bool = False,
        strict: bool = False,
        scale: DescriptorScale | None = None,
        ecfp_bits: int = 0,
    ) -> None:
        super().__init__(records, seed, shuffle, strict)
        self.config = config
        self.scale = scale
        self.ecfp_bits = ecfp_bits

    def sample(self, record: MoleculeRecord, conformer: int, molecule: int) -> Sample:
        """The blended sample of this epoch."""
        features = featurize(record, conformer, self.codes)
        sample = blend(features, self.config, self.seed, self.epoch, molecule)
        if self.scale is not None:
            sample["descriptors"] = self.scale.targets(record.descriptors)
        if self.ecfp_bits:
            sample["ecfp"] = np.zeros(self.ecfp_bits, np.uint8)
            if record.ecfp is not None:
                sample["ecfp"][record.ecfp[:, 0]] = np.minimum(record.ecfp[:, 1], 255)
        return sample

    def collate(self, samples: Sequence[Sample]) -> Batch:
        """The same; with blend scope "batch" all samples share one mask of pairs."""
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

        def shown(sample: Sample) -> UInt8Array:
            n_atoms = len(sample["atom_codes"])
            return choose_pairs(uniform[:n_atoms, :n_atoms], self.config, bool(sample["has_coords"]))

        return [sample | {"pair_shown": shown(sample)} for sample in samples]
