"""Every format through every door: the same molecules give the same result, piped in or named."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from rdkit import Chem

from moleblend_plugin.cli.main import main
from moleblend_plugin.data.store.reader import MoleculeStore
from moleblend_plugin.estimator import MoleblendEmbedder, MoleblendRegressor
from tests.checkpoints import property_checkpoint
from tests.inputs.files import LABELS, SMILES, UNLABELLED, WRITERS, pipe, write_file

PIPED = ("csv", "list.gz", "parquet", "sdf", "npz", "unimol", "store")
CANONICAL = [Chem.CanonSmiles(smiles) for smiles in SMILES]


def run(*arguments: object) -> int:
    """Exit code of the command line in this process."""
    try:
        main([str(argument) for argument in arguments])
    except SystemExit as done:
        return int(done.code or 0)
    return 0


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return property_checkpoint(tmp_path_factory.mktemp("model") / "y.pt")


@pytest.fixture(
    params=[*((format, False) for format in WRITERS), *((format, True) for format in PIPED)],
    ids=lambda param: param[0] + (", piped" if param[1] else ""),
)
def given(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[str, Path | str]:
    """(format, what names the file on the command line)."""
    format, piped = request.param
    path = write_file(tmp_path, format)
    if piped:
        pipe(monkeypatch, path.read_bytes())
    return format, "-" if piped else path


def target(format: str) -> str:
    return "target_0" if format == "unimol" else "y"


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_build(given: tuple[str, Path | str], tmp_path: Path) -> None:
    format, path = given
    labels = () if format in UNLABELLED else ("--target-columns", target(format))
    out = tmp_path / "out"
    assert run("build", path, "--out", out, "--workers", 1, "--conformers", "none", *labels) == 0
    records = list(MoleculeStore(out / "train.lmdb"))
    name = "stdin" if path == "-" else path.name
    assert [record.row_id for record in records] == [f"{name}:{row}" for row in range(4)]
    assert [record.smiles for record in records] == CANONICAL
    if labels:
        assert [record.targets.tolist() for record in records] == [[label] for label in LABELS]
    assert list(json.loads((out / "build_report.json").read_text())["sources"]) == [name]


@pytest.fixture(scope="module")
def predictions(checkpoint: Path) -> npt.NDArray[np.float64]:
    return MoleblendRegressor.load(checkpoint, device="cpu").predict(list(SMILES))


@pytest.fixture(scope="module")
def vectors(checkpoint: Path) -> npt.NDArray[np.float32]:
    return MoleblendEmbedder(str(checkpoint), device="cpu").transform(list(SMILES))


def test_predict(
    given: tuple[str, Path | str],
    tmp_path: Path,
    checkpoint: Path,
    predictions: npt.NDArray[np.float64],
    capsys: pytest.CaptureFixture[str],
) -> None:
    format, path = given
    out = tmp_path / "out.csv"
    assert run("predict", checkpoint, path, "--out", out, "--workers", 1, "--device", "cpu") == 0
    rows = read(out)
    name = "old.csv" if format.startswith("store") else "stdin" if path == "-" else path.name
    assert [row["row_id"] for row in rows] == [f"{name}:{row}" for row in range(4)]
    np.testing.assert_allclose([float(row["predicted_y"]) for row in rows], predictions, rtol=1e-5)
    assert ("2D only" in capsys.readouterr().err) is not format.startswith("store")


def test_embed(
    given: tuple[str, Path | str], tmp_path: Path, checkpoint: Path, vectors: npt.NDArray[np.float32]
) -> None:
    _, path = given
    out = tmp_path / "out.npz"
    assert run("embed", checkpoint, path, "--out", out, "--workers", 1, "--device", "cpu") == 0
    with np.load(out) as file:
        np.testing.assert_allclose(file["vectors"], vectors, rtol=1e-4, atol=1e-5)


def test_score(
    given: tuple[str, Path | str],
    tmp_path: Path,
    checkpoint: Path,
    predictions: npt.NDArray[np.float64],
    capsys: pytest.CaptureFixture[str],
) -> None:
    format, path = given
    given_options = ("--resamples", 20, "--workers", 1, "--device", "cpu", "--target-columns", target(format))
    code = run("score", checkpoint, path, "--out", tmp_path / "s.json", *given_options)
    if format in UNLABELLED:
        assert code == 2
        assert "has no labels 'y'" in capsys.readouterr().err
        return
    assert code == 0
    rows = json.loads((tmp_path / "s.json").read_text())["predictions"]
    assert [row["labels"] for row in rows] == [[label] for label in LABELS]
    np.testing.assert_allclose([row["predicted"][0] for row in rows], predictions, rtol=1e-5)


def test_exclude(given: tuple[str, Path | str], tmp_path: Path) -> None:
    _, path = given
    (tmp_path / "all.smi").write_text("".join(f"{smiles}\n" for smiles in ("CCC", *SMILES[::-1], "CCCl")))
    options = ("--workers", 1, "--conformers", "none", "--exclude", path)
    assert run("build", tmp_path / "all.smi", "--out", tmp_path / "out", *options) == 0
    assert [record.smiles for record in MoleculeStore(tmp_path / "out" / "train.lmdb")] == ["CCC", "CCCl"]


@pytest.mark.parametrize("format", [format for format in WRITERS if WRITERS[format][0]])
def test_splits(tmp_path: Path, format: str) -> None:
    for part in ("train", "valid"):
        write_file(tmp_path, format, part)
    named = () if format in UNLABELLED else ("--target-columns", target(format))
    assert run("splits", tmp_path, "--out", tmp_path / "report.json", "--workers", 1, *named) == 0
    report = json.loads((tmp_path / "report.json").read_text())
    assert {part: facts["molecules"] for part, facts in report["parts"].items()} == {"train": 4, "valid": 4}
    assert report["pairs"]["train-valid"]["duplicates"]["groups"] == 4
    if named:
        assert report["parts"]["train"]["tasks"][target(format)]["mean"] == pytest.approx(np.mean(LABELS))


@pytest.mark.parametrize("format", WRITERS)
def test_estimators(
    tmp_path: Path, checkpoint: Path, predictions: npt.NDArray[np.float64], format: str
) -> None:
    path = write_file(tmp_path, format)
    model = MoleblendRegressor.load(checkpoint, device="cpu")
    np.testing.assert_allclose(model.predict(path), predictions, rtol=1e-5)
    if format not in UNLABELLED:
        assert model.score(path, target(format)) == model.score(list(SMILES), LABELS)


def test_an_estimator_takes_labels_from_columns(tmp_path: Path) -> None:
    path = write_file(tmp_path, "csv")
    options = {"checkpoint": None, "input_mode": "2d", "epochs": 1, "validation_fraction": 0, "device": "cpu"}
    named = MoleblendRegressor(**options).fit(path, "y")
    given = MoleblendRegressor(**options).fit(list(SMILES), list(LABELS))
    np.testing.assert_array_equal(named.predict(path), given.predict(list(SMILES)))
    assert MoleblendRegressor(**options).fit(path, ["y"]).predict(path).shape == (4, 1)
