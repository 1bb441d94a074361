"""Stored molecules -> relations -> blended samples -> padded batches. No RDKit in this room."""

from typing import TYPE_CHECKING

from moleblend_plugin.lazy import exports

if TYPE_CHECKING:
    from moleblend_plugin.data.batches.collate import collate
    from moleblend_plugin.data.batches.dataset import BlendedMolecules, StoredMolecules
    from moleblend_plugin.data.batches.labelled import PropertyMolecules
    from moleblend_plugin.data.batches.viewed import ViewedMolecules
    from moleblend_plugin.data.samples.blend import BlendConfig
    from moleblend_plugin.data.samples.featurize import featurize
    from moleblend_plugin.data.store.meta import StoreMeta
    from moleblend_plugin.data.store.reader import MoleculeStore
    from moleblend_plugin.data.store.writer import StoreWriter
    from moleblend_plugin.data.unimol.reader import UniMolFile
    from moleblend_plugin.data.unimol.writer import write_unimol

__all__ = [
    "BlendConfig",
    "BlendedMolecules",
    "MoleculeStore",
    "PropertyMolecules",
    "StoreMeta",
    "StoreWriter",
    "StoredMolecules",
    "UniMolFile",
    "ViewedMolecules",
    "collate",
    "featurize",
    "write_unimol",
]

__getattr__ = exports(__name__, __file__)
