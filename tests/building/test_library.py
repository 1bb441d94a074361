"""``moleblend_plugin.build``: what the command does, as a call; it prints nothing and tells all it knows."""

from __future__ import annotations

import inspect
import json
import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from moleblend_plugin import build
from moleblend_plugin.building.options import BuildOptions
from moleblend_plugin.building.progress import BuildProgress
from moleblend_plugin.cli import build as command
from moleblend_plugin.data.store.reader import MoleculeStore
from moleblend_plugin.errors import MoleblendError

DOCS = Path(__file__).resolve().parents[2] / "docs" / "store.md"
TABLE = "smiles,y,z\n" + "".join(f"{'C' * (1 + n % 7)}O,{n},{n % 2}\n" for n in range(600)) + "bad(,1,1\n"


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "mols.csv"
    path.write_text(TABLE)
    return path


def test_a_call_gives_stores_counts_and_news(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    news: list[BuildProgress] = []
    options = {"conformers": None, "split": "random", "split_sizes": (0.5, 0.5, 0), "workers": 1}
    result = build(str(table), tmp_path / "out", target_columns="all", progress=news.append, **options)
    assert capsys.readouterr() == ("", "")
    assert (result.rows, result.molecules, result.rejected) == (601, 600, 1)
    assert result.stores == {part: tmp_path / "out" / f"{part}.lmdb" for part in ("train", "valid")}
    assert {part: len(MoleculeStore(store)) for part, store in result.stores.items()} == {
        "train": 300, "valid": 300,
    }  # fmt: skip
    assert result.target_names == ["y", "z"]
    assert any("stand in more than one row" in line for line in result.warnings)
    written = json.loads((tmp_path / "out" / "build_report.json").read_text())
    assert written["duplicates"] == result.duplicates
    assert written.keys() == {
        name for name in result.__dataclass_fields__ if name not in ("out", "stores", "warnings")
    }
    assert (news[0].kind, news[0].line) == ("choice", "targets: 2 columns of numbers: y, z")
    rows = [one for one in news if one.kind == "rows"]
    assert [one.rows for one in rows] == [0, 256, 512, 601]
    assert rows[-1] == BuildProgress("rows", "", 601, 1, 601, 1.0)


def test_labels_and_words_are_given_as_values(table: Path, tmp_path: Path) -> None:
    options = {"conformers": "none", "workers": 1}
    result = build([table], tmp_path / "a", target_columns=["y", "z"], missing_label=-1, **options)
    assert result.labels == {"train": {"y": 600, "z": 600}}
    result = build([table], tmp_path / "b", target_columns="y,z", missing_label=[0, "ND"], **options)
    assert result.labels == {"train": {"y": 599, "z": 300}}


def test_a_mistake_is_an_error_of_one_line_and_changes_nothing(table: Path, tmp_path: Path) -> None:
    with pytest.raises(MoleblendError, match="has no column 'yy'; did you mean 'y'"):
        build(table, tmp_path / "out", target_columns=["yy"], conformers=None)
    with pytest.raises(MoleblendError, match=r"mols\.csv:600 is rejected .*correct the row"):
        build(table, tmp_path / "out", conformers=None, workers=1, strict=True)
    with pytest.raises(MoleblendError, match="--conformers 0: give a number from 1"):
        build(table, tmp_path / "out", conformers=0)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"limit": -5}, "--limit -5: give a whole number from 1"),
        ({"limit": "5"}, "--limit 5: give a whole number from 1"),
        ({"seed": "x", "split": "random"}, "--seed x: give a whole number from 0"),
        ({"seed": -4, "split": "random"}, "--seed -4: give a whole number from 0"),
        ({"conformer_method": "quick"}, "--conformer-method quick: choose from full, fast"),
        ({"conformers": 1, "conformer_method": "fast", "relax_steps": 0}, "fast relaxes what it embeds"),
        ({"workers": 0}, "--workers 0: give a whole number from 1"),
        ({"inputs": []}, "no input files; name one at least"),
        ({"inputs": ["mols.csv", "mols.csv"]}, "given twice; name every input once"),
        ({"exclude": ["mols.csv"]}, "is left .excluded by --exclude: 600.; give another --exclude"),
    ],
)
def test_a_value_that_cannot_be_is_named_before_any_work(
    table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: dict[str, Any], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    if "exclude" in given:
        table.write_text(TABLE.removesuffix("bad(,1,1\n"))
    options = {"inputs": [table], "conformers": None, "workers": 1} | given
    with pytest.raises(MoleblendError, match=message):
        build(out=tmp_path / "out", **options)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mols.csv"]


def test_numpy_s_numbers_are_numbers(table: Path, tmp_path: Path) -> None:
    result = build(table, tmp_path / "out", conformers=None, limit=np.int64(5), seed=np.int64(3), workers=1)
    assert result.molecules == 5


def test_the_command_has_every_option_of_the_call_with_its_default() -> None:
    flags = inspect.signature(command.build).parameters
    options = inspect.signature(build).parameters
    assert list(flags) == [*(name for name in options if name != "progress"), "piece", "cluster", "pieces"]
    for name in options.keys() - {"progress"}:
        ours, theirs = options[name].default, flags[name].default
        if name == "split_sizes":
            theirs = tuple(map(float, theirs.split(",")))
        elif name == "conformers":
            theirs = int(theirs)
        assert ours == (() if theirs is None and ours == () else theirs), name


def test_a_piece_has_every_option_of_a_build_with_its_default() -> None:
    options = {
        name: option.default
        for name, option in inspect.signature(build).parameters.items()
        if name not in ("inputs", "out", "progress")
    }
    assert {item.name: item.default for item in fields(BuildOptions)} == options


def test_the_page_shows_a_call_that_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    section = DOCS.read_text(encoding="utf-8").partition("\n## From Python\n")[2]
    (code,) = re.findall(r"```python\n(.*?)```", section.partition("\n## ")[0], re.DOTALL)
    (tmp_path / "molecules.csv").write_text("smiles,logS\nCCO,1\nc1ccccc1C,-2\nbad(,3\nC1CCCCC1N,0.5\n")
    monkeypatch.chdir(tmp_path)
    exec(compile(code, str(DOCS), "exec"), {"__name__": "__main__"})
    assert capsys.readouterr().out == "3 {'SMILES syntax': 1} data/mine/train.lmdb\n"
    assert (tmp_path / "data" / "mine" / "train.lmdb").is_file()
