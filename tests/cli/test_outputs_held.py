"""Two commands that make one file: the second is refused in one line, and the first loses nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from moleblend_plugin.cli.main import main
from moleblend_plugin.locks import holding, lock_file
from tests.checkpoints import property_checkpoint


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("held")
    (folder / "a.smi").write_text("CCO\nCCN\nCCC\n")
    words = ["build", folder / "a.smi", "--out", folder / "s", "--conformers", "none", "--workers", 1]
    main_code(*words)
    property_checkpoint(folder / "m.pt", ("y",), "regression", "2d")
    return folder


def main_code(*words: Path | int | str) -> int:
    try:
        main([str(word) for word in words])
    except SystemExit as done:
        return done.code or 0
    return 0


COMMANDS = {
    "predict": ("m.pt", "a.smi", "--out", "p.csv"),
    "embed": ("m.pt", "a.smi", "--out", "e.npz"),
    "export": ("s/train.lmdb", "--out", "x.lmdb"),
    "images": ("s/train.lmdb",),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_file_is_made_by_one_command_at_a_time(
    name: str, folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    words = COMMANDS[name]
    target = folder / (words[-1] if "--out" in words else "s/train.images")
    with holding(lock_file(target), "x", "y"):
        target.write_bytes(b"half")
        again = ("--overwrite",)
        assert main_code(name, *words, *again) == 2
        told = capsys.readouterr().err.strip().splitlines()[-1]
        assert told.startswith("error: another moleblend command is writing ")
        assert target.name in told
        assert target.read_bytes() == b"half"
        target.unlink()
    assert main_code(name, *words) == 0
    assert target.exists()
    assert not lock_file(target).exists()
