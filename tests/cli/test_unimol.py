"""Uni-Mol's files through the commands: built, refused, exported and built again."""

from __future__ import annotations

import json
import os
import pickle
from pathlib import Path
from typing import Any

import lmdb
import numpy as np
import pytest

from moleblend_plugin.cli.main import main
from moleblend_plugin.data.store.reader import MoleculeStore
from moleblend_plugin.data.unimol.reader import UniMolFile
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.schema import MoleculeRecord
from tests.chem.test_source_unimol import entry

SMILES = [
    "CCO",
    "C[C@H](N)C(=O)O",
    "c1ccccc1C",
    "CC#N",
    "OC(C)=O",
    "CCN",
    "CCCO",
    "FC(F)F",
    "NC=O",
    "CC=O",
    "CS",
    "CCl",
]


def run(*arguments: Path | int | str) -> int:
    """Exit code of the command line."""
    try:
        main([str(argument) for argument in arguments])
    except SystemExit as end:
        return end.code or 0
    return 0


def build(source: Path | list[Path], out: Path, *options: str) -> int:
    sources = source if isinstance(source, list) else [source]
    return run("build", *sources, "--out", out, "--workers", 1, "--conformers", "none", *options)


def write(
    path: Path, values: dict[bytes | int, bytes | dict[str, Any] | list[int]], protocol: Any = -1
) -> Path:
    """An LMDB file as Uni-Mol's notebook writes it; bytes are put as they are."""
    path.parent.mkdir(exist_ok=True)
    with (
        lmdb.open(str(path), subdir=False, lock=False, map_size=1 << 24) as env,
        env.begin(write=True) as txn,
    ):
        for key, value in values.items():
            content = value if isinstance(value, bytes) else pickle.dumps(value, protocol=protocol)
            txn.put(key if isinstance(key, bytes) else str(key).encode(), content)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    values = [entry(smiles) | {"target": [index % 2, -1.0]} for index, smiles in enumerate(SMILES)]
    write(tmp_path / "bbbp" / "train.lmdb", dict(enumerate(values)))
    write(tmp_path / "bbbp" / "valid.lmdb", {0: values[0], 1: values[1]})
    write(tmp_path / "bbbp" / "test.lmdb", {0: values[2] | {"target": np.array([1, 0.5])}})
    return tmp_path / "bbbp"


def one_error(capsys: pytest.CaptureFixture[str]) -> str:
    text = capsys.readouterr().err
    assert text.count("error: ") == 1
    assert "Traceback" not in text
    return text


def test_a_folder_keeps_its_parts_and_the_numeric_order(folder: Path, tmp_path: Path) -> None:
    assert build(folder, tmp_path / "out") == 0
    stores = {part: MoleculeStore(tmp_path / "out" / f"{part}.lmdb") for part in ("train", "valid", "test")}
    assert [len(store) for store in stores.values()] == [12, 2, 1]
    train = stores["train"]
    assert [record.row_id for record in train] == [
        f"train.lmdb:{key}" for key in range(12)
    ]  # not 0, 1, 10, 11, 2
    assert train.meta.target_names == ("target_0", "target_1")
    np.testing.assert_array_equal(train[3].targets, [1, -1])
    assert all(record.coords.shape[0] == 2 for record in train)
    report = json.loads((tmp_path / "out" / "build_report.json").read_text())
    assert report["coords_from"] == {"source, drawings left out": 15}


def test_a_number_that_means_missing_and_names_of_targets(folder: Path, tmp_path: Path) -> None:
    options = ("--target-columns", "p_np,other", "--missing-label", "-1")
    assert build(folder, tmp_path / "out", *options) == 0
    train = MoleculeStore(tmp_path / "out" / "train.lmdb")
    assert train.meta.target_names == ("p_np", "other")
    np.testing.assert_array_equal(train[3].targets, [1, np.nan])


def test_files_can_be_divided_anew(folder: Path, tmp_path: Path) -> None:
    files = [folder / "train.lmdb", folder / "valid.lmdb"]
    assert build(files, tmp_path / "out") == 0
    assert len(MoleculeStore(tmp_path / "out" / "train.lmdb")) == 14
    assert build(folder, tmp_path / "anew", "--split", "random", "--split-sizes", "0.4,0.3,0.3") == 0
    assert len(MoleculeStore(tmp_path / "anew" / "train.lmdb")) == 6


class Evil:
    def __init__(self, mark: Any) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.mark}",)


def test_a_malicious_value_is_refused_by_name_and_the_rest_is_built(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mark, good = tmp_path / "mark", entry("CCO")
    path = write(
        tmp_path / "in" / "train.lmdb", {0: good, 1: good | {"target": Evil(mark)}, 2: b"junk", 3: [1]}
    )
    assert build(path, tmp_path / "out") == 0
    assert f"refused, asks for {os.name}.system" in capsys.readouterr().out
    listed = (tmp_path / "out" / "rejected.csv").read_text()
    assert f'train.lmdb:1,,"refused, asks for {os.name}.system: opening its pickle would run code"' in listed
    assert "train.lmdb:2,,unreadable value" in listed
    assert "train.lmdb:3,,unreadable value: a list instead of a dict" in listed
    assert build(path, tmp_path / "strict", "--strict") == 2
    line = one_error(capsys)
    assert "train.lmdb:1 is rejected" in line
    assert f"{os.name}.system" in line
    assert not mark.exists()
    pickle.loads(pickle.dumps(Evil(mark)))
    assert mark.exists()  # it would have


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({b"mol_1": {"smi": "C"}}, "the key 'mol_1', which is not a number"),
        ({b"\xff\x1b": {"smi": "C"}}, "not a number"),
        ({b"1": {"smi": "C"}, b"01": {"smi": "C"}}, "two keys for number 1"),
        ({}, "holds no molecules"),
        ({0: {"smi": "not a molecule"}}, "no row of train.lmdb is a molecule"),
    ],
)
def test_a_file_that_is_not_uni_mols_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], values: dict[bytes | int, dict[str, str]], words: str
) -> None:
    path = write(tmp_path / "in" / "train.lmdb", values)
    assert build(path, tmp_path / "out") == 2
    assert words in one_error(capsys)
    assert not (tmp_path / "out").exists()


def test_what_is_no_lmdb_file_is_one_line(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.lmdb").write_bytes(b"neither\n" * 3000)
    assert build(tmp_path / "a.lmdb", tmp_path / "out") == 2
    assert "cannot be read as an LMDB file" in one_error(capsys)
    whole = (folder / "train.lmdb").read_bytes()
    (tmp_path / "b.lmdb").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(MoleblendError, match="truncated"):
        UniMolFile(tmp_path / "b.lmdb")
    (tmp_path / "empty").mkdir()
    assert build(tmp_path / "empty", tmp_path / "out") == 2
    assert "a folder without train.lmdb" in one_error(capsys)
    assert build(folder, tmp_path / "out", "--target-columns", "a,b,c") == 2
    assert "holds 2 labels per molecule, not 3" in one_error(capsys)
    assert build(folder, tmp_path / "store") == 0
    assert build(tmp_path / "store" / "train.lmdb", tmp_path / "again") == 0
    assert len(MoleculeStore(tmp_path / "again" / "train.lmdb")) == 12


def test_zero_padded_keys_are_read_in_order(tmp_path: Path) -> None:
    path = write(tmp_path / "in" / "a.lmdb", {b"%010d" % key: {"smi": "C" * (key + 1)} for key in range(11)})
    assert [entry.value["smi"] for entry in UniMolFile(path)] == ["C" * (key + 1) for key in range(11)]


def same(left: MoleculeRecord, right: MoleculeRecord) -> bool:
    return (
        (left.smiles, left.coords is None) == (right.smiles, right.coords is None)
        and all(
            np.array_equal(getattr(left, name), getattr(right, name))
            for name in ("atom_codes", "bonds", "bond_codes")
        )
        and (left.coords is None or np.array_equal(left.coords, right.coords))
        and np.array_equal(left.targets, right.targets, equal_nan=True)
    )


@pytest.mark.parametrize("hydrogens", [(), ("--hydrogens",)])
def test_export_and_build_give_the_records_back(
    folder: Path, tmp_path: Path, hydrogens: tuple[str, ...]
) -> None:
    assert build(folder, tmp_path / "a", "--missing-label", "-1") == 0
    assert run("export", tmp_path / "a", "--out", tmp_path / "x", *hydrogens) == 0
    assert build(tmp_path / "x", tmp_path / "b") == 0
    assert run("export", tmp_path / "b", "--out", tmp_path / "y", *hydrogens) == 0
    assert build(tmp_path / "y", tmp_path / "c") == 0
    for part in ("train", "valid", "test"):
        first, second, third = (MoleculeStore(tmp_path / where / f"{part}.lmdb") for where in "abc")
        assert len(first) == len(second) == len(third) > 0
        for a, b, c in zip(first, second, third, strict=True):
            assert same(b, c)  # atoms are in the order of the SMILES from the first export on
            assert a.smiles == b.smiles
            np.testing.assert_array_equal(a.targets, b.targets)
            for left, right in zip(a.coords, b.coords, strict=True):  # the same points, perhaps renumbered
                assert sorted(left.tolist()) == sorted(right.tolist())


def test_exported_files_read_as_uni_mol_reads_them(folder: Path, tmp_path: Path) -> None:
    assert build(folder, tmp_path / "a", "--missing-label", "-1") == 0
    path = tmp_path / "x.lmdb"
    assert run("export", tmp_path / "a" / "train.lmdb", "--out", path, "--missing-label", "-1") == 0
    with lmdb.open(str(path), subdir=False, readonly=True, lock=False) as env, env.begin() as txn:
        contents = [txn.get(f"{index}".encode("ascii")) for index in range(txn.stat()["entries"])]
    values = [pickle.loads(content) for content in contents]
    assert not any(b"numpy._core" in content for content in contents)  # NumPy 1 has no such module
    assert len(values) == 12
    for value, smiles in zip(values, SMILES, strict=True):
        assert len(value["atoms"]) == sum(symbol != "H" for symbol in entry(smiles)["atoms"])
        assert [item.dtype for item in value["coordinates"]] == [np.float32] * 2
        assert {item.shape for item in value["coordinates"]} == {(len(value["atoms"]), 3)}
        assert type(value["target"][0]) is int  # classes; Uni-Mol's cross entropy wants integers
        assert value["target"][1] == -1
    assert len(os.listdir(tmp_path)) == 3


def test_an_export_replaces_only_when_asked(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert build(folder, tmp_path / "a") == 0
    store = tmp_path / "a" / "test.lmdb"
    (tmp_path / "x.lmdb").write_text("mine")
    assert run("export", store, "--out", tmp_path / "x.lmdb") == 2
    assert "already exists" in one_error(capsys)
    assert (tmp_path / "x.lmdb").read_text() == "mine"
    assert run("export", store, "--out", store, "--overwrite") == 2
    assert "already exists" in one_error(capsys)
    assert run("export", store, "--out", tmp_path / "x.lmdb", "--format", "sdf") == 2
    assert "--format 'sdf' is unknown" in one_error(capsys)
    assert run("export", store, "--out", tmp_path / "x.lmdb", "--overwrite") == 0
    assert len(UniMolFile(tmp_path / "x.lmdb")) == 1
