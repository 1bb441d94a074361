"""``--molecule-featurizers descriptors``: from a build to predictions by the checkpoint alone."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from moleblend_plugin import MoleblendRegressor, build
from moleblend_plugin.chem.convert import ConversionConfig, convert_molecule
from moleblend_plugin.chem.identity.descriptors import DESCRIPTORS
from moleblend_plugin.data.store.reader import MoleculeStore, StoreWriter
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.inference import featurized
from moleblend_plugin.inference.input_rows import Input
from moleblend_plugin.inference.outputs import predict_to_table
from moleblend_plugin.inference.predictor import Predictor
from moleblend_plugin.inputs import open_molecules
from moleblend_plugin.schema import MoleculeRecord
from moleblend_plugin.trainer.checkpoints.file import read_checkpoint
from tests.labelled import fit, regression_tables, write_labelled

CHAINS = [
    f"{start}{'C' * length}{end}"
    for start in ("O", "N", "Cl")
    for end in ("", "O", "c1ccccc1")
    for length in (2, 3, 5)
]
SALT = "[Na+].[O-]C(=O)c1ccccc1"
READS = ("--molecule-featurizers", "descriptors", "--input-mode", "2d", "--readout", "mean", "--lr", "1e-2")


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The label is what a descriptor says."""
    path = tmp_path_factory.mktemp("table") / "x.csv"
    lines = [f"{smiles},{len(smiles) + number % 3},{'valid' if number % 4 == 0 else 'train'}"
             for number, smiles in enumerate([*CHAINS, SALT])]  # fmt: skip
    path.write_text("\n".join(["smiles,y,part", *lines]) + "\n")
    return path


def built(table: Path, folder: Path, **more: bool) -> Path:
    build(table, folder, conformers=None, workers=1, target_columns="y", split="column:part", **more)
    return folder


@pytest.fixture(scope="module")
def data(table: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built(table, tmp_path_factory.mktemp("data"), descriptors=True)


@pytest.fixture(scope="module")
def run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three epochs, the last in another start."""
    folder = tmp_path_factory.mktemp("run")
    fit(data, folder, *READS, "--max-epoch", 2)
    fit(data, folder, *READS, "--max-epoch", 3)
    return folder


def records(*smiles: str) -> list[MoleculeRecord]:
    made = [convert_molecule(text, row, ConversionConfig(None)) for row, text in enumerate(smiles)]
    assert all(isinstance(each, MoleculeRecord) for each in made)
    return [each for each in made if isinstance(each, MoleculeRecord)]


def test_a_checkpoint_alone_predicts_what_validation_measured(data: Path, run: Path, tmp_path: Path) -> None:
    predictor = Predictor.from_checkpoint(run / "checkpoint_last.pt", "cpu")
    assert predictor.featurizers == ("descriptors",)
    store = MoleculeStore(data / "valid.lmdb")
    predicted = predictor.predict_store(store)[:, 0]
    labels = np.array([record.targets[0] for record in store])
    logged = read_checkpoint(run / "checkpoint_last.pt")["extra_state"]["val_loss"]
    scale = float(torch.as_tensor(read_checkpoint(run / "checkpoint_last.pt")["model"]["target_std"]))
    assert np.mean(((predicted - labels) / scale) ** 2) == pytest.approx(logged, rel=1e-4)
    smiles = [record.smiles for record in store]
    computed = np.array(list(predictor.predict_records(records(*smiles))))[:, 0]
    np.testing.assert_allclose(computed, predicted, rtol=1e-4, atol=1e-5)


def test_files_and_estimators_predict_the_same(table: Path, data: Path, run: Path, tmp_path: Path) -> None:
    checkpoint = run / "checkpoint_last.pt"
    predictor = Predictor.from_checkpoint(checkpoint, "cpu")
    expected = np.concatenate([predictor.predict_store(MoleculeStore(data / f"{part}.lmdb"))
                               for part in ("train", "valid")])[:, 0]  # fmt: skip
    held = [record.smiles for part in ("train", "valid") for record in MoleculeStore(data / f"{part}.lmdb")]
    estimated = MoleblendRegressor.load(checkpoint, device="cpu").predict(held)
    np.testing.assert_allclose(estimated, expected, rtol=1e-4, atol=1e-5)
    for source, rows in ((table, len(held)), (data / "valid.lmdb", 7)):
        given = Input(open_molecules(source), ConversionConfig(None), featurizers=predictor.featurizers)
        assert predict_to_table(predictor, given, tmp_path / "out.csv", 8, lambda _: None).done == rows
        with (tmp_path / "out.csv").open() as lines:
            found = {
                row["row_id"].partition("[")[0]: float(row["predicted_y"]) for row in csv.DictReader(lines)
            }
        ids = [
            record.row_id for part in ("train", "valid") for record in MoleculeStore(data / f"{part}.lmdb")
        ]
        for row_id, value in zip(ids, expected, strict=True):
            if row_id in found:
                assert found[row_id] == pytest.approx(value, rel=1e-4, abs=1e-5)


def test_descriptors_matter(run: Path) -> None:
    predictor = Predictor.from_checkpoint(run / "checkpoint_last.pt", "cpu")
    (record,) = records("OCCCO")
    other = replace(record, descriptors=np.full(len(DESCRIPTORS), np.nan, np.float32))
    mine, without = predictor.predict_records([record, other])
    assert abs(mine - without)[0] > 1e-4


def test_the_checkpoint_keeps_names_scale_version_and_probe(data: Path, run: Path) -> None:
    kept = read_checkpoint(run / "checkpoint_last.pt")["args"].descriptors
    assert kept == MoleculeStore(data / "train.lmdb").meta.settings["descriptors"]
    assert kept["names"] == list(DESCRIPTORS)
    assert kept["toolkit"].startswith("RDKit ")
    assert set(kept["transform"]) == {"low", "high", "mean", "std"}
    assert len(kept["probe"]["smiles"]) >= 20


def test_resuming_changes_nothing(data: Path, run: Path, tmp_path: Path) -> None:
    fit(data, tmp_path, *READS, "--max-epoch", 3)
    weights, others = (read_checkpoint(path / "checkpoint_last.pt")["model"] for path in (run, tmp_path))
    assert all(torch.equal(weights[name], others[name]) for name in weights)


def test_a_store_without_descriptors_is_told(table: Path, run: Path, tmp_path: Path) -> None:
    folder = built(table, tmp_path / "plain")
    with pytest.raises(
        MoleblendError, match=r"train.lmdb holds no descriptors; build it again with 'moleblend build "
    ):
        fit(folder, tmp_path / "run", *READS, "--max-epoch", 1)
    predictor = Predictor.from_checkpoint(run / "checkpoint_last.pt", "cpu")
    store = MoleculeStore(folder / "valid.lmdb")  # predictions compute them
    expected = list(predictor.predict_records(records(*(record.smiles for record in store))))
    np.testing.assert_allclose(predictor.predict_store(store), expected, rtol=1e-5)


def rewritten(store: MoleculeStore, path: Path, keep: list[int], **changes: object) -> None:
    """The store with some of its descriptors, in another order."""
    held = store.meta.settings["descriptors"]
    names = [held["names"][place] for place in keep]
    numbers = {key: [values[place] for place in keep] for key, values in held["transform"].items()}
    without = {key: value for key, value in held.items() if key != "probe"}
    settings = {"descriptors": without | {"names": names, "transform": numbers} | changes}
    with StoreWriter(path, settings=settings, sources={}, split=path.stem, target_names=("y",)) as writer:
        for record in store:
            assert record.descriptors is not None
            writer.add(replace(record, descriptors=record.descriptors[keep]))


def test_stores_are_matched_by_name(data: Path, run: Path, tmp_path: Path) -> None:
    train, valid = (MoleculeStore(data / f"{part}.lmdb") for part in ("train", "valid"))
    order = list(range(len(DESCRIPTORS)))
    rewritten(train, tmp_path / "train.lmdb", order)
    rewritten(valid, tmp_path / "valid.lmdb", order[::-1])
    logged = fit(tmp_path, tmp_path / "run", *READS, "--max-epoch", 1)
    expected = fit(data, tmp_path / "expected", *READS, "--max-epoch", 1)
    assert logged[0]["loss"] == expected[0]["loss"]
    predictor = Predictor.from_checkpoint(run / "checkpoint_last.pt", "cpu")
    found = predictor.predict_store(MoleculeStore(tmp_path / "valid.lmdb"))
    np.testing.assert_allclose(found, predictor.predict_store(valid), rtol=1e-5)
    (tmp_path / "valid.lmdb").unlink()
    rewritten(valid, tmp_path / "valid.lmdb", order[3:])
    with pytest.raises(
        MoleblendError, match=rf"valid.lmdb lacks descriptors .*: {', '.join(DESCRIPTORS[:3])};"
    ):
        fit(tmp_path, tmp_path / "run2", *READS, "--max-epoch", 1)
    found = predictor.predict_store(MoleculeStore(tmp_path / "valid.lmdb"))  # computed
    np.testing.assert_allclose(found, predictor.predict_store(valid), rtol=1e-5)
    (tmp_path / "valid.lmdb").unlink()
    rewritten(valid, tmp_path / "valid.lmdb", order, toolkit="RDKit 1990.1")
    with pytest.raises(MoleblendError, match=r"has those of RDKit 1990.1, and whether they"):
        fit(tmp_path, tmp_path / "run3", *READS, "--max-epoch", 1)


def test_resuming_with_other_descriptors_is_refused(data: Path, run: Path, tmp_path: Path) -> None:
    rewritten(MoleculeStore(data / "train.lmdb"), tmp_path / "train.lmdb", list(range(50)))
    with pytest.raises(MoleblendError, match="reads other descriptors than .*train.lmdb holds: train on"):
        fit(tmp_path, run, *READS, "--max-epoch", 4, "--disable-validation")


def test_an_rdkit_that_computes_otherwise_is_refused(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = featurized.probe_values().copy()
    here[3, DESCRIPTORS.index("TPSA")] += 1
    monkeypatch.setattr(featurized, "probe_values", lambda: here)
    monkeypatch.setattr(featurized, "TOOLKIT", "RDKit 2031.03.1")
    message = r"of RDKit \d+.*, and those of this installation \(RDKit 2031.03.1\) differ in TPSA: "
    with pytest.raises(MoleblendError, match=message):
        Predictor.from_checkpoint(run / "checkpoint_last.pt", "cpu")
    with pytest.raises(MoleblendError, match=message):
        MoleblendRegressor.load(run / "checkpoint_last.pt").predict(["CCO"])


def test_names_that_this_version_lacks_are_told(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(featurized, "DESCRIPTORS", tuple(name for name in DESCRIPTORS if name != "TPSA"))
    with pytest.raises(
        MoleblendError, match="this installation lacks descriptors that the network reads: TPSA;"
    ):
        Predictor.from_checkpoint(run / "checkpoint_last.pt", "cpu")


@pytest.mark.parametrize("reads", ["ecfp", "both"])
def test_fingerprints_are_read_too(
    table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reads: str
) -> None:
    data = built(table, tmp_path / "data", descriptors=reads == "both", ecfp=True)
    fit(data, tmp_path, *READS, "--molecule-featurizers", reads, "--max-epoch", 1)
    predictor = Predictor.from_checkpoint(tmp_path / "checkpoint_last.pt", "cpu")
    store = MoleculeStore(data / "valid.lmdb")
    computed = np.array(list(predictor.predict_records(records(*(record.smiles for record in store)))))
    np.testing.assert_allclose(predictor.predict_store(store), computed, rtol=1e-5)
    blank = [replace(record, ecfp=np.empty((0, 2), np.uint16)) for record in store]
    assert np.abs(np.array(list(predictor.predict_records(blank))) - computed).min() > 1e-5
    kept = read_checkpoint(tmp_path / "checkpoint_last.pt")["args"].ecfp
    assert kept == store.meta.settings["ecfp"]
    assert kept["probe"] == featurized.probe_ecfp()
    monkeypatch.setattr(featurized, "probe_ecfp", lambda: "another")
    with pytest.raises(MoleblendError, match="reads fingerprints of RDKit .* differ: install rdkit=="):
        Predictor.from_checkpoint(tmp_path / "checkpoint_last.pt", "cpu")


@pytest.mark.parametrize("reads", ["descriptors", "both"])
def test_an_estimator_learns_from_them(tmp_path: Path, reads: str) -> None:
    """Of few molecules and epochs, but what it reads is what the label says."""
    quick: dict[str, Any] = {"checkpoint": None, "input_mode": "2d", "epochs": 6, "learning_rate": 3e-3}
    labels = np.array([float(len(smiles)) for smiles in CHAINS])
    estimator = MoleblendRegressor(**quick, batch_size=4, molecule_featurizers=reads, device="cpu")
    predicted = estimator.fit(CHAINS, labels).predict(CHAINS)
    assert np.corrcoef(predicted, labels)[0, 1] > 0.7
    estimator.save(tmp_path / "model.pt")
    loaded = MoleblendRegressor.load(tmp_path / "model.pt")
    np.testing.assert_allclose(loaded.predict(CHAINS), predicted, rtol=1e-5)
    assert loaded.get_params() == estimator.get_params()
    assert Predictor.from_checkpoint(tmp_path / "model.pt", "cpu").featurizers[0] == "descriptors"


def test_an_unknown_featurizer_is_told() -> None:
    with pytest.raises(MoleblendError, match="molecule_featurizers='morgan' is unknown; choose from none"):
        MoleblendRegressor(molecule_featurizers="morgan").fit(CHAINS, [1.0] * len(CHAINS))


def test_another_run_begins_from_the_encoder_of_this_one(run: Path, tmp_path: Path) -> None:
    data = write_labelled(tmp_path, regression_tables())
    fit(data, tmp_path / "run", "--finetune-from-model", run / "checkpoint_last.pt", "--max-epoch", 1)
    args = read_checkpoint(tmp_path / "run" / "checkpoint_last.pt")["args"]
    assert not hasattr(args, "descriptors")
    assert Predictor.from_checkpoint(tmp_path / "run" / "checkpoint_last.pt").featurizers == ()
