"""Fixed-length descriptions of molecules for baselines: ECFP4 bits and RDKit's descriptors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
from rdkit import Chem, rdBase
from rdkit.Chem import rdFingerprintGenerator

from moleblend_plugin.chem.identity.descriptors import ALL_DESCRIPTORS, all_descriptors
from moleblend_plugin.chem.reading import from_smiles, pinned

ECFP_BITS: Final = 2048
ECFP_RADIUS: Final = 2
"""Radius 2 is diameter 4, the 4 of ECFP4."""


class FeatureRows(NamedTuple):
    """Rows of numbers, one per molecule.

    Attributes:
        values: [M, F]; a molecule that cannot be done has zeros (bits) or NaN (descriptors).
        reasons: why a molecule cannot be done, by its number.
        names: of the columns, F of them; empty for bits.
    """

    values: npt.NDArray[Any]
    reasons: dict[int, str]
    names: tuple[str, ...] = ()


def ecfp4(smiles: Sequence[str]) -> FeatureRows:
    """Morgan fingerprints of radius 2 folded to 2048 bits: uint8 [M, 2048] of 0 and 1.

    Bits, not counts, without chirality: what papers call ECFP4 (Rogers and Hahn 2010).
    """
    generator = rdFingerprintGenerator.GetMorganGenerator(radius=ECFP_RADIUS, fpSize=ECFP_BITS)
    return _rows(smiles, lambda mol, _: generator.GetFingerprintAsNumPy(mol), np.zeros(ECFP_BITS, np.uint8))


def descriptors(smiles: Sequence[str]) -> FeatureRows:
    """All of RDKit's 2D descriptors: float64 [M, F]; NaN where one is not finite or beyond float32."""
    blank = np.full(len(ALL_DESCRIPTORS), np.nan)
    return _rows(smiles, lambda mol, text: all_descriptors(text), blank)._replace(names=ALL_DESCRIPTORS)


def _rows(
    smiles: Sequence[str], row: Callable[[Chem.Mol, str], npt.NDArray[Any]], blank: npt.NDArray[Any]
) -> FeatureRows:
    values = np.tile(blank, (len(smiles), 1))
    reasons = {}
    with rdBase.BlockLogs(), pinned():
        for number, text in enumerate(smiles):
            mol = from_smiles(text)
            if mol is None or not mol.GetNumAtoms():
                reasons[number] = f"RDKit cannot read {text!r}" if mol is None else "no atoms"
            else:
                values[number] = row(mol, text)
    return FeatureRows(values, reasons)


def ecfp4_counts(smiles: Sequence[str]) -> FeatureRows:
    """Morgan fingerprints of radius 2, counted and folded to 2048 columns: uint16 [M, 2048].

    How often each environment occurs, without chirality (Rogers and Hahn 2010).
    """
    generator = rdFingerprintGenerator.GetMorganGenerator(radius=ECFP_RADIUS, fpSize=ECFP_BITS)

    def row(mol: Chem.Mol, _: str) -> npt.NDArray[np.uint16]:
        counts = generator.GetCountFingerprintAsNumPy(mol)
        found: npt.NDArray[np.uint16] = np.minimum(counts, np.iinfo(np.uint16).max).astype(np.uint16)
        return found

    return _rows(smiles, row, np.zeros(ECFP_BITS, np.uint16))
