"""ECFP4 counts of one molecule as a store keeps them: the columns that are not 0."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from rdkit import rdBase
from rdkit.Chem import rdFingerprintGenerator

from moleblend_plugin.chem.identity.descriptors import as_networks_see
from moleblend_plugin.chem.identity.fingerprints import ECFP_BITS, ECFP_RADIUS
from moleblend_plugin.schema import UInt16Array

_MOST: Final = int(np.iinfo(np.uint16).max)
_GENERATOR: Final = rdFingerprintGenerator.GetMorganGenerator(radius=ECFP_RADIUS, fpSize=ECFP_BITS)


def sparse_ecfp4(smiles: str) -> UInt16Array:
    """Columns and counts, uint16 [K, 2], by column: Morgan environments of radius 2, folded to 2048 columns.

    Of the molecule as networks see it, like :func:`stable_descriptors`; without chirality.

    Raises:
        ValueError: RDKit cannot read the SMILES.
    """
    with rdBase.BlockLogs():
        found: dict[int, Any] = _GENERATOR.GetCountFingerprint(as_networks_see(smiles)).GetNonzeroElements()
    pairs = [(column, min(count, _MOST)) for column, count in sorted(found.items())]
    return np.array(pairs, np.uint16).reshape(-1, 2)


def ecfp_settings(toolkit: str) -> dict[str, Any]:
    """What a store's metadata say of its fingerprints."""
    return {"radius": ECFP_RADIUS, "bits": ECFP_BITS, "toolkit": toolkit}
