"""Multiple bonds keep their length where RDKit's MMFF94 has none for them; no others are touched."""

from __future__ import annotations

import numpy as np
import pytest
from rdkit import Chem

from moleblend_plugin.chem.geometry.conformers import ConformerConfig, make_conformers

UNRELAXED = "ETKDGv3, no MMFF94 length of a multiple bond"


def length(smiles: str, i: int, j: int) -> tuple[float, str]:
    made = make_conformers(Chem.MolFromSmiles(smiles), ConformerConfig())
    return float(np.linalg.norm(made.coords[0, i] - made.coords[0, j])), made.made_by


# Measured: 1.60, 1.16, 1.56, 1.10, 1.43, 1.24, 1.18, 1.16, 1.17, 1.39 (meso bridge of a porphyrin).
@pytest.mark.parametrize(
    ("smiles", "i", "j", "least", "most"),
    [
        ("CN=C=S", 2, 3, 1.5, 1.65),
        ("O=C=O", 0, 1, 1.1, 1.25),
        ("O=C=S", 1, 2, 1.5, 1.65),
        ("N#N", 0, 1, 1.05, 1.2),
        ("O=S=O", 0, 1, 1.3, 1.5),
        ("O=N[O-]", 0, 1, 1.15, 1.3),
        ("[N-]=[N+]=[N-]", 0, 1, 1.1, 1.3),
        ("C#[N+][O-]", 0, 1, 1.1, 1.25),
        ("[C-]#N.[K+]", 0, 1, 1.1, 1.25),
        ("C1=CC2=CC3=CC=C(N3)C=C4C=CC(=N4)C=C5C=CC(=N5)C=C1N2", 2, 3, 1.33, 1.45),
    ],
)
def test_bonds_that_mmff94_has_no_length_for_stay_as_embedded(
    smiles: str, i: int, j: int, least: float, most: float
) -> None:
    found, made_by = length(smiles, i, j)
    assert least < found < most
    assert made_by == UNRELAXED


@pytest.mark.parametrize(
    ("smiles", "i", "j", "measured"),
    [
        ("CP(C)(=S)C", 1, 3, 1.94),
        ("CC(N)=S", 1, 3, 1.65),
        ("CS(C)(=O)=O", 1, 3, 1.44),
        ("CS(C)=O", 1, 3, 1.50),
        ("C[N+](=O)[O-]", 1, 2, 1.22),
        ("c1cnoc1", 2, 3, 1.40),
        ("CN=[N+]=[N-]", 1, 2, 1.24),
        ("C/N=N/C", 1, 2, 1.24),
        ("NC(N)=[NH2+]", 1, 3, 1.33),
        ("O=c1cccccc1", 1, 2, 1.45),
    ],
)
def test_bonds_that_mmff94_knows_are_relaxed(smiles: str, i: int, j: int, measured: float) -> None:
    found, made_by = length(smiles, i, j)
    assert found == pytest.approx(measured, abs=0.08)
    assert made_by == "ETKDGv3+MMFF94"
