"""RDKit's 2D descriptors, one molecule at a time: all, and those that are stable, a fixed list of names.

A fit asks for both, of the same molecules and more than once: what was computed is kept by SMILES.

Left out of RDKit's own list, which grows in its middle (so names count here, never positions): what RDKit
2023.9 does not have; what 2023.9 and 2026.9 compute differently (NumHAcceptors for 26 % of drug-like
molecules, fr_unbrch_alkane for 7.5 %, SPS and fr_prisulfonamd for 1 %); Ipc and AvgIpc (beyond float32 for
large molecules); Kappa3 and Phi (which jump by thousands between isomers); and qed, which follows from others
and takes a quarter of the time of all.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

import numpy as np
from rdkit import Chem, rdBase
from rdkit.Chem import Descriptors
from rdkit.Chem.EState import EState

from moleblend_plugin.chem.reading import from_smiles, pinned
from moleblend_plugin.schema import FLOAT32_MAX, Float32Array, Float64Array


def _numbered(stem: str, count: int) -> tuple[str, ...]:
    return tuple(f"{stem}{number}" for number in range(1, count + 1))


_ESTATE: Final = ("MaxAbsEStateIndex", "MaxEStateIndex", "MinAbsEStateIndex", "MinEStateIndex")

DESCRIPTORS: Final[tuple[str, ...]] = (
    *_ESTATE,
    *("MolWt", "HeavyAtomMolWt", "ExactMolWt", "NumValenceElectrons", "NumRadicalElectrons"),
    *("MaxPartialCharge", "MinPartialCharge", "MaxAbsPartialCharge", "MinAbsPartialCharge"),
    *_numbered("FpDensityMorgan", 3),
    *("BCUT2D_MWHI", "BCUT2D_MWLOW", "BCUT2D_CHGHI", "BCUT2D_CHGLO"),
    *("BCUT2D_LOGPHI", "BCUT2D_LOGPLOW", "BCUT2D_MRHI", "BCUT2D_MRLOW"),
    *("BalabanJ", "BertzCT", "Chi0", "Chi0n", "Chi0v", "Chi1", "Chi1n", "Chi1v", "Chi2n", "Chi2v"),
    *("Chi3n", "Chi3v", "Chi4n", "Chi4v", "HallKierAlpha", "Kappa1", "Kappa2", "LabuteASA"),
    *_numbered("PEOE_VSA", 14),
    *_numbered("SMR_VSA", 10),
    *_numbered("SlogP_VSA", 12),
    "TPSA",
    *_numbered("EState_VSA", 11),
    *_numbered("VSA_EState", 10),
    *("FractionCSP3", "HeavyAtomCount", "NHOHCount", "NOCount", "NumAliphaticCarbocycles"),
    *("NumAliphaticHeterocycles", "NumAliphaticRings", "NumAromaticCarbocycles", "NumAromaticHeterocycles"),
    *("NumAromaticRings", "NumHDonors", "NumHeteroatoms", "NumRotatableBonds", "NumSaturatedCarbocycles"),
    *("NumSaturatedHeterocycles", "NumSaturatedRings", "RingCount", "MolLogP", "MolMR"),
    *("fr_Al_COO", "fr_Al_OH", "fr_Al_OH_noTert", "fr_ArN", "fr_Ar_COO", "fr_Ar_N", "fr_Ar_NH", "fr_Ar_OH"),
    *("fr_COO", "fr_COO2", "fr_C_O", "fr_C_O_noCOO", "fr_C_S", "fr_HOCCN", "fr_Imine", "fr_NH0", "fr_NH1"),
    *("fr_NH2", "fr_N_O", "fr_Ndealkylation1", "fr_Ndealkylation2", "fr_Nhpyrrole", "fr_SH", "fr_aldehyde"),
    *("fr_alkyl_carbamate", "fr_alkyl_halide", "fr_allylic_oxid", "fr_amide", "fr_amidine", "fr_aniline"),
    *(
        "fr_aryl_methyl",
        "fr_azide",
        "fr_azo",
        "fr_barbitur",
        "fr_benzene",
        "fr_benzodiazepine",
        "fr_bicyclic",
    ),
    *("fr_diazo", "fr_dihydropyridine", "fr_epoxide", "fr_ester", "fr_ether", "fr_furan", "fr_guanido"),
    *("fr_halogen", "fr_hdrzine", "fr_hdrzone", "fr_imidazole", "fr_imide", "fr_isocyan", "fr_isothiocyan"),
    *("fr_ketone", "fr_ketone_Topliss", "fr_lactam", "fr_lactone", "fr_methoxy", "fr_morpholine"),
    *("fr_nitrile", "fr_nitro", "fr_nitro_arom", "fr_nitro_arom_nonortho", "fr_nitroso", "fr_oxazole"),
    *("fr_oxime", "fr_para_hydroxylation", "fr_phenol", "fr_phenol_noOrthoHbond", "fr_phos_acid"),
    *("fr_phos_ester", "fr_piperdine", "fr_piperzine", "fr_priamide", "fr_pyridine", "fr_quatN"),
    *("fr_sulfide", "fr_sulfonamd", "fr_sulfone", "fr_term_acetylene", "fr_tetrazole", "fr_thiazole"),
    *("fr_thiocyan", "fr_thiophene", "fr_urea"),
)
"""The names, F of them, in the order of :func:`stable_descriptors`."""

_FUNCTIONS: Final[dict[str, Any]] = dict(Descriptors.descList)

ALL_DESCRIPTORS: Final = tuple(_FUNCTIONS)
"""All names, in the order of :func:`all_descriptors`; versions of RDKit differ in them."""

_KEPT: Final = 16_384
"""Molecules whose descriptors are kept, the last ones: 55 MB at most."""


def stable_descriptors(smiles: str) -> Float32Array:
    """The descriptors of a molecule, float32 [F]; NaN where RDKit has no finite value, or no such descriptor.

    Of the molecule as networks see it: without hydrogens (which change 86 of RDKit's descriptors when they
    are explicit), isotopes and atom maps, whatever the SMILES' atom order.

    Raises:
        ValueError: RDKit cannot read the SMILES.
    """
    return _stable(smiles).astype(np.float32)


@lru_cache(maxsize=_KEPT)
def _stable(smiles: str) -> Float64Array:
    with rdBase.BlockLogs(), pinned():
        mol = as_networks_see(smiles)
        return _finite([_value(mol, name) for name in DESCRIPTORS])


@lru_cache(maxsize=_KEPT)
def all_descriptors(smiles: str) -> Float64Array:
    """All of RDKit's descriptors of a molecule as it is written, float64; NaN as above. Read only.

    Raises:
        ValueError: RDKit cannot read the SMILES.
    """
    with rdBase.BlockLogs(), pinned():
        mol = from_smiles(smiles)
        if mol is None:
            raise ValueError(f"RDKit cannot read {smiles!r}")
        if any(atom.GetIsotope() or atom.GetAtomicNum() == 1 for atom in mol.GetAtoms()):
            compute: Any = Descriptors.CalcMolDescriptors  # untyped
            found = compute(mol, missingVal=np.nan, silent=True)
        else:  # networks see the same
            found = dict(zip(DESCRIPTORS, _stable(smiles).tolist(), strict=True))
        return _finite([found[name] if name in found else _value(mol, name) for name in ALL_DESCRIPTORS])


def _finite(values: list[float]) -> Float64Array:
    """Without what float32 cannot hold, which trees and networks work in; read only."""
    found = np.array(values, np.float64)
    found[~(np.abs(found) <= FLOAT32_MAX)] = np.nan
    found.setflags(write=False)
    return found


def as_networks_see(smiles: str) -> Chem.Mol:
    """The molecule without hydrogens, isotopes and atom maps.

    Raises:
        ValueError: RDKit cannot read the SMILES.
    """
    with pinned():
        mol = from_smiles(smiles)
        if mol is None:
            raise ValueError(f"RDKit cannot read {smiles!r}")
        for atom in mol.GetAtoms():
            atom.SetIsotope(0)
        return Chem.RemoveHs(mol)


def _value(mol: Chem.Mol, name: str) -> float:
    """One descriptor; RDKit has none of some molecules, such as partial charges of metals, and raises."""
    try:
        if name in _ESTATE:  # they share what takes their time, and RDKit computes it again by default
            return float(getattr(EState, name)(mol, force=False))
        return float(_FUNCTIONS[name](mol))
    except (KeyError, ValueError, RuntimeError, ZeroDivisionError, OverflowError):
        return np.nan
