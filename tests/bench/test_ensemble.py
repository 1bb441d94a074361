"""Our networks in a comparison, several of them: who sees which rows, and what stands in the result."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from moleblend_plugin import build
from moleblend_plugin.bench.run import ensemble
from moleblend_plugin.bench.run.split_arrays import PartArrays, read_arrays
from moleblend_plugin.bench.spec.cell_spec import Cell
from moleblend_plugin.data.store.reader import MoleculeStore
from moleblend_plugin.inference.predictor import Predictor
from moleblend_plugin.inference.stack_fit import FORESTS, fit_stack
from moleblend_plugin.schema import PARTS
from tests.bench.test_parts import make_cell

TRAINING = {
    "lr": 1e-3, "batch": 8, "epochs": 2, "dropout": 0.0, "warmup": 0.1, "patience": 5, "weight_decay": 0.0,
    "fp16": False,
}  # fmt: skip
OPTIONS = {
    "grid": {}, "arch": "moleblend_property_tiny", "checkpoint_sha256": "", "input_mode": "2d", "flags": [],
    "loss": "mse", "training": TRAINING, "ensemble_size": 2, "folds": "random",
}  # fmt: skip


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Stores of 12, 4 and 4 molecules, two targets, with holes."""
    folder = tmp_path_factory.mktemp("bench")
    lines = ["smiles,y,z"]
    lines += [f"{'C' * (1 + n // 2)}{'ON'[n % 2]},{n},{'' if n % 3 else n % 2}" for n in range(20)]
    (folder / "t.csv").write_text("\n".join(lines))
    rows = {"train": [*range(12)], "valid": [12, 13, 14, 15], "test": [16, 17, 18, 19]}
    (folder / "rows.json").write_text(json.dumps(rows))
    build(
        folder / "t.csv",
        folder / "stores",
        target_columns=["all"],
        split=f"rows:{folder / 'rows.json'}",
        conformers=None,
        workers=1,
    )
    return folder


@pytest.fixture(autouse=True)
def small_forests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ensemble, "fit_stack", partial(fit_stack, numbers={"n_estimators": 3}))


def parts_of(out: Path) -> dict[str, PartArrays]:
    return {part: read_arrays(out / "stores", part) for part in PARTS}


def cell_of(out: Path, kind: str, fold_rows: str, **more: Any) -> Cell:
    return make_cell(out, kind=kind, options=OPTIONS | {"fold_rows": fold_rows}, **more)


@pytest.fixture
def runs() -> list[list[tuple[list[str], list[str]]]]:
    """By call of ``train_members``, the molecules that each member was trained on and chosen by."""
    return []


@pytest.fixture(autouse=True)
def noted(monkeypatch: pytest.MonkeyPatch, runs: list[list[tuple[list[str], list[str]]]]) -> None:
    plain: Callable[..., Any] = ensemble.train_members

    def noting(labelled: Any, members: Any, settings: Any) -> Any:
        smiles = [record.smiles for record in labelled.records]
        runs.append([([smiles[n] for n in one.train], [smiles[n] for n in one.valid]) for one in members])
        return plain(labelled, members, settings)

    monkeypatch.setattr(ensemble, "train_members", noting)


def test_every_row_but_those_of_test_is_trained_on(out: Path, tmp_path: Path, runs: Any) -> None:
    """And a stack of the same settings trains the networks no second time."""
    shutil.copytree(out / "stores", tmp_path / "stores")
    out = tmp_path  # nothing is kept there yet
    parts = parts_of(out)
    alone = ensemble.run(cell_of(out, "ours-ensemble", "train+valid"), parts, {})
    stack = ensemble.run(cell_of(out, "ours-stack", "train+valid"), parts, {})
    assert len(runs) == 1
    (first, held_first), (second, held_second) = runs[0]
    both = {*parts["train"].smiles, *parts["valid"].smiles}
    assert {*held_first, *held_second} == both
    assert (set(first), set(second)) == (both - set(held_first), both - set(held_second))
    assert not both & set(parts["test"].smiles)
    assert (alone.valid.shape, alone.test.shape, stack.test.shape) == ((4, 2),) * 3
    assert np.isfinite(np.concatenate([alone.valid, alone.test, stack.valid, stack.test])).all()
    assert np.abs(stack.test - alone.test).max() > 0
    assert stack.kept_cpu_seconds == alone.kept_cpu_seconds == 0, "one process made all of it"
    assert list(stack.notes["weights"]) == ["network", *FORESTS]
    assert set(stack.notes["out_of_fold"]) == {"network", *FORESTS, "stack"}
    assert stack.notes["epoch"] == alone.notes["epoch"]
    assert stack.notes["fold_rows"] == "train+valid"


def test_the_model_is_there_for_predict(out: Path) -> None:
    """What the file predicts for the test part is what is scored."""
    cell, parts = cell_of(out, "ours-stack", "train+valid"), parts_of(out)
    outcome = ensemble.run(cell, parts, {})
    predictor = Predictor.from_checkpoint(cell.run / ensemble.MODEL, "cpu")
    np.testing.assert_allclose(
        predictor.predict_store(MoleculeStore(parts["test"].path)), outcome.test, rtol=1e-5
    )


def test_validation_may_be_kept_out_of_training(out: Path, runs: Any) -> None:
    parts = parts_of(out)
    outcome = ensemble.run(cell_of(out, "ours-stack", "train", keep="none"), parts, {})
    train, valid = set(parts["train"].smiles), set(parts["valid"].smiles)
    for seen, chosen_by in runs[-1]:
        assert set(seen) < train
        assert set(chosen_by) == valid
    assert outcome.valid.shape == (4, 2)
    assert not cell_of(out, "ours-stack", "train", keep="none").run.exists()
