"""``moleblend images``: every store of a folder gets its drawings, and an interrupted run goes on."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from moleblend_plugin.cli.main import app
from moleblend_plugin.data.store.image_file import ImageFile, ImageWriter
from moleblend_plugin.tasks.store_fingerprint import store_fingerprint


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten molecules without 3D in two stores."""
    root = tmp_path_factory.mktemp("drawn")
    (root / "mols.smi").write_text("\n".join("C" * n + "O" for n in range(1, 11)))
    argv = ["build", str(root / "mols.smi"), "--out", str(root / "store"), "--split", "random"]
    done = CliRunner().invoke(app, [*argv, "--split-sizes", "0.8,0.2,0"])
    assert done.exit_code == 0, done.output
    return root / "store"


def run(*arguments: object) -> str:
    done = CliRunner().invoke(app, ["images", *map(str, arguments)])
    assert done.exit_code == 0, done.output or done.exception
    return done.output


def test_every_store_gets_drawings_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train = folder / "train.lmdb"
    with ImageWriter(folder / "train.images", store_fingerprint(train), 48) as writer:
        writer.add([None, None])  # an interrupted run: what is there stays
    told = run(folder, "--image-size", 48)
    assert "train.images: 8 molecules, 2 of them before; 0 could not be drawn" in told
    images = ImageFile(folder / "train.images", store_fingerprint(train), 8)
    assert [images[number] is None for number in range(8)] == [True] * 2 + [False] * 6
    del images  # closes the file
    assert "8 of them before" in run(folder, "--image-size", 48)
    monkeypatch.setattr("moleblend_plugin.cli.images._CHUNK", 4)  # work for two processes
    assert "before" not in run(folder, "--image-size", 48, "--overwrite", "--workers", 2)
    images = ImageFile(folder / "train.images", store_fingerprint(train), 8)
    assert all(images[number] is not None for number in range(8))


def test_bad_values_are_named(folder: Path) -> None:
    done = CliRunner().invoke(app, ["images", str(folder), "--image-size", "8"])
    assert done.exit_code != 0
    assert "--image-size 8: give 32 to 1024 pixels" in str(done.exception)
    done = CliRunner().invoke(app, ["images", str(folder), "--workers", "0"])
    assert done.exit_code == 2
    assert "--workers" in done.output
