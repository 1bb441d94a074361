"""Stored molecules with their views, as MMSA-style (reconstructed) pretraining reads them."""

from __future__ import annotations

from moleblend_plugin.data.batches.dataset import BlendedMolecules, Records, StoredMolecules
from moleblend_plugin.data.samples.blend import Sample, unblended
from moleblend_plugin.data.samples.featurize import featurize
from moleblend_plugin.data.samples.views import ViewMaker
from moleblend_plugin.schema import MoleculeRecord


class ViewedMolecules(StoredMolecules):
    """Molecules with their views, as MMSA-style (reconstructed) pretraining reads them.

    Args:
        records: the molecules.
        make: makes their views.
        seed: the run's seed.
        shuffle: whether :meth:`order` shuffles (training).
        strict: whether a damaged row is an error, else it is left out of its batch.
    """

    def __init__(
        self, records: Records, make: ViewMaker, seed: int, shuffle: bool = False, strict: bool = False
    ) -> None:
        super().__init__(records, seed, shuffle, strict)
        self.make = make

    def sample(self, record: MoleculeRecord, conformer: int, molecule: int) -> Sample:
        """Relations and clean coordinates, and the views of this epoch."""
        shown = unblended(featurize(record, conformer, self.codes), "both")
        return {**shown, **self.make(record, molecule, self.epoch)}


class BlendedViews(BlendedMolecules):
    """Blend-then-predict samples with their views: both objectives on one molecule.

    Args:
        blended: settings and records are taken from it.
        make: makes the views.
    """

    def __init__(self, blended: BlendedMolecules, make: ViewMaker) -> None:
        super().__init__(blended.records, blended.config, blended.seed, blended.shuffle, blended.strict)
        self.make = make

    def sample(self, record: MoleculeRecord, conformer: int, molecule: int) -> Sample:
        """The blended sample and the views of this epoch."""
        return {**super().sample(record, conformer, molecule), **self.make(record, molecule, self.epoch)}
