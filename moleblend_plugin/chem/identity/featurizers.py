"""Numbers of a molecule that stores, and heads of networks, may hold beside its atoms, and probes of them.

Some varied molecules are the probe: where two versions of RDKit agree on them, they compute the same.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from functools import cache, lru_cache
from hashlib import sha256
from typing import Any, Final

import numpy as np

from moleblend_plugin.chem.identity.descriptors import DESCRIPTORS, stable_descriptors
from moleblend_plugin.chem.identity.sparse_ecfp import sparse_ecfp4
from moleblend_plugin.schema import Array, Float32Array, MoleculeRecord

PROBE_SMILES: Final = (
    "B(O)(O)c1ccccc1",
    "C#CCOC1=NSN=C1N2CCOCC2",
    "C1CCCCC1C(=O)OC(C)(C)C",
    "CC(=O)Oc1ccccc1C(=O)O",
    "CC1(C)SC2C(NC(=O)Cc3ccccc3)C(=O)N2C1C(=O)O",
    "CC12CCC3C(CCC4=CC(=O)CCC34C)C1CCC2O",
    "CCCCCCCCCCCCBr",
    "CCN(CC)CCNC(=O)c1ccc(N)cc1",
    "CN1C=NC2=C1C(=O)N(C(=O)N2C)C",
    "CN1CCC23c4c5ccc(O)c4OC2C(O)C=CC3C1C5",
    "CS(=O)(=O)Nc1ccc(cc1)C#N",
    "C[N+](C)(C)CC(=O)[O-]",
    "C[Se]c1ccccc1C=NO",
    "Clc1ccc(cc1Cl)C(F)(F)c1ncc[nH]1",
    "NC(=N)NCCCC(N)C(=O)OCc1ccco1",
    "NC(=S)NN=Cc1cccs1",
    "O=C([O-])c1ccccc1.[Na+]",
    "O=C1NC(=O)C(CC)(CC)C(=O)N1",
    "O=P(O)(O)OCC1OC(n2cnc3c(N)ncnc32)C(O)C1O",
    "O=[N+]([O-])c1ccc(N=Nc2ccc(O)cc2)cc1I",
    "Cc1nnn(n1)CC(=O)N=[N+]=[N-]",
    "FC1OC1c1ccc2cc3ccccc3cc2c1",
    "CC(C)(C)NCC(O)c1cc(C=O)[n+]([O-])cc1S",
    "CC1=C(C(=O)OC)C(c2ccccn2)C(C(N)=O)=C(C)N1",
    "CN(N=O)CCN=C=S",
    "COC(=O)NCC(=O)C1CCC(=O)O1",
    "CS(=O)(=O)N1CCN(CC1)c1nc(co1)-c1cscn1",
    "Clc1ccc2NC(=O)CN=C(c3ccccc3)c2c1",
    "N#CSCCN=C=O",
    "NC(=N)c1cc(OC)c(NN)cc1[N+](=O)[O-]",
    "C[CH]C(=O)C=[N+]=[N-]",
)
"""Drugs, charges, a salt, halogens, boron, selenium, and most of the groups that RDKit counts."""

_BLANK: Final[dict[str, Array]] = {
    "descriptors": np.full(len(DESCRIPTORS), np.nan, np.float32),
    "ecfp": np.empty((0, 2), np.uint16),
}
"""By field of a record: what stands for a molecule that RDKit cannot read, though it wrote it."""


@cache
def probe_values() -> Float32Array:
    """Descriptors of the probe, float32 [P, F] in the order of ``DESCRIPTORS``, NaN where there is none."""
    return np.stack([stable_descriptors(smiles) for smiles in PROBE_SMILES])


@cache
def probe_ecfp() -> str:
    """sha256 (hex) of the probe's fingerprints: equal ones are computed alike."""
    found = sha256()
    for smiles in PROBE_SMILES:
        counts = sparse_ecfp4(smiles).astype("<u2")
        found.update(len(counts).to_bytes(2, "little") + counts.tobytes())
    return found.hexdigest()


def featurized(record: MoleculeRecord, names: Collection[str]) -> MoleculeRecord:
    """``record`` with this RDKit's "descriptors", "ecfp" or both, whichever ``names`` has."""
    fields: dict[str, Any] = {name: _values(name, record.smiles) for name in names}
    return replace(record, **fields)


@lru_cache(maxsize=4096)  # the networks of an ensemble read the same molecules one after the other
def _values(name: str, smiles: str) -> Array:
    compute = stable_descriptors if name == "descriptors" else sparse_ecfp4
    try:
        values: Array = compute(smiles)
    except ValueError:
        values = _BLANK[name].copy()
    values.setflags(write=False)
    return values
