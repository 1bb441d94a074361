"""The script of examples/22_explain: what it holds to be true contributions, and how it compares."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from rdkit import Chem
from rdkit.Chem import Crippen

SCRIPT = Path(__file__).resolve().parents[1] / "examples" / "22_explain" / "crippen.py"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("crippen", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("smiles", ["OC(=O)c1ccccc1OC(C)=O", "C[N+](C)(C)CCO", "FC(F)(F)c1cc[nH]c1"])
def test_true_contributions_sum_to_logp(script: ModuleType, smiles: str) -> None:
    parts = script.true_contributions(smiles)
    mol = Chem.MolFromSmiles(smiles)
    assert len(parts) == mol.GetNumAtoms()
    assert parts.sum() == pytest.approx(Crippen.MolLogP(mol))


def test_an_atom_counts_with_its_hydrogens(script: ModuleType) -> None:
    chain, back = script.true_contributions("CCO"), script.true_contributions("OCC")
    np.testing.assert_allclose(chain, back[::-1])
    bare = Crippen.MolLogP(Chem.MolFromSmiles("[H]O[H]"))
    assert script.true_contributions("O").tolist() == pytest.approx([bare])


def test_molecules_are_distinct_and_usable(script: ModuleType, tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_text("smiles\nCCCCO\nOCCCC\nCC\nbad(\n[H]OCCCCC\nc1ccccc1\n")
    assert sorted(script.read_smiles(table, "smiles")) == ["CCCCO", "[H]OCCCCC", "c1ccccc1"]


def test_correlations_by_hand(script: ModuleType) -> None:
    true = [np.array([1.0, 2.0]), np.array([1.0, 2.0]), np.array([3.0])]
    parts = [np.array([2.0, 4.0]), np.array([4.0, 2.0]), np.array([6.0])]
    pooled = np.corrcoef([2, 4, 4, 2, 6], [1, 2, 1, 2, 3])[0, 1]
    assert script.compare(parts, true) == [f"{pooled:.3f}", "0.000", "0.000"]
