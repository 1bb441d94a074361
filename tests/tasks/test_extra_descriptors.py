"""``--descriptors-columns``: columns of a store that the head reads, from training to predictions."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from rdkit import Chem

from moleblend_plugin import MoleblendRegressor, build
from moleblend_plugin.chem.convert import ConversionConfig
from moleblend_plugin.data.store.reader import MoleculeStore
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.explain.molecules import explain_molecules
from moleblend_plugin.inference.input_rows import Input
from moleblend_plugin.inference.outputs import predict_to_table
from moleblend_plugin.inference.predictor import Predictor
from moleblend_plugin.inputs import open_molecules
from moleblend_plugin.schema import MoleculeRecord, Rejection
from moleblend_plugin.trainer.checkpoints.file import read_checkpoint
from tests.labelled import fit

CHAINS = [f"{start}{'C' * n}{end}" for start in ("O", "N", "Cl") for end in ("", "O") for n in (2, 3, 4, 5)]
READS = (*("--descriptors-columns", 'T,"pH, assay"'), *("--input-mode", "2d", "--lr", "1e-2"))


def temperature(number: int) -> float | str:
    return "" if number == 5 else 300 + 7 * (number % 11)


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The label is the temperature, but for a constant; one temperature is missing."""
    path = tmp_path_factory.mktemp("table") / "x.csv"
    lines = [
        f"{smiles},{(7 * (number % 11)) / 10},{temperature(number)},{number % 3},"
        + ("valid" if number % 4 == 0 else "train")
        for number, smiles in enumerate(CHAINS)
    ]
    path.write_text("\n".join(['smiles,y,T,"pH, assay",part', *lines]) + "\n")
    return path


@pytest.fixture(scope="module")
def data(table: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    columns = 'y,T,"pH, assay"'
    build(table, folder, conformers=None, workers=1, target_columns=columns, split="column:part")
    return folder


@pytest.fixture(scope="module")
def run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Thirty epochs, the last in another start."""
    folder = tmp_path_factory.mktemp("run")
    fit(data, folder, *READS, "--max-epoch", 29)
    fit(data, folder, *READS, "--max-epoch", 30)
    return folder / "checkpoint_last.pt"


def test_a_checkpoint_keeps_the_scale_of_the_training_part(data: Path, run: Path) -> None:
    args = read_checkpoint(run)["args"]
    values = np.array([record.targets[1:] for record in MoleculeStore(data / "train.lmdb")])
    assert args.target_names == ["y"]
    assert args.extra_descriptors["names"] == ["T", "pH, assay"]
    mean, std = (args.extra_descriptors["transform"][name] for name in ("mean", "std"))
    np.testing.assert_allclose(mean, np.nanmean(values, 0), rtol=1e-6)
    np.testing.assert_allclose(std, np.nanstd(values, 0), rtol=1e-6)
    assert np.isnan(values).sum() == 1


def test_what_is_read_is_learned_and_validation_measures_what_predictions_say(data: Path, run: Path) -> None:
    predictor = Predictor.from_checkpoint(run, "cpu")
    assert (predictor.extra_descriptors, predictor.featurizers) == (("T", "pH, assay"), ())
    store = MoleculeStore(data / "valid.lmdb")
    predicted = predictor.predict_store(store)[:, 0]
    labels = np.array([record.targets[0] for record in store])
    kept = read_checkpoint(run)
    scale = float(torch.as_tensor(kept["model"]["target_std"]))
    logged = kept["extra_state"]["val_loss"]
    assert np.mean(((predicted - labels) / scale) ** 2) == pytest.approx(logged, rel=1e-4)
    assert np.corrcoef(predicted, labels)[0, 1] > 0.9  # valid molecules are no guide to the temperature


def test_a_missing_value_is_the_mean_and_none_at_all_is_refused(data: Path, run: Path) -> None:
    predictor = Predictor.from_checkpoint(run, "cpu")
    record = MoleculeStore(data / "valid.lmdb")[0]
    mean = np.array(read_checkpoint(run)["args"].extra_descriptors["transform"]["mean"])
    given = [
        replace(record, extra_descriptors=np.array(values))
        for values in ([np.nan, 1.0], [mean[0], 1.0], [mean[0] + 20, 1.0])
    ]
    missing, at_mean, other = (float(value[0]) for value in predictor.predict_records(given))
    assert missing == pytest.approx(at_mean, rel=1e-5)
    assert abs(other - at_mean) > 1e-2
    with pytest.raises(MoleblendError, match='has no T, "pH, assay", which the model reads'):
        list(predictor.predict_records([record]))


def test_files_bring_the_columns_by_name(data: Path, run: Path, table: Path, tmp_path: Path) -> None:
    predictor = Predictor.from_checkpoint(run, "cpu")
    expected = predictor.predict_store(MoleculeStore(data / "valid.lmdb"))[:, 0]
    lines = table.read_text().splitlines()
    other = tmp_path / "new.csv"
    valid = [line.split(",") for line in lines[1:] if line.endswith("valid")]
    rows = [f"{ph},{smiles},{t}" for smiles, _, t, ph, _ in valid]
    other.write_text("\n".join(['"pH, assay",smiles,T', *rows, "1,CCO,", "1,CCO,hot", "1,CCO,1.0.0"]) + "\n")

    def predicted(path: Path) -> list[dict[str, str]]:
        given = Input(
            open_molecules(path), ConversionConfig(None), extra_descriptors=predictor.extra_descriptors
        )
        predict_to_table(predictor, given, tmp_path / "out.csv", 8, lambda _: None)
        with (tmp_path / "out.csv").open() as file:
            return list(csv.DictReader(file))

    found = predicted(other)
    numbers = [float(row["predicted_y"]) for row in found[:-3]]
    np.testing.assert_allclose(numbers, expected, rtol=1e-4, atol=1e-5)
    assert found[-3]["predicted_y"]
    assert found[-3]["reason"] == ""
    for row, cell in zip(found[-2:], ("hot", "1.0.0"), strict=True):
        assert row["predicted_y"] == ""
        assert row["reason"] == (
            f"descriptor is no number: column 'T', which the model reads beside the molecule, holds {cell!r}"
        )
    stored = [float(row["predicted_y"]) for row in predicted(data / "valid.lmdb")]
    np.testing.assert_allclose(stored, expected, rtol=1e-5, atol=1e-6)
    other.write_text("smiles,t,pH\nCCO,300,1\n")
    with pytest.raises(MoleblendError, match="has no column 'T', which the model reads") as missing:
        predicted(other)
    assert "did you mean 't'? (columns: smiles, t, pH)" in str(missing.value)


def test_decimal_commas_are_read_as_in_training(run: Path, tmp_path: Path) -> None:
    predictor = Predictor.from_checkpoint(run, "cpu")
    (tmp_path / "a.csv").write_text('smiles;T;"pH, assay"\nCCO;310,5;1\nCCN;300;2\n')
    (tmp_path / "b.csv").write_text('smiles;T;"pH, assay"\nCCO;310.5;1\nCCN;300;2\n')
    each = []
    for name in ("a.csv", "b.csv"):
        given = Input(open_molecules(tmp_path / name), ConversionConfig(None), 1, 99, (), ("T", "pH, assay"))
        each.append(list(predictor.predict_records([row.record for row in given if row.record])))
    with Chem.SDWriter(str(tmp_path / "c.sdf")) as writer:
        for smiles, hot, ph in (("CCO", "310,5", "1"), ("CCN", "300", "2")):
            mol = Chem.MolFromSmiles(smiles)
            mol.SetProp("T", hot)
            mol.SetProp("pH, assay", ph)
            writer.write(mol)
    flat = ConversionConfig(None, source_coords=False)
    given = Input(open_molecules(tmp_path / "c.sdf"), flat, 1, 99, (), ("T", "pH, assay"))
    each.append(list(predictor.predict_records([row.record for row in given if row.record])))
    np.testing.assert_array_equal(each[0], each[1])
    np.testing.assert_allclose(each[0], each[2], rtol=1e-5)


def test_estimators_and_explanations_take_tables(run: Path, data: Path) -> None:
    store = MoleculeStore(data / "valid.lmdb")
    expected = Predictor.from_checkpoint(run, "cpu").predict_store(store)[:, 0]
    model = MoleblendRegressor.load(run, device="cpu")
    assert model.descriptors_columns == ("T", "pH, assay")
    columns = {
        "smiles": [record.smiles for record in store],
        **{name: [record.targets[place] for record in store] for place, name in ((1, "T"), (2, "pH, assay"))},
    }
    np.testing.assert_allclose(model.predict(columns), expected, rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match="X has no column 'T', which descriptors_columns names"):
        model.predict({"smiles": columns["smiles"]})
    explained = explain_molecules(run, columns)
    assert not any(isinstance(found, Rejection) for found in explained)
    assert explained[0].predicted[0] == pytest.approx(expected[0], rel=1e-4)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (("--descriptors-columns", "t"), "has no column 't'"),
        (("--descriptors-columns", "T", "--target-columns", "y,T"), "'T' is one of --target-columns too"),
        (("--descriptors-columns", "T,T"), "name every column once"),
        (("--descriptors-columns", 'y,T,"pH, assay"'), "no column of labels beside"),
        (("--descriptors-columns", "T", "--weight-column", "T"), "--weight-column 'T' is one of"),
    ],
)
def test_what_cannot_be_is_refused(data: Path, tmp_path: Path, given: tuple[str, ...], words: str) -> None:
    with pytest.raises(MoleblendError, match=words):
        fit(data, tmp_path, *given, "--max-epoch", 1)


def test_a_run_resumes_on_the_same_columns_only(data: Path, run: Path) -> None:
    with pytest.raises(MoleblendError, match="reads other --descriptors-columns"):
        fit(data, run.parent, "--descriptors-columns", "T", "--input-mode", "2d", "--max-epoch", 31)


def test_records_do_not_store_them(data: Path) -> None:
    record = MoleculeStore(data / "train.lmdb")[0]
    assert isinstance(record, MoleculeRecord)
    assert record.extra_descriptors is None
