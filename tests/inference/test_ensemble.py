"""Several networks in one file: means, deviations, stacks, damage."""

from __future__ import annotations

import csv
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from moleblend_plugin.baselines.task_models import TaskModels, fit_learner, fit_tasks
from moleblend_plugin.chem.convert import ConversionConfig, convert_molecule
from moleblend_plugin.cli.main import main
from moleblend_plugin.ensembles.weights import fit_weights, weighted_mean
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.inference import stack_fit
from moleblend_plugin.inference.ensemble_file import EnsembleFile, is_ensemble, read_ensemble, write_ensemble
from moleblend_plugin.inference.predictor import Ensemble, Predictor
from moleblend_plugin.inference.stack import NETWORK, Stack
from moleblend_plugin.inference.stack_fit import (
    FOLD_TREES,
    FORESTS,
    FittedStack,
    TrainingRows,
    fit_stack,
    out_of_bag,
)
from moleblend_plugin.schema import MoleculeRecord
from tests.checkpoints import pretraining_checkpoint, property_checkpoint

NAN = float("nan")
SMILES = ["CCO", "c1ccccc1O", "CC(=O)N", "CCCCN", "OCC(O)CO", "Clc1ccncc1"]
QUICK = {"n_estimators": 4}


def records(smiles: list[str] = SMILES) -> list[MoleculeRecord]:
    made = [
        convert_molecule(text, row, ConversionConfig(None, source_coords=False))
        for row, text in enumerate(smiles)
    ]
    assert all(isinstance(record, MoleculeRecord) for record in made)
    return made  # type: ignore[return-value]


def fitted_stack(seed: int = 0, kind: str = "regression", trees: int = 4) -> FittedStack:
    """Of two targets and three folds."""
    random = np.random.default_rng(seed)
    smiles = ["C" * n + end for n in range(1, 7) for end in ("O", "N", "Cl")]
    targets = np.stack([np.arange(18.0), random.random(18).round()], 1)
    if kind == "classification":
        targets[:, 0] = np.arange(18) % 2
    targets[::5, 0] = NAN
    rows = TrainingRows.of(smiles, targets, ("y", "z"), np.arange(18) % 3)
    return fit_stack(rows, random.random((18, 2)), kind, seed, {"n_estimators": trees})  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, ...]:
    folder = tmp_path_factory.mktemp("members")
    first = property_checkpoint(folder / "a.pt", ("y", "z")).read_bytes()
    second = property_checkpoint(folder / "b.pt", ("y", "z"), shift=50.0).read_bytes()
    return first, second


@pytest.fixture(scope="module")
def stack() -> Stack:
    return fitted_stack().stack


@pytest.fixture(scope="module")
def mean_file(checkpoints: tuple[bytes, ...], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("ensemble") / "mean.pt"
    write_ensemble(path, EnsembleFile(checkpoints))
    return path


@pytest.fixture(scope="module")
def stack_file(
    checkpoints: tuple[bytes, ...], stack: Stack, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    path = tmp_path_factory.mktemp("stack") / "stack.pt"
    plain, forests = stack.to_file()
    write_ensemble(path, EnsembleFile(checkpoints, plain, forests))
    return path


def test_the_mean_of_its_networks(mean_file: Path, checkpoints: tuple[bytes, ...]) -> None:
    predictor = Predictor.from_checkpoint(mean_file, "cpu")
    assert isinstance(predictor, Ensemble)
    assert (predictor.n_members, predictor.target_names, predictor.kind) == (2, ("y", "z"), "regression")
    each = np.array(
        [list(Predictor.from_bytes(one, "cpu").predict_records(records())) for one in checkpoints]
    )
    np.testing.assert_allclose(list(predictor.predict_records(records())), each.mean(0))
    found = list(predictor.predict_members(records()))
    np.testing.assert_allclose([one.members for one in found], each.swapaxes(0, 1))
    np.testing.assert_allclose([one.sd for one in found], np.abs(each[0] - each[1]) / 2**0.5, rtol=1e-6)


def test_windows_do_not_matter(stack_file: Path) -> None:
    predictor = Predictor.from_checkpoint(stack_file, "cpu")
    together = np.array(list(predictor.predict_records(records())))
    np.testing.assert_allclose(list(predictor.predict_records(records(), 2, window=2)), together, rtol=1e-5)
    assert list(predictor.predict_records([])) == []


def test_a_stack_by_hand(stack_file: Path, mean_file: Path, stack: Stack) -> None:
    """Weighted mean of the networks' mean and of three forests; what the file gives is what was fitted."""
    network = np.array(list(Predictor.from_checkpoint(mean_file, "cpu").predict_records(records())))
    blocks = stack.blocks(SMILES)
    both = np.concatenate([blocks["descriptors"], blocks["ecfp4-counts"]], 1, dtype=np.float32)
    by_kind = dict(zip(FORESTS, (blocks["descriptors"], blocks["ecfp4-counts"], both), strict=True))
    expected = stack.weights[0] * network
    for weights, (kind, features) in zip(stack.weights[1:], by_kind.items(), strict=True):
        expected = expected + weights * stack.forests[kind].predict(features)
    found = list(Predictor.from_checkpoint(stack_file, "cpu").predict_records(records()))
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert stack.base_models == (NETWORK, *FORESTS)


@pytest.mark.parametrize("trees", [4, 60])
def test_weights_see_no_label_that_a_model_was_trained_on(trees: int) -> None:
    """Labels drawn at random: a forest knows by heart those that it has seen, and cannot know the others.

    Of 4 trees none may be without a molecule: forests are fitted by fold then.
    """
    found = fitted_stack(trees=trees)
    labels = np.random.default_rng(0).random(18).round()
    for predicted in found.out_of_fold[1:, :, 1]:
        assert np.isfinite(predicted).all()
        assert np.abs(predicted - labels).mean() > 0.3


def test_cross_fitted_weights_do_not_see_the_fold() -> None:
    found = fitted_stack()
    targets = np.stack([np.arange(18.0), np.random.default_rng(0).random(18).round()], 1)
    targets[::5, 0] = NAN
    folds = np.arange(18) % 3
    for fold in range(3):
        held = folds == fold
        weights = fit_weights(found.out_of_fold[:, ~held], targets[~held], "regression")
        expected = weighted_mean(found.out_of_fold[:, held], weights)
        np.testing.assert_allclose(found.cross_fitted[held], expected)
    assert np.abs(found.cross_fitted - found.combined).max() > 1e-3


@pytest.mark.parametrize("classify", [True, False])
def test_out_of_the_bag_by_hand(classify: bool) -> None:
    """Mean over the trees that did not draw a molecule; a molecule without label is predicted by all."""
    random = np.random.default_rng(0)
    features = random.normal(size=(40, 3)).astype(np.float32)
    targets = np.stack([(features[:, 0] > 0).astype(float), np.full(40, NAN)], 1)
    targets[5, 0] = NAN
    models = fit_learner(
        "rf", classify, 0, features, targets, ("y", "z"), {"n_estimators": 60, "oob_score": True}
    )
    found, forest = out_of_bag(models, features, targets), models.models[0]
    known = np.flatnonzero(~np.isnan(targets[:, 0]))
    for place, number in enumerate(known):
        without = [
            tree.predict_proba(features[[number]])[0, 1] if classify else tree.predict(features[[number]])[0]
            for tree, drawn in zip(forest.estimators_, forest.estimators_samples_, strict=True)
            if place not in drawn
        ]
        assert found[number, 0] == pytest.approx(np.mean(without))
    assert found[5, 0] == models.predict(features)[5, 0]
    assert (found[:, 1] == 0).all()


def test_a_class_alone_is_a_constant() -> None:
    """A fold whose training part has one class of a target predicts it, also when it comes from a file."""
    smiles = ["C" * n + "O" for n in range(1, 13)]
    targets = np.full((12, 2), NAN)
    targets[:, 0], targets[:4, 1] = np.arange(12) % 2, 1
    rows = TrainingRows.of(smiles, targets, ("y", "z"), np.arange(12) % 3)
    fitted = fit_stack(rows, np.full((12, 2), 0.5), "classification", 0, QUICK)
    again = Stack.read(*fitted.stack.to_file())
    blocks = again.blocks(smiles)
    np.testing.assert_array_equal(again.forests["ecfp4-counts-rf"].predict(blocks["ecfp4-counts"])[:, 1], 1)
    np.testing.assert_array_equal(
        again.combine(np.full((12, 2), 0.5), smiles), fitted.stack.combine(np.full((12, 2), 0.5), smiles)
    )


def test_forests_of_folds_have_as_many_trees_as_speak_out_of_the_bag(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, dict[str, Any]]] = []

    def watched(name: str, *given: Any, **named: Any) -> TaskModels:
        asked.append((len(given[2]), dict(given[5])))
        given = (*given[:5], {"n_estimators": 3})  # quick
        return fit_tasks(name, *given, **named)

    monkeypatch.setattr(stack_fit, "fit_tasks", watched)
    smiles = ["C" * n + "O" for n in range(1, 13)]
    rows = TrainingRows.of(smiles, np.arange(12.0)[:, None], ("y",), np.arange(12) % 3, grouped=True)
    fitted = fit_stack(rows, np.zeros((12, 1)), "regression", 0)
    assert np.isfinite(fitted.out_of_fold).all()
    per_forest = [(12, {"oob_score": False})] + 3 * [(8, {"n_estimators": FOLD_TREES})]
    assert asked == len(FORESTS) * per_forest


def run(*words: object) -> None:
    with pytest.raises(SystemExit) as done:
        main([str(word) for word in words])
    assert not done.value.code


def test_predict_and_score_take_it(stack_file: Path, tmp_path: Path) -> None:
    table = tmp_path / "in.csv"
    table.write_text(
        "smiles,y,z\n" + "".join(f"{smiles},{n},0.5\n" for n, smiles in enumerate(SMILES)) + "bad(,1,\n"
    )
    out = tmp_path / "out.csv"
    run("predict", stack_file, table, "--out", out, "--members-sd", "--device", "cpu", "--workers", 1)
    rows = list(csv.DictReader(out.open()))
    found = list(Predictor.from_checkpoint(stack_file, "cpu").predict_members(records()))
    for row, one in zip(rows, found, strict=False):
        assert [float(row[f"predicted_{name}"]) for name in "yz"] == pytest.approx(
            one.values.tolist(), rel=1e-5
        )
        assert [float(row[f"members_sd_{name}"]) for name in "yz"] == pytest.approx(one.sd.tolist(), rel=1e-4)
    assert (rows[-1]["members_sd_y"], rows[-1]["reason"]) == ("", "SMILES syntax")
    run(
        "score",
        stack_file,
        table,
        "--out",
        tmp_path / "s.json",
        "--resamples",
        2,
        "--device",
        "cpu",
        "--workers",
        1,
    )
    assert json.loads((tmp_path / "s.json").read_text())["scored"] == 6


def test_one_network_has_no_deviation(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    single = property_checkpoint(tmp_path / "y.pt")
    (tmp_path / "in.smi").write_text("CCO\n")
    with pytest.raises(SystemExit):
        main(
            [
                str(w)
                for w in ("predict", single, tmp_path / "in.smi", "--out", tmp_path / "o.csv", "--members-sd")
            ]
        )
    assert "--members-sd: the model holds one network" in capsys.readouterr().err
    assert not (tmp_path / "o.csv").exists()


# ---------------------------------------------------------------------------------------------------- files


def rewritten(path: Path, into: Path, change: Callable[[str, bytes], bytes]) -> Path:
    """The archive with its pieces changed; checksums are right again."""
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(into, "w") as new:
        for name in old.namelist():
            new.writestr(name, change(name, old.read(name)))
    return into


def test_a_damaged_member_is_named(mean_file: Path, tmp_path: Path) -> None:
    content = bytearray(mean_file.read_bytes())
    with zipfile.ZipFile(mean_file) as archive:
        second = archive.getinfo("member_2.pt")
    content[second.header_offset + second.file_size // 2] ^= 1
    (tmp_path / "bit.pt").write_bytes(content)
    with pytest.raises(MoleblendError, match=r"bit.pt': member 2 of 2 is damaged \(.*\): use another copy"):
        Predictor.from_checkpoint(tmp_path / "bit.pt", "cpu")
    (tmp_path / "short.pt").write_bytes(content[: len(content) // 2])
    with pytest.raises(MoleblendError, match="short.pt' is damaged"):
        Predictor.from_checkpoint(tmp_path / "short.pt", "cpu")


def test_a_member_that_is_no_property_checkpoint_is_named(mean_file: Path, tmp_path: Path) -> None:
    text = rewritten(
        mean_file, tmp_path / "a.pt", lambda name, was: b"text" if name == "member_1.pt" else was
    )
    with pytest.raises(MoleblendError, match="member 1 of 2 of .*a.pt' cannot be used: it is damaged"):
        Predictor.from_checkpoint(text, "cpu")
    pretrained = pretraining_checkpoint(tmp_path).read_bytes()
    path = rewritten(mean_file, tmp_path / "b.pt", lambda name, was: pretrained if "2" in name else was)
    with pytest.raises(MoleblendError, match="member 2 of 2 of .* cannot be used: it predicts no property"):
        Predictor.from_checkpoint(path, "cpu")
    other = property_checkpoint(tmp_path / "c.pt", ("other",)).read_bytes()
    path = rewritten(mean_file, tmp_path / "d.pt", lambda name, was: other if "2" in name else was)
    with pytest.raises(
        MoleblendError, match="member 2 predicts regression of other from 2d, unlike member 1"
    ):
        Predictor.from_checkpoint(path, "cpu")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"format": 2, "version": "9"}, r"saved by a newer moleblend_plugin \(9\): update the package"),
        ({"members": 3}, "member 3 of 3 is damaged"),
        ({"members": "two"}, "does not say what it holds"),
        ({"stack": {"weights": 1}}, "the stack of .* cannot be used: its description is not sound"),
        ({"forests": ["other-rf"]}, "the forests other-rf is damaged"),
    ],
)
def test_a_description_that_is_not_sound(
    mean_file: Path, tmp_path: Path, changes: dict[str, object], words: str
) -> None:
    path = rewritten(
        mean_file,
        tmp_path / "bad.pt",
        lambda name, was: json.dumps(json.loads(was) | changes).encode() if name == "ensemble.json" else was,
    )
    with pytest.raises(MoleblendError, match=words):
        Predictor.from_checkpoint(path, "cpu")


def test_files_of_one_network_are_none(
    checkpoints: tuple[bytes, ...], mean_file: Path, tmp_path: Path
) -> None:
    (tmp_path / "one.pt").write_bytes(checkpoints[0])
    (tmp_path / "text.pt").write_text("hello")
    assert [
        is_ensemble(path) for path in (mean_file, tmp_path / "one.pt", tmp_path / "text.pt", tmp_path)
    ] == [*(True, False, False, False)]
    assert read_ensemble(mean_file).members == checkpoints
    with pytest.raises(MoleblendError, match="does not exist"):
        Predictor.from_checkpoint(tmp_path / "none.pt")


def test_where_one_network_is_needed_it_says_how_to_get_one(
    mean_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in.smi").write_text("CCO\n")
    with pytest.raises(SystemExit):
        main([str(w) for w in ("embed", mean_file, tmp_path / "in.smi", "--out", tmp_path / "v.npz")])
    assert "holds several networks, where one is needed: take one out of it with" in capsys.readouterr().err
    with zipfile.ZipFile(mean_file) as archive:
        archive.extract("member_1.pt", tmp_path)
    run("embed", tmp_path / "member_1.pt", tmp_path / "in.smi", "--out", tmp_path / "v.npz")


# ------------------------------------------------------------------------------------------- other RDKits


def test_descriptors_go_by_name_and_another_rdkit_is_checked(stack: Stack) -> None:
    plain, forests = stack.to_file()
    plain["toolkit"] = "RDKit 2000.01.1"
    expected = stack.combine(np.zeros((6, 2)), SMILES)
    np.testing.assert_array_equal(Stack.read(plain, forests).combine(np.zeros((6, 2)), SMILES), expected)
    changed = json.loads(json.dumps(plain))
    place = plain["columns"].index("MolWt")
    changed["probe"]["descriptors"][0][place] += 1
    with pytest.raises(
        MoleblendError, match=r"MolWt of RDKit .* differ from those of RDKit 2000.01.1, on which"
    ):
        Stack.read(changed, forests)
    changed = json.loads(json.dumps(plain))
    changed["probe"]["ecfp4-counts"] = "0"
    with pytest.raises(MoleblendError, match="ecfp4-counts of RDKit"):
        Stack.read(changed, forests)
    plain["columns"][place] = "NotADescriptor"
    with pytest.raises(MoleblendError, match="NotADescriptor"):
        Stack.read(plain, forests)


def test_descriptors_in_another_order_give_the_same(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in an RDKit that has new ones in the middle of its list."""
    from moleblend_plugin.inference import stack as module

    expected = stack.combine(np.zeros((6, 2)), SMILES)
    plain = module.molecule_features

    def shuffled(names: tuple[str, ...], smiles: list[str]) -> object:
        rows = plain(names, smiles)
        if not rows.names:
            return rows
        values = np.concatenate([rows.values[:, ::-1], np.ones((len(smiles), 1))], 1)
        return rows._replace(values=values, names=(*rows.names[::-1], "New"))

    monkeypatch.setattr(module, "molecule_features", shuffled)
    np.testing.assert_array_equal(stack.combine(np.zeros((6, 2)), SMILES), expected)
