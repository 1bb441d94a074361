"""Features of molecules for the baselines, from SMILES."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from moleblend_plugin.chem.identity.fingerprints import FeatureRows, descriptors, ecfp4, ecfp4_counts

FEATURES: Final[dict[str, Callable[[Sequence[str]], FeatureRows]]] = {
    "ecfp4": ecfp4,
    "ecfp4-counts": ecfp4_counts,
    "descriptors": descriptors,
}
"""By name of the features, what makes them."""

MISSING: Final = frozenset({"descriptors"})
"""Features in which single values may be NaN."""


def molecule_features(names: Sequence[str], smiles: Sequence[str]) -> FeatureRows:
    """Features side by side.

    Args:
        names: keys of :data:`FEATURES`, such as ``BASELINES["descriptors-rf"].features``.
        smiles: M molecules.

    Returns:
        Values [M, F]: float32 where several are joined, else as :data:`FEATURES` gives them. Columns of
        descriptors have RDKit's names, those of fingerprints none, so ``names`` is shorter than F where
        fingerprints stand after descriptors.
    """
    blocks = [FEATURES[name](smiles) for name in names]
    if len(blocks) == 1:
        return blocks[0]
    reasons = {number: reason for block in blocks for number, reason in block.reasons.items()}
    columns = tuple(name for block in blocks for name in block.names)
    return FeatureRows(joined([block.values for block in blocks]), reasons, columns)


def joined(blocks: Sequence[npt.NDArray[Any]]) -> npt.NDArray[Any]:
    """Features [M, F] side by side: a single block as it is, several as float32, which trees work in."""
    return blocks[0] if len(blocks) == 1 else np.concatenate(blocks, axis=1, dtype=np.float32)
