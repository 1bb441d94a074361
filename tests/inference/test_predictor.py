"""Predictions: the same whatever the company, in units, averaged over conformers, same when reloaded."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch

from moleblend_plugin.chem.geometry.relax import DEFAULT_STEPS
from moleblend_plugin.data.batches.collate import collate
from moleblend_plugin.data.samples.blend import unblended
from moleblend_plugin.data.samples.featurize import featurize
from moleblend_plugin.data.store.reader import MoleculeStore, StoreWriter
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.inference.conversion import conversion_for
from moleblend_plugin.inference.predictor import Predictor
from moleblend_plugin.schema import MoleculeRecord
from moleblend_plugin.tasks.load import load_property_model
from tests.molecules import make_record, make_records


@pytest.fixture(scope="module")
def predictor(regression: Path) -> Predictor:
    return Predictor.from_checkpoint(regression, device="cpu")


@pytest.fixture(scope="module")
def records() -> list[MoleculeRecord]:
    return [
        *make_records([9, 3, 30, 1, 12, 7]),
        make_record(8, 77, conformers=3),
        make_record(5, 9, conformers=0),
    ]


@pytest.fixture(scope="module")
def alone(predictor: Predictor, records: list[MoleculeRecord]) -> npt.NDArray[np.float64]:
    """Each molecule by itself."""
    return np.array([next(predictor.predict_records([record])) for record in records])


def test_a_prediction_is_the_network_s_in_units(
    predictor: Predictor, records: list[MoleculeRecord], regression: Path
) -> None:
    """From the weights by hand: standard deviation times output plus mean, of the labels 100, 110 ... 170."""
    model, _ = load_property_model(regression)
    batch = collate([unblended(featurize(records[0]), "both") | {"index": np.array(0)}])
    with torch.inference_mode():
        output = model(**batch["net_input"])[0].double().numpy()
    expected = output * np.std(100 + 10 * np.arange(8)) + 135
    np.testing.assert_allclose(next(predictor.predict_records(records[:1])), expected, rtol=1e-5)
    assert (predictor.target_names, predictor.kind, predictor.input_mode) == (
        ("y", "z"),
        "regression",
        "both",
    )


@pytest.mark.parametrize(("batch_size", "window"), [(1, 100), (3, 100), (64, 2), (64, 100)])
def test_predictions_do_not_depend_on_batches(
    predictor: Predictor,
    records: list[MoleculeRecord],
    alone: npt.NDArray[np.float64],
    batch_size: int,
    window: int,
) -> None:
    got = np.array(list(predictor.predict_records(records, batch_size, window)))
    np.testing.assert_allclose(got, alone, rtol=1e-5)


def test_predictions_do_not_depend_on_the_order(
    predictor: Predictor, records: list[MoleculeRecord], alone: npt.NDArray[np.float64]
) -> None:
    order = np.random.default_rng(0).permutation(len(records))
    got = np.array(list(predictor.predict_records([records[i] for i in order])))
    np.testing.assert_allclose(got, alone[order], rtol=1e-5)


def test_conformers_are_averaged(predictor: Predictor) -> None:
    from dataclasses import replace

    record = make_record(8, 77, conformers=3)
    singles = [replace(record, coords=record.coords[[number]]) for number in range(3)]
    each = np.array(list(predictor.predict_records(singles)))
    assert np.ptp(each[:, 0]) > 0
    np.testing.assert_allclose(next(predictor.predict_records([record])), each.mean(0), rtol=1e-5)


def test_a_store_is_predicted_in_its_order(
    predictor: Predictor, records: list[MoleculeRecord], alone: npt.NDArray[np.float64], tmp_path: Path
) -> None:
    with StoreWriter(tmp_path / "test.lmdb", settings={}, sources={}) as writer:
        for record in records:
            writer.add(record)
    got = predictor.predict_store(MoleculeStore(tmp_path / "test.lmdb"))
    assert got.shape == (len(records), 2)
    np.testing.assert_allclose(got, alone, rtol=1e-5)


AGAIN = """
import sys, numpy as np
from moleblend_plugin.inference.predictor import Predictor
from tests.molecules import make_records
predictor = Predictor.from_checkpoint(sys.argv[1], device="cpu")
np.save(sys.argv[2], np.array(list(predictor.predict_records(make_records([9, 3, 30])))))
"""


def test_a_new_process_predicts_the_same_to_the_last_bit(
    predictor: Predictor, regression: Path, tmp_path: Path
) -> None:
    subprocess.run([sys.executable, "-c", AGAIN, regression, tmp_path / "again.npy"], check=True)
    here = np.array(list(predictor.predict_records(make_records([9, 3, 30]))))
    np.testing.assert_array_equal(np.load(tmp_path / "again.npy"), here)


def test_new_molecules_are_made_as_those_of_training(regression: Path, pretrained: Path) -> None:
    """From the checkpoint, from the store that it was trained on, or as asked; 2D needs none."""
    _, args = load_property_model(regression)
    assert conversion_for(args, "both").config.conformers.count == 1
    assert conversion_for(args, "both", 4).config.conformers.count == 4
    assert conversion_for(args, "2d").config.conformers is None
    args.conversion, args.data = None, str(pretrained.parents[1])
    made = conversion_for(args, "3d")
    assert (made.config.conformers.count, made.config.conformers.seed) == (2, 3)
    assert made.note == "3D of the input kept, else 2 conformers by ETKDGv3+MMFF94, as the training data"
    args.data = "gone"
    assert conversion_for(args, "both").note.endswith("the training data's settings are not known")
    with pytest.raises(MoleblendError, match="--conformers 0: give a number from 1"):
        conversion_for(args, "both", 0)


def test_settings_that_name_no_steps_are_of_the_time_of_200(regression: Path) -> None:
    _, args = load_property_model(regression)
    now = args.conversion["conformers"]
    assert conversion_for(args, "both").config.conformers.relax_steps == now["relax_steps"] == DEFAULT_STEPS
    args.conversion = {"conformers": {"count": 2, "seed": 0, "timeout_s": 20.0, "relax": True}}
    assert conversion_for(args, "both").config.conformers.relax_steps == 200


def test_a_pretraining_checkpoint_is_refused_in_one_line(pretrained: Path) -> None:
    with pytest.raises(MoleblendError, match="checkpoint_last.pt"):
        Predictor.from_checkpoint(pretrained)
