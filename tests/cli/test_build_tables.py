"""Irregular tables through the commands: build, training, predict, bench and recipe."""

from __future__ import annotations

import csv
import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from moleblend_plugin.bench.spec.config import load_config
from moleblend_plugin.cli.main import main
from moleblend_plugin.data.store.reader import MoleculeStore
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.names import write_targets
from moleblend_plugin.tasks.property.task import choose_columns
from tests.checkpoints import property_checkpoint

NAME = "IC50, nM"


def run(*arguments: Path | int | str) -> int:
    """Exit code of the command line in this process."""
    try:
        main([str(argument) for argument in arguments])
    except SystemExit as done:
        return done.code or 0
    return 0


def build(path: Path, out: Path, *options: int | str) -> int:
    return run("build", path, "--out", out, "--workers", 1, "--conformers", "none", *options)


def write(path: Path, content: bytes | str) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def named(folder: Path) -> Path:
    rows = "".join(f"{'C' * n}O,{n},{-n},{n % 3}\n" for n in range(1, 9))
    return write(folder / "a.csv", f'smiles,"{NAME}"," [b] ","x""=:"\n{rows}')


def labels(folder: Path, part: str = "train") -> tuple[tuple[str, ...], list[tuple[np.float64, ...]]]:
    store = MoleculeStore(folder / f"{part}.lmdb")
    return store.meta.target_names, [tuple(record.targets) for record in store]


@pytest.mark.parametrize(
    "options",
    [
        ["--target-columns", f'"{NAME}",[b]'],
        ["--target-columns", f'"{NAME}"', "--target-columns", "[b]"],
        ["--target-columns", f'[b] , "{NAME}"'],
        ["--target-columns", NAME, "--target-columns", "[b]"],  # nothing else of the table has that name
    ],
)
def test_columns_of_any_name_in_build_and_training(tmp_path: Path, options: list[str]) -> None:
    assert build(named(tmp_path), tmp_path / "out", *options) == 0
    names, rows = labels(tmp_path / "out")
    assert set(names) == {NAME, "[b]"}
    assert rows[0] == tuple(1 if name == NAME else -1 for name in names)
    store = MoleculeStore(tmp_path / "out" / "train.lmdb")
    assert choose_columns(store, f'"{NAME}"') == [NAME]
    assert choose_columns(store, NAME) == [NAME]
    assert choose_columns(store, f'[b],"{NAME}"') == ["[b]", NAME]
    assert choose_columns(store, "all") == list(names)
    with pytest.raises(MoleblendError, match=r'it holds .*"IC50, nM"'):
        choose_columns(store, "IC50")


def test_all_columns_whatever_their_names(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert build(named(tmp_path), tmp_path / "out", "--target-columns", "all") == 0
    assert labels(tmp_path / "out")[0] == (NAME, "[b]", 'x"=:')
    assert 'targets: 3 columns of numbers: "IC50, nM", [b], x"=:' in capsys.readouterr().out


def test_an_index_of_pandas_is_no_label(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = write(tmp_path / "a.csv", ",smiles,y,Unnamed: 0\n0,C,1,5\n1,CC,2,6\n")
    assert build(table, tmp_path / "out", "--target-columns", "all") == 0
    assert labels(tmp_path / "out")[0] == ("y",)
    assert "Unnamed: 0 (a column without a name, such as an index)" in capsys.readouterr().out


def test_a_split_column_of_any_name(tmp_path: Path) -> None:
    table = write(tmp_path / "a.csv", 'smiles,"part: 1, [x]"\nC,train\nCC,test\nCCC,valid\n')
    for number, form in enumerate(("column:part: 1, [x]", 'column:"part: 1, [x]"')):
        assert build(table, tmp_path / str(number), "--split", form) == 0
        assert [
            len(MoleculeStore(tmp_path / str(number) / f"{part}.lmdb")) for part in ("train", "test")
        ] == [1, 1]


def test_a_name_given_twice_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert build(named(tmp_path), tmp_path / "out", "--target-columns", "[b],[b]") != 0
    assert "--target-columns names '[b]' twice" in capsys.readouterr().err


def test_a_bench_file_names_columns_as_they_are(tmp_path: Path) -> None:
    named(tmp_path)
    for number, (targets, wanted) in enumerate(
        (
            (f'["{NAME}", "[b]"]', f'"{NAME}",[b]'),
            (f"'\"{NAME}\", [b]'", f'"{NAME}",[b]'),
            ('"all"', "all"),
        )
    ):
        file = write(
            tmp_path / f"{number}.toml",
            f'[[sets]]\nname = "s"\ntable = "a.csv"\nsplit = "random"\nmetric = "rmse"\ntargets = {targets}\n'
            'missing_label = ["ND", "-1"]\npositive = "CA"\n'
            '[[models]]\nname = "m"\nkind = "ecfp4-rf"\n',
        )
        (spec,) = load_config(file).sets
        assert write_targets(spec.targets) == wanted
        assert spec.words == {"missing_label": ("ND", "-1"), "positive": ("CA",)}


def test_words_for_classes_are_told_and_kept_in_the_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = write(tmp_path / "a.csv", "smiles,c\nC,Active\nCC,inactive\nCCC,#N/A\nCCCC,maybe\n")
    assert build(table, tmp_path / "out", "--target-columns", "c") == 0
    np.testing.assert_array_equal([row[0] for row in labels(tmp_path / "out")[1]], [1, 0, np.nan])
    assert "note: words of classes in c: active = 1, inactive = 0" in capsys.readouterr().err
    report = json.loads((tmp_path / "out" / "build_report.json").read_text())
    assert report["classes"] == {"c": {"active": 1, "inactive": 0}}


def test_words_for_classes_and_missing_that_the_user_names(tmp_path: Path) -> None:
    table = write(tmp_path / "a.csv", "smiles,c\nC,CA\nCC,CI\nCCC,CM\nCCCC,ND\nN,-1\n")
    options = ["--positive", "CA", "--positive", "cm", "--negative", "CI", "--missing-label", "ND"]
    assert build(table, tmp_path / "out", "--target-columns", "c", *options, "--missing-label", -1) == 0
    np.testing.assert_array_equal([row[0] for row in labels(tmp_path / "out")[1]], [1, 0, 1, np.nan, np.nan])
    # The same command goes on with what is there, and other words are another build.
    assert build(table, tmp_path / "out", "--target-columns", "c", *options, "--overwrite") == 0


def test_a_word_of_two_meanings_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = write(tmp_path / "a.csv", "smiles,c\nC,x\n")
    assert build(table, tmp_path / "o", "--target-columns", "c", "--positive", "x", "--negative", "X") != 0
    assert "--positive and --negative are both 'X'" in capsys.readouterr().err


def test_odd_labels_are_warned_about_with_the_row(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = "".join(f"{'C' * n},{n / 10},7\n" for n in range(1, 12))
    table = write(tmp_path / "a.csv", f"smiles,y,z\n{rows}N,1e9,7\nO,1e40,7\n")
    assert build(table, tmp_path / "out", "--target-columns", "y,z") == 0
    told = capsys.readouterr().err
    assert "warning: column 'z' holds 7 in all of its 12 labels" in told
    assert "warning: column 'y' holds 1e+09 in a.csv:11" in told
    report = json.loads((tmp_path / "out" / "build_report.json").read_text())
    assert len(report["label_warnings"]) == 2
    assert report["rejected_by_reason"] == {"target too large": 1}


def test_how_a_file_was_read_is_told_and_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = write(tmp_path / "a.csv", gzip.compress("smiles;y\nC;1,5\nCC;2\n".encode("utf-16")))
    assert build(table, tmp_path / "out", "--target-columns", "y") == 0
    told = capsys.readouterr().err.splitlines()
    assert told == [
        "note: a.csv is compressed by gzip, although its name does not say so",
        "note: a.csv is read as UTF-16-LE",
        "note: a.csv has its columns separated by semicolons",
        "note: a.csv has decimal commas in column y: 1,5 is read as 1.5",
    ]
    report = json.loads((tmp_path / "out" / "build_report.json").read_text())
    assert [f"note: {note}" for note in report["notes"]] == told


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return property_checkpoint(tmp_path_factory.mktemp("model") / "y.pt", (NAME,))


def predict(checkpoint: Path, table: Path, out: Path) -> list[dict[str, str]]:
    code = run("predict", checkpoint, table, "--out", out, "--workers", 1, "--device", "cpu")
    assert code == 0
    with out.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "latin-1"])
def test_predict_has_every_row_of_an_irregular_table(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], encoding: str
) -> None:
    rows_given = (
        "1;CCO;x", '2;"CCN;y', '3;CCC;z"', "4;CC\0C;", "5;CCC;a;b", '6;"CC\nO";c',
        '7;CCO CCN;"d\ne"', "8;CCCl", "9",
    )  # fmt: skip
    content = "\n".join(("id;smiles;née", *rows_given, ""))
    rows = predict(checkpoint, write(tmp_path / "a.csv", content.encode(encoding)), tmp_path / "out.csv")
    assert [row["id"] for row in rows] == list("123456789")
    assert [row["row_id"] for row in rows] == [f"a.csv:{number}" for number in range(9)]
    assert [row["reason"].partition(":")[0] for row in rows] == [
        "", "SMILES syntax", "", "zero byte", "wrong number of cells", "line break in a SMILES",
        "more than one SMILES", "", "wrong number of cells",
    ]  # fmt: skip
    assert [row[f"predicted_{NAME}"] == "" for row in rows] == [bool(row["reason"]) for row in rows]
    assert [row["née"] for row in rows[:4]] == ["x", "y", 'z"', ""]
    assert "note: a.csv has its columns separated by semicolons" in capsys.readouterr().err


def test_the_command_of_a_recipe_names_its_columns(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("recipe", "esol") == 0
    assert "'measured log solubility in mols per litre'" in capsys.readouterr().out
