"""Molecules on disk: LMDB stores, their metadata, checksums and images."""

from typing import TYPE_CHECKING

from moleblend_plugin.lazy import exports

if TYPE_CHECKING:
    from moleblend_plugin.data.store.image_file import ImageFile, ImageWriter
    from moleblend_plugin.data.store.meta import StoreMeta
    from moleblend_plugin.data.store.reader import DamagedValue, MoleculeStore
    from moleblend_plugin.data.store.writer import StoreWriter

__all__ = [
    "DamagedValue",
    "ImageFile",
    "ImageWriter",
    "MoleculeStore",
    "StoreMeta",
    "StoreWriter",
]

__getattr__ = exports(__name__, __file__)
