"""`moleblend embed`: vectors with the ids of their rows, and the rows without any."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from moleblend_plugin.cli.main import main
from tests.checkpoints import pretraining_checkpoint, property_checkpoint

ROWS = "smiles\nOCC\nbad(\n[Na+].CC(=O)[O-]\nC\n"
ATOMS = [3, 5, 1]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return property_checkpoint(tmp_path_factory.mktemp("model") / "y.pt")


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "mols.csv"
    path.write_text(ROWS)
    return path


def embed(*arguments: Path | str) -> int:
    """Exit code of the command."""
    try:
        main(["embed", *(str(argument) for argument in arguments), "--workers", "1", "--device", "cpu"])
    except SystemExit as done:
        return done.code or 0
    return 0


def arrays(path: Path) -> dict[str, npt.NDArray[Any] | npt.NDArray[np.float32] | npt.NDArray[np.int64]]:
    with np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def test_arrays_hold_vectors_and_what_failed(
    checkpoint: Path, table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = {}
    for what in ("graph", "mean", "atoms"):
        assert embed(checkpoint, table, "--out", tmp_path / f"{what}.npz", "--what", what) == 0
        found[what] = arrays(tmp_path / f"{what}.npz")
        assert found[what]["row"].tolist() == [0, 2, 3]
        assert found[what]["row_id"].tolist() == ["mols.csv:0", "mols.csv:2", "mols.csv:3"]
        assert found[what]["failed_row"].tolist() == [1]
        assert found[what]["failed_row_id"].tolist() == ["mols.csv:1"]
        assert found[what]["failed_reason"].tolist() == ["SMILES syntax"]
        assert found[what]["vectors"].dtype == np.float32
    assert found["graph"]["vectors"].shape == found["mean"]["vectors"].shape == (3, 128)
    assert found["atoms"]["offsets"].tolist() == [0, *np.cumsum(ATOMS)]
    parts = np.split(found["atoms"]["vectors"], found["atoms"]["offsets"][1:-1])
    assert [len(part) for part in parts] == ATOMS
    for part, mean in zip(parts, found["mean"]["vectors"], strict=True):
        np.testing.assert_allclose(part.mean(0), mean, atol=1e-5)
    assert "embedded   3" in capsys.readouterr().out


def test_parquet_has_a_row_for_every_row(checkpoint: Path, table: Path, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    assert embed(checkpoint, table, "--out", tmp_path / "a.parquet", "--what", "atoms") == 0
    rows = parquet.read_table(tmp_path / "a.parquet").to_pylist()
    assert [row["smiles"] for row in rows] == ["OCC", "bad(", "[Na+].CC(=O)[O-]", "C"]
    assert [row["reason"] for row in rows] == ["", "SMILES syntax", "", ""]
    assert [row["vectors"] and len(row["vectors"]) for row in rows] == [3, None, 5, 1]
    assert {len(vector) for row in rows if row["vectors"] for vector in row["vectors"]} == {128}


def test_a_pretraining_checkpoint_embeds_2d_and_3d(tmp_path: Path, table: Path) -> None:
    checkpoint = pretraining_checkpoint(tmp_path)
    vectors = []
    for mode in ("2d", "both"):
        out = tmp_path / f"{mode}.npz"
        assert embed(checkpoint, table, "--out", out, "--input-mode", mode) == 0
        vectors.append(arrays(out)["vectors"])
    assert np.abs(vectors[0] - vectors[1]).max(1).min() > 1e-4


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--out", "a.csv"), "--out a.csv has no ending that names its format; use .npz or .parquet"),
        (("--what", "cls"), "--what 'cls' is unknown; choose from graph, mean, atoms"),
        (("--smiles-column", "SMILE"), "has no column 'SMILE'; did you mean 'smiles'?"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    checkpoint: Path,
    table: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    options: tuple[str, str],
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert embed(checkpoint, "mols.csv", "--out", "a.npz", *options) == 2
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert words in errors[0]
    assert [path.name for path in tmp_path.iterdir()] == ["mols.csv"]
