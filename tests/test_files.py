"""Files appear whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.files import replacing


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_whole_file_replaces_the_old_one(tmp_path: Path) -> None:
    target = tmp_path / "report.json"
    target.write_text("old")
    with replacing(target) as temporary:
        temporary.write_text("new")
        assert target.read_text() == "old"  # readers see the old one until the end
    assert target.read_text() == "new"
    assert names(tmp_path) == ["report.json"]


def test_a_mistake_in_the_block_keeps_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "report.json"
    target.write_text("old")

    def write_half() -> None:
        with replacing(target) as temporary:
            temporary.write_text("half")
            raise KeyError("something else went wrong")

    with pytest.raises(KeyError):
        write_half()
    assert target.read_text() == "old"
    assert names(tmp_path) == ["report.json"]


def test_a_full_disk_is_one_line_that_names_the_file(tmp_path: Path) -> None:
    target = tmp_path / "report.json"
    with pytest.raises(MoleblendError, match=r"report\.json \(No space left on device\)"), replacing(target):
        raise OSError(28, "No space left on device")
    assert names(tmp_path) == []


def test_a_folder_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    with pytest.raises(MoleblendError, match="taken"), replacing(tmp_path / "taken" / "x") as temporary:
        temporary.write_text("x")
