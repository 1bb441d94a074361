"""Descriptors from a file of molecules to a checkpoint, and what does not go together."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pytest
from rdkit import Chem
from rdkit.Chem import rdFingerprintGenerator

from moleblend_plugin import build
from moleblend_plugin.chem.identity.descriptors import DESCRIPTORS, stable_descriptors
from moleblend_plugin.data.descriptor_scale import DescriptorScale
from moleblend_plugin.data.store.reader import MoleculeStore
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.tasks.pretrain.molecule_terms import check_molecule_terms, choose_molecule_terms
from tests.trainers import EMBEDDED, NO_DROPOUT, last_state, launch, logged, train

SMILES = [
    *(
        "CCO",
        "CC(C)(C)O",
        "[Na+].CC(=O)[O-]",
        "c1ccccc1C(=O)NC",
        "C[C@H](N)C(=O)O",
        "[13CH4]",
        "CCOCC",
        "*CC",
    ),
    *("CCCCCCl", "C1CCNCC1", "c1ccncc1Br", "FC(F)(F)c1ccccc1", "CC#N", "OCC(O)CO", "c1ccc2[nH]ccc2c1"),
    "O=S(=O)(N)c1ccccc1",
]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The same molecules, built with descriptors and without."""
    folder = tmp_path_factory.mktemp("described")
    (folder / "some.smi").write_text("\n".join(SMILES) + "\n")
    for name, wanted in (("with", True), ("without", False)):
        out, sizes = folder / name, (0.75, 0.25, 0.0)
        build(
            folder / "some.smi", out, conformers=None, split="random", split_sizes=sizes,
            descriptors=wanted, workers=1,
        )  # fmt: skip
    build(folder / "some.smi", folder / "ecfp", conformers=None, ecfp=True, workers=1)
    return {name: folder / name for name in ("with", "without", "ecfp")}


def test_records_hold_raw_values_and_metadata_the_transform(folders: dict[str, Path]) -> None:
    train_part = MoleculeStore(folders["with"] / "train.lmdb")
    held = train_part.meta.settings["descriptors"]
    assert held["names"] == list(DESCRIPTORS)
    assert held["toolkit"].startswith("RDKit ")
    rows = []
    for record in train_part:
        assert record.descriptors is not None
        np.testing.assert_array_equal(record.descriptors, stable_descriptors(record.smiles))
        rows.append(record.descriptors)
    again = DescriptorScale.fit(np.stack(rows), DESCRIPTORS, held["toolkit"])
    wanted = again.to_plain()
    assert {name: held[name] for name in wanted} == wanted  # of the training part alone
    assert MoleculeStore(folders["with"] / "valid.lmdb").meta.settings["descriptors"] == held


def test_a_store_without_is_as_before(folders: dict[str, Path]) -> None:
    store = MoleculeStore(folders["without"] / "train.lmdb")
    assert "descriptors" not in store.meta.settings
    assert all(record.descriptors is None for record in store)


def test_a_store_as_input_gets_them_and_loses_them(folders: dict[str, Path], tmp_path: Path) -> None:
    build(folders["without"] / "train.lmdb", tmp_path / "gets", conformers=None, descriptors=True, workers=1)
    record = MoleculeStore(tmp_path / "gets" / "train.lmdb")[0]
    assert record.descriptors is not None
    np.testing.assert_array_equal(record.descriptors, stable_descriptors(record.smiles))
    build(folders["with"] / "train.lmdb", tmp_path / "loses", conformers=None, workers=1)
    assert MoleculeStore(tmp_path / "loses" / "train.lmdb")[0].descriptors is None


def test_a_run_learns_them_and_its_checkpoint_says_which(folders: dict[str, Path], tmp_path: Path) -> None:
    flags = ("--lr", "3e-3", *NO_DROPOUT, "--whole-share", 0.5, "--best-checkpoint-metric", "descriptor_mae")
    log = train(EMBEDDED, folders["with"], tmp_path, "--max-update", 24, *flags)
    updates = logged(log, "train_inner")
    first, last = (sum(u["descriptor_loss"] for u in part) / 6 for part in (updates[:6], updates[-6:]))
    assert last < 0.7 * first
    args = last_state(tmp_path)["args"]
    assert args.descriptor_weight == 5
    assert args.descriptors == MoleculeStore(folders["with"] / "train.lmdb").meta.settings["descriptors"]
    refused = launch(EMBEDDED, folders["without"], tmp_path, "--max-update", 30, *flags[:-2])
    assert "did not learn the descriptors" in refused.stderr
    resumed = train(EMBEDDED, folders["with"], tmp_path, "--max-update", 26, *flags)
    assert [update["num_updates"] for update in logged(resumed, "train_inner")] == [25, 26]


def test_a_weight_of_0_builds_no_head(folders: dict[str, Path], tmp_path: Path) -> None:
    log = train(EMBEDDED, folders["with"], tmp_path, "--max-update", 1, "--descriptor-weight", 0)
    assert "descriptor_loss" not in logged(log, "train_inner")[0]
    state = last_state(tmp_path)
    assert state["args"].descriptors is None
    assert not any("descriptor" in name for name in state["model"])


@pytest.mark.parametrize(
    ("part", "weight", "wanted"),
    [("with", None, 5.0), ("with", 2.0, 2.0), ("with", 0.0, 0.0), ("without", None, 0.0)],
)
def test_the_weight_follows_the_store(
    folders: dict[str, Path], tmp_path: Path, part: str, weight: float | None, wanted: float
) -> None:
    args = argparse.Namespace(descriptor_weight=weight, save_dir=str(tmp_path), restore_file=None)
    choose_molecule_terms(args, MoleculeStore(folders[part] / "train.lmdb"))
    assert args.descriptor_weight == wanted
    assert bool(args.descriptors) == (wanted > 0)


def test_what_does_not_go_together_is_one_line(folders: dict[str, Path], tmp_path: Path) -> None:
    args = argparse.Namespace(descriptor_weight=1.0, save_dir=str(tmp_path), restore_file=None)
    with pytest.raises(MoleblendError, match="build it again with 'moleblend build --descriptors'"):
        choose_molecule_terms(args, MoleculeStore(folders["without"] / "train.lmdb"))
    choose_molecule_terms(args, MoleculeStore(folders["with"] / "train.lmdb"))
    with pytest.raises(MoleblendError, match="build all parts together"):
        check_molecule_terms(args, MoleculeStore(folders["without"] / "valid.lmdb"))


def test_fingerprints_are_stored_sparse_and_learned(folders: dict[str, Path], tmp_path: Path) -> None:
    store = MoleculeStore(folders["ecfp"] / "train.lmdb")
    assert store.meta.settings["ecfp"]["bits"] == 2048
    for record in store:
        assert record.ecfp is not None
        dense = np.zeros(2048, np.uint16)
        dense[record.ecfp[:, 0]] = record.ecfp[:, 1]
        plain = record.smiles.replace("[13CH4]", "C")  # isotopes are not seen
        np.testing.assert_array_equal(dense, fingerprint(plain))
    flags = ("--lr", "3e-3", *NO_DROPOUT, "--whole-share", 0.5, "--valid-subset", "train")
    updates = logged(train(EMBEDDED, folders["ecfp"], tmp_path, "--max-update", 30, *flags), "train_inner")
    first, last = (sum(u["ecfp_loss"] for u in part) / 6 for part in (updates[:6], updates[-6:]))
    assert last < 0.2 * first
    assert last_state(tmp_path)["args"].ecfp == store.meta.settings["ecfp"]


def fingerprint(smiles: str) -> np.ndarray:
    generator = rdFingerprintGenerator.GetMorganGenerator(radius=2, fpSize=2048)
    return generator.GetCountFingerprintAsNumPy(Chem.MolFromSmiles(smiles)).astype(np.uint16)
