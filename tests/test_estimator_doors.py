"""Estimators in files, weights of molecules, and boxes that molecules and labels come in."""

from __future__ import annotations

import io
import logging
import pickle
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import numpy.typing as npt
import pytest
import torch
from rdkit import Chem
from sklearn.base import clone
from sklearn.exceptions import DataConversionWarning
from sklearn.model_selection import cross_val_score

from moleblend_plugin import MoleblendClassifier, MoleblendRegressor
from moleblend_plugin.cli.main import main
from moleblend_plugin.data.batches.label_statistics import read_labels
from moleblend_plugin.data.store.reader import MoleculeStore
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.inference.estimators.label_arrays import check_sample_weight, label_numbers
from moleblend_plugin.inference.estimators.molecules import as_list
from moleblend_plugin.losses.property import RegressionConfig
from moleblend_plugin.tasks.property.loss import MoleblendClassificationLoss, MoleblendRegressionLoss
from moleblend_plugin.trainer.main import main as train
from tests.checkpoints import pretraining_checkpoint, property_checkpoint
from tests.labelled import NAN, RUN, write_labelled
from tests.tasks.test_property import task_of

SMILES = ["C" * n + end for n in range(1, 9) for end in ("O", "N")]
HEAVY = np.array([len(smiles) for smiles in SMILES], float)
KINDS = np.where([smiles.endswith("N") for smiles in SMILES], "amine", "alcohol")
QUICK = {"checkpoint": None, "input_mode": "2d", "epochs": 2, "batch_size": 8, "device": "cpu"}
QUICK |= {"validation_fraction": 0}


@pytest.fixture(scope="module")
def regressor() -> MoleblendRegressor:
    return MoleblendRegressor(**QUICK, dropout=0.0).fit(SMILES, HEAVY)


@pytest.fixture(scope="module")
def classifier() -> MoleblendClassifier:
    return MoleblendClassifier(**QUICK).fit(SMILES, KINDS)


def test_a_regressor_comes_back_from_its_file(regressor: MoleblendRegressor, tmp_path: Path) -> None:
    regressor.save(tmp_path / "model.pt")
    loaded = MoleblendRegressor.load(tmp_path / "model.pt")
    np.testing.assert_array_equal(loaded.predict(SMILES), regressor.predict(SMILES))
    assert loaded.get_params() == regressor.get_params()
    assert loaded.target_names_ == ("y",)
    np.testing.assert_array_equal(clone(loaded).fit(SMILES, HEAVY).predict(SMILES), loaded.predict(SMILES))
    assert MoleblendRegressor.load(tmp_path / "model.pt", on_error="nan").on_error == "nan"
    loaded.save(tmp_path / "again.pt")
    again = MoleblendRegressor.load(tmp_path / "again.pt")
    np.testing.assert_array_equal(again.predict(SMILES), regressor.predict(SMILES))


def test_a_classifier_comes_back_with_its_classes(classifier: MoleblendClassifier, tmp_path: Path) -> None:
    classifier.save(tmp_path / "model.pt")
    loaded = MoleblendClassifier.load(tmp_path / "model.pt")
    assert loaded.classes_.tolist() == ["alcohol", "amine"]
    assert loaded.predict(SMILES).tolist() == classifier.predict(SMILES).tolist()
    np.testing.assert_array_equal(loaded.predict_proba(SMILES), classifier.predict_proba(SMILES))
    with pytest.raises(
        MoleblendError, match="a model of classification: load it with MoleblendClassifier.load"
    ):
        MoleblendRegressor.load(tmp_path / "model.pt")


def test_the_file_is_a_checkpoint_for_the_commands(regressor: MoleblendRegressor, tmp_path: Path) -> None:
    regressor.save(tmp_path / "model.pt")
    (tmp_path / "in.smi").write_text("CCO\n")
    words = ["predict", tmp_path / "model.pt", tmp_path / "in.smi", "--out", tmp_path / "out.csv"]
    with pytest.raises(SystemExit) as done:
        main([str(word) for word in [*words, "--device", "cpu"]])
    assert not done.value.code
    value = float((tmp_path / "out.csv").read_text().splitlines()[1].split(",")[2])
    assert value == pytest.approx(regressor.predict(["CCO"])[0], rel=1e-6)


def test_a_trainer_s_checkpoint_is_loaded_too(tmp_path: Path) -> None:
    path = property_checkpoint(tmp_path / "yz.pt", ("y", "z"))
    model = MoleblendRegressor.load(path, device="cpu")
    assert (model.predict(["CCO"]).shape, model.target_names_, model.input_mode) == ((1, 2), ("y", "z"), "2d")
    path = property_checkpoint(tmp_path / "c.pt", kind="classification")
    assert MoleblendClassifier.load(path, device="cpu").predict(["CCO"])[0] in (0, 1)
    with pytest.raises(MoleblendError, match="predicts no property"):
        MoleblendRegressor.load(pretraining_checkpoint(tmp_path))


class Evil:
    def __reduce__(self) -> Any:
        return (print, ("this ran",))


def tampered(path: Path, into: Path, **changes: Any) -> Path:
    state = torch.load(path, weights_only=False)
    state["estimator"] |= changes
    torch.save(state, into)
    return into


def test_a_stranger_s_file_runs_nothing_and_is_one_line(
    regressor: MoleblendRegressor, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "evil.pkl").write_bytes(pickle.dumps(Evil()))
    torch.save(Evil(), tmp_path / "evil.pt")
    (tmp_path / "text.pt").write_text("hello")
    for name in ("evil.pkl", "evil.pt", "text.pt", "none.pt"):
        with pytest.raises(MoleblendError) as caught:
            MoleblendRegressor.load(tmp_path / name)
        assert "\n" not in str(caught.value)
    assert "this ran" not in capsys.readouterr().out
    regressor.save(tmp_path / "good.pt")
    for changes, words in (
        ({"format": 2, "version": "9.0"}, r"saved by a newer moleblend_plugin \(9.0\): update the package"),
        ({"params": [1]}, "holds no sound settings of an estimator"),
        ({"params": {"arch": [1, 2]}}, "holds no sound settings of an estimator"),
        ({"params": {"secret": 1}}, r"parameters that this version does not know \(secret\)"),
        ({"two_d": "yes"}, "holds no sound settings of an estimator"),
    ):
        with pytest.raises(MoleblendError, match=words):
            MoleblendRegressor.load(tampered(tmp_path / "good.pt", tmp_path / "bad.pt", **changes))


def test_a_file_of_before_a_parameter_keeps_what_it_was(
    regressor: MoleblendRegressor, tmp_path: Path
) -> None:
    """Its network had the graph token and no descriptors, whatever the default is now."""
    regressor.save(tmp_path / "now.pt")
    params = regressor.get_params()
    old = {name: params[name] for name in ("input_mode", "epochs", "dropout", "verbose")}
    loaded = MoleblendRegressor.load(tampered(tmp_path / "now.pt", tmp_path / "old.pt", params=old))
    assert (loaded.readout, loaded.molecule_featurizers) == ("cls", "none")
    again = MoleblendRegressor.load(tmp_path / "now.pt")
    assert (again.readout, again.molecule_featurizers) == (params["readout"], params["molecule_featurizers"])


def test_joblib_keeps_a_fitted_estimator(classifier: MoleblendClassifier) -> None:
    packed = io.BytesIO()
    joblib.dump(classifier, packed)
    packed.seek(0)
    assert joblib.load(packed).predict(SMILES).tolist() == classifier.predict(SMILES).tolist()


# ----------------------------------------------------------------------------------------------- weights


def test_weight_0_is_leaving_the_molecule_out(regressor: MoleblendRegressor) -> None:
    """To the last bit: its label, which is far out, is not in the units, nor its class among the classes."""
    y, weight = HEAVY.copy(), np.full(len(SMILES), 1.0)
    y[:4], weight[:4] = 1e6, 0
    left_out = clone(regressor).fit(SMILES[4:], HEAVY[4:]).predict(SMILES)
    np.testing.assert_array_equal(clone(regressor).fit(SMILES, y, weight).predict(SMILES), left_out)
    kinds = KINDS.astype(object)
    kinds[:4] = "ether"
    model = MoleblendClassifier(**QUICK).fit(SMILES, kinds, sample_weight=weight)
    assert model.classes_.tolist() == ["alcohol", "amine"]


def test_weights_of_one_size_are_none(regressor: MoleblendRegressor) -> None:
    same = clone(regressor).fit(SMILES, HEAVY, sample_weight=np.full(len(SMILES), 7.5))
    np.testing.assert_array_equal(same.predict(SMILES), regressor.predict(SMILES))
    np.testing.assert_array_equal(
        clone(regressor).fit(SMILES, HEAVY, 2.0).predict(SMILES), same.predict(SMILES)
    )


@pytest.mark.parametrize("scale", [1.0, 1e-6])
@pytest.mark.parametrize("loss", [MoleblendRegressionLoss, MoleblendClassificationLoss])
def test_the_loss_of_weights_is_that_of_repeated_molecules(loss: type, scale: float) -> None:
    """Mean loss and its gradient; a weight of 0 is a molecule that is not there, and scale means nothing."""
    rng = torch.Generator().manual_seed(0)
    inputs, labels = torch.rand((5, 3), generator=rng), torch.randint(2, (5, 2), generator=rng).float()
    labels[1, 0] = NAN
    counts = torch.tensor([1, 0, 3, 2, 1])
    made = loss(None, RegressionConfig()) if loss is MoleblendRegressionLoss else loss(None)

    def mean_and_gradient(rows: Any, weights: Any) -> Any:
        model = Line()
        target = {"targets": labels[rows]} | ({} if weights is None else {"weights": weights})
        total, size, _ = made(model, {"net_input": {"inputs": inputs[rows]}, "target": target})
        (total / size).backward()
        return float(total / size), model.line.weight.grad

    repeated = torch.repeat_interleave(torch.arange(5), counts)
    mean, gradient = mean_and_gradient(repeated, None)
    got, weighted = mean_and_gradient(torch.arange(5), counts * scale)
    assert got == pytest.approx(mean, rel=1e-5)
    torch.testing.assert_close(weighted, gradient, rtol=1e-4, atol=1e-6)


class Line(torch.nn.Module):
    """A network of one layer whose labels have the mean 1 and the deviation 2."""

    def __init__(self) -> None:
        super().__init__()
        self.line = torch.nn.Linear(3, 2, bias=False)
        torch.nn.init.constant_(self.line.weight, 0.3)
        self.target_mean, self.target_std = torch.ones(2), 2 * torch.ones(2)

    def forward(self, inputs: Any) -> Any:
        return self.line(inputs)


def test_weights_go_through_scikit_learn(regressor: MoleblendRegressor) -> None:
    import sklearn

    weight = np.linspace(0.1, 2, len(SMILES))
    with sklearn.config_context(enable_metadata_routing=True):
        model = clone(regressor).set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
        scores = cross_val_score(model, SMILES, HEAVY, cv=2, params={"sample_weight": weight})
    assert np.isfinite(scores).all()


@pytest.mark.parametrize(
    ("weight", "words"),
    [
        (np.ones(3), r"sample_weight.shape == \(3,\), expected \(16,\)"),
        (np.ones((16, 1)), "Sample weights must be 1D array or scalar"),
        ([NAN] * 16, "Input sample_weight contains NaN or infinity"),
        ([-1.0] * 16, "Negative values in sample_weight"),
        ([0] * 16, "Sample weights must contain at least one non-zero number"),
        (["a"] * 16, "sample_weight holds something that is not a number"),
    ],
)
def test_weights_that_are_none(weight: list[float | str] | npt.NDArray[np.float64], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        MoleblendRegressor(**QUICK).fit(SMILES, HEAVY, sample_weight=weight)


def test_the_task_weighs_its_labels_and_their_units(tmp_path: Path) -> None:
    """By hand: labels 1, 5 and 9 with weights 1, 0 and 3 have the mean 7 and the deviation sqrt(12)."""
    write_labelled(tmp_path, {"train": [[1, 1], [5, 0], [9, 3]]}, names=("y", "w"))
    store = MoleculeStore(tmp_path / "train.lmdb")
    labels = read_labels(store, [0], ["y"], "regression", weight_column=1)
    assert (labels.mean[0], labels.std[0], labels.present[0]) == (7, pytest.approx(12**0.5), 3)
    task = task_of(tmp_path, weight_column="w")
    assert task.args.target_names == ["y"]
    sample = task.molecules(store, "train", training=True).sample(store[2], 0, 2)
    assert (sample["weights"].item(), sample["targets"].tolist()) == (3.0, [9.0])
    with pytest.raises(MoleblendError, match="--weight-column: .* has no column 'v'; it holds y, w"):
        task_of(tmp_path, weight_column="v")
    with pytest.raises(MoleblendError, match="'w' is one of --target-columns too"):
        task_of(tmp_path, weight_column="w", target_columns="y,w")
    write_labelled(tmp_path, {"train": [[1, 1], [5, NAN]]}, names=("y", "w"))
    with pytest.raises(MoleblendError, match="has no weight in --weight-column: give every row"):
        task_of(tmp_path, weight_column="w")


# ------------------------------------------------------------------------------------- boxes and handlers


class Frame:
    """What polars' frames offer, without polars."""

    def __init__(self, **columns: Any) -> None:
        self._columns = columns
        self.columns = list(columns)
        self.shape = (len(next(iter(columns.values()))), len(columns))

    def __len__(self) -> Any:
        return self.shape[0]

    def __iter__(self) -> Any:  # polars gives columns here
        return iter(self._columns.values())

    def to_numpy(self) -> Any:
        return np.array(list(self._columns.values()), object).T

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        return self.to_numpy().astype(dtype or object)


def test_molecules_come_in_frames_and_columns_of_any_library() -> None:
    import pandas
    import pyarrow

    series = pandas.Series(SMILES, index=range(100, 116))
    boxes = [
        Frame(smiles=SMILES), series, series.to_frame(), series.astype("category"), tuple(SMILES),
        np.array(SMILES), np.array(SMILES, object)[:, None], [[smiles] for smiles in SMILES],
        pyarrow.array(SMILES), pyarrow.chunked_array([SMILES]), pyarrow.table({"smiles": SMILES}),
    ]  # fmt: skip
    for box in boxes:
        assert as_list(box) == SMILES
        assert all(isinstance(smiles, str) for smiles in as_list(box))
    molecules = np.array([Chem.MolFromSmiles(smiles) for smiles in SMILES], object)
    assert [mol.GetNumAtoms() for mol in as_list(molecules)] == HEAVY.tolist()


@pytest.mark.parametrize(
    ("box", "words"),
    [
        (Frame(a=["C"], b=["N"]), "Expected one column of molecules, got 2"),
        (np.array("CCO"), "Expected a list of SMILES or RDKit molecules, got ndarray"),
        ({"C": 1}, "got dict: put it in a list"),
        (Chem.MolFromSmiles("C"), "got Mol: put it in a list"),
        (np.zeros((2, 2, 2)), r"got an array of shape \(2, 2, 2\)"),
    ],
)
def test_other_boxes_are_a_value_error(box: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        as_list(box)


def test_labels_come_in_frames_with_holes() -> None:
    import pandas
    import pyarrow

    frame = pandas.DataFrame({"a": [1.0, None], "b": pandas.array([None, 2], "Int64")})
    for y in (frame, Frame(a=[1.0, None], b=[None, 2]), pyarrow.table({"a": [1.0, None], "b": [None, 2]})):
        values, names, two = label_numbers(y, 2)
        np.testing.assert_array_equal(values, [[1, NAN], [NAN, 2]])
        assert (names, two) == (("a", "b"), True)
    values, _, two = label_numbers(["1", None], 2)
    assert (values[0, 0], np.isnan(values[1, 0]), two) == (1, True, False)


@pytest.mark.parametrize(
    ("y", "words"),
    [
        (["1", "many"], r"y\[1\] is 'many', which is not a number"),
        ([[1], [1, 2]], "its rows have different lengths"),
        ([1.0, 1e39], r"y\[1\] = 1e\+39 is beyond float32"),
        (Frame(a=[1, 2], b=[1, "x"]), r"y\[1\] \(b\) is 'x'"),
    ],
)
def test_labels_that_are_none_are_named(y: Frame | list[float | list[int] | str], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        label_numbers(y, 2)


def test_classes_with_holes_and_in_a_column() -> None:
    kinds = [None if n % 5 == 0 else kind for n, kind in enumerate(KINDS.tolist())]
    model = MoleblendClassifier(**QUICK).fit(SMILES, kinds)
    assert model.classes_.tolist() == ["alcohol", "amine"]
    known = [n for n, kind in enumerate(kinds) if kind]
    assert model.score(SMILES, kinds) == np.mean(model.predict(SMILES)[known] == KINDS[known])
    with pytest.warns(DataConversionWarning, match="A column-vector y was passed"):
        column = clone(model).fit(SMILES, KINDS[:, None])
    assert column.predict_proba(SMILES).shape == (16, 2)
    with pytest.raises(ValueError, match="y mixes labels of int and str"):
        clone(model).fit(SMILES, np.array([1, "a"] * 8, object))


def test_weights_as_scikit_learn_takes_them() -> None:
    assert check_sample_weight(None, 3) is None
    assert check_sample_weight(2, 3).tolist() == [2, 2, 2]


def test_no_handler_stays_on_the_root_logger(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """After a training command in this process, and after estimators that show the trainer's log."""
    root, mine = logging.getLogger(), logging.NullHandler()
    root.addHandler(mine)
    before, level = list(root.handlers), root.level
    try:
        data = write_labelled(tmp_path, {"train": [[float(n), 1.0] for n in range(8)]})
        words = [
            data,
            *RUN,
            "--loss",
            "moleblend_regression",
            "--max-epoch",
            "1",
            "--cpu",
            "--disable-validation",
        ]
        assert train([str(word) for word in [*words, "--save-dir", tmp_path / "run"]]) == 0
        assert "done training" in capsys.readouterr().out
        assert (root.handlers, root.level) == (before, level)
        MoleblendRegressor(**QUICK | {"epochs": 1}, verbose=1).fit(SMILES, HEAVY)
        assert capsys.readouterr().out.count("done training") == 1
        assert (root.handlers, root.level) == (before, level)
        assert logging.getLogger("moleblend-train").handlers == []
    finally:
        root.removeHandler(mine)


def test_an_estimator_refuses_a_device_that_is_not_here() -> None:
    if torch.cuda.is_available():
        pytest.skip("for machines without a GPU")
    with pytest.raises(ValueError, match="device 'cuda:1' cannot be used here"):
        MoleblendRegressor(**QUICK | {"device": "cuda:1"}).fit(SMILES, HEAVY)
