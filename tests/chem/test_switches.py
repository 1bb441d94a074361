"""What RDKit is told elsewhere changes nothing that is compared, split by, embedded or drawn."""

import numpy as np
import pytest
from rdkit import Chem

from moleblend_plugin.chem.convert import ConversionConfig, convert
from moleblend_plugin.chem.draw import draw_png
from moleblend_plugin.chem.geometry.conformers import ConformerConfig
from moleblend_plugin.chem.identity.descriptors import _stable, all_descriptors
from moleblend_plugin.chem.identity.fingerprints import descriptors, ecfp4
from moleblend_plugin.chem.identity.likeness import LEVELS, identity
from moleblend_plugin.chem.identity.scaffold import scaffold_of
from moleblend_plugin.chem.readers.raw_row import RawRow
from moleblend_plugin.schema import MoleculeRecord
from moleblend_plugin.splits.report import identify

MOLECULES = [
    "C(=C/c1ccccc1)\\c1ccccc1",
    "O=C1/C(=C/c2ccccc2)CC[C@@H]1C",
    "C[C@H]1CC[C@@H](C(=O)O)CC1",
    "C/C(=N\\O)c1ccc([S@](C)=O)cc1",
    "C[C@H](O)[C@@H](O)[C@@H](C)O",
    "O[C@H]1[C@H](O)[C@@H](O)[C@H](O)[C@@H](O)[C@@H]1O",
    "[Na+].C[C@H](N)C([O-])=O",
    "N[Pt@SP1](N)(Cl)Cl",
    "C1C[N@]2CC[C@@H]1CC2",
    "C/C=C/[C@H](/C=C\\C)c1ccccc1",
    "CC1C2CCC1CC2",
]


def everything(smiles: str) -> tuple:
    config = ConversionConfig(conformers=ConformerConfig(relax_steps=20))
    record = convert(RawRow("x", 0, smiles, "smiles"), config)
    assert isinstance(record, MoleculeRecord)
    texts = [identity(record.smiles, level) for level in LEVELS]
    coords = None if record.coords is None else record.coords.tolist()
    codes = record.atom_codes.tolist(), record.bond_codes.tolist()
    for kept in (_stable, all_descriptors):
        kept.cache_clear()  # computed now
    numbers = descriptors([record.smiles]).values[0]
    return (
        (record.smiles, codes, record.coords_from, coords),
        texts,
        identify(record.smiles),
        [scaffold_of(record.smiles, chiral) for chiral in (True, False)],
        ecfp4([record.smiles]).values.tolist(),
        np.where(np.isnan(numbers), 0, numbers).tolist(),
        draw_png(record.smiles, 64),
    )


@pytest.mark.parametrize(
    "name", ["UseLegacyStereoPerception", "AllowNontetrahedralChirality", "UseLegacyRingFinding"]
)
def test_codes_texts_scaffolds_and_numbers_are_those_of_the_defaults(name: str) -> None:
    if not hasattr(Chem, f"Set{name}"):
        pytest.skip(f"this RDKit has no {name}")
    get, switch = getattr(Chem, f"Get{name}"), getattr(Chem, f"Set{name}")
    before = get()
    wanted = [everything(smiles) for smiles in MOLECULES]
    switch(not before)
    try:
        found = [everything(smiles) for smiles in MOLECULES]
        assert get() is not before  # the caller's choice stands
    finally:
        switch(before)
    for smiles, one, other in zip(MOLECULES, wanted, found, strict=True):
        for this, that in zip(one, other, strict=True):
            assert this == that, smiles
