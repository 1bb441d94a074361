"""Molecules from files to numbers: readers, conformers, codes. RDKit is imported here and in ``splits``."""

from typing import TYPE_CHECKING

from moleblend_plugin.lazy import exports

if TYPE_CHECKING:
    from moleblend_plugin.chem.convert import ConversionConfig, convert_molecule
    from moleblend_plugin.chem.geometry.conformers import ConformerConfig
    from moleblend_plugin.chem.identity.fingerprints import ecfp4
    from moleblend_plugin.chem.identity.parents import parent_of
    from moleblend_plugin.chem.identity.scaffold import scaffold_of, scaffold_split
    from moleblend_plugin.chem.readers.label_text import LabelRules
    from moleblend_plugin.chem.readers.raw_row import RawRow
    from moleblend_plugin.chem.readers.source import Columns

__all__ = [
    "Columns",
    "ConformerConfig",
    "ConversionConfig",
    "LabelRules",
    "RawRow",
    "convert_molecule",
    "ecfp4",
    "parent_of",
    "scaffold_of",
    "scaffold_split",
]

__getattr__ = exports(__name__, __file__)
