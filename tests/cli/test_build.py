"""`moleblend build`: what a user gets, and what a user is told when it cannot be had."""

from __future__ import annotations

import csv
import json
import math
import os
import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from rdkit import Chem
from rdkit.Chem import AllChem

from moleblend_plugin.building.work import BuildWork, work_of
from moleblend_plugin.chem.geometry.conformers import GEOMETRY_VERSION
from moleblend_plugin.cli.main import main
from moleblend_plugin.data.store.reader import MoleculeStore
from moleblend_plugin.schema import MoleculeRecord

TABLE = """smiles,y,part
CCO,1,train
c1ccccc1,2,valid
not a molecule,3,train
CN(C)(C)C,4,test
C1CC1C,,test
N[C@@H](C)C(=O)O,6,Training
c1ccccc1C,abc,train
O,8,elsewhere
"""


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "mols.csv"
    path.write_text(TABLE)
    return path


def run(*arguments: Path | int | str) -> int:
    """Exit code of the command line in this process."""
    try:
        main([str(argument) for argument in arguments])
    except SystemExit as done:
        return done.code or 0
    return 0


def build(path: Path | list[Path], out: Path, *options: int | str) -> int:
    paths = path if isinstance(path, list) else [path]
    return run("build", *paths, "--out", out, "--workers", 1, "--conformers", "none", *options)


def rejected(out: Path) -> list[list[str]]:
    """The list of rejected rows without the columns of the input (``test_names_kept``)."""
    with (out / "rejected.csv").open(newline="") as file:
        return [line[:3] for line in csv.reader(file)]


def report(out: Path) -> dict[str, Any]:
    return json.loads((out / "build_report.json").read_text())


def one_error(capsys: pytest.CaptureFixture[str]) -> str:
    """The one line of the error; anything else on stderr fails the test."""
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1, lines
    assert lines[0].startswith("error: ")
    return lines[0]


def assert_same(left: MoleculeStore, right: MoleculeStore) -> None:
    assert len(left) == len(right)
    for a, b in zip(left, right, strict=True):
        for item in fields(MoleculeRecord):
            np.testing.assert_array_equal(getattr(a, item.name), getattr(b, item.name))


def test_a_table_becomes_a_store_with_reports(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert build(table, out, "--target-columns", "y") == 0
    store = MoleculeStore(out / "train.lmdb")
    assert [record.row for record in store] == [0, 1, 4, 5, 7]
    assert [record.smiles for record in store][:2] == ["CCO", "c1ccccc1"]
    np.testing.assert_array_equal([record.targets[0] for record in store], [1, 2, math.nan, 6, 8])
    assert rejected(out) == [
        ["row_id", "input", "reason"],
        ["mols.csv:2", "not a molecule", "SMILES syntax"],
        [
            "mols.csv:3",
            "CN(C)(C)C",
            "impossible valence: Explicit valence for atom # 1 N, 4, is greater than permitted",
        ],
        [
            "mols.csv:6",
            "c1ccccc1C",
            "target is no number: column 'y' holds 'abc', a word; classes are 0 and 1: give --positive and "
            "--negative WORD, or --missing-label 'abc' where it means missing",
        ],
    ]
    facts = report(out)
    assert (facts["rows"], facts["molecules"], facts["with_3d"], facts["rejected"]) == (8, 5, 0, 3)
    assert facts["splits"] == {"train": 5, "valid": 0, "test": 0}
    assert facts["rejected_by_reason"] == {
        "SMILES syntax": 1, "impossible valence": 1, "target is no number": 1,
    }  # fmt: skip
    meta = store.meta
    assert meta.fingerprint == facts["fingerprint"]
    assert meta.sources == {"mols.csv": facts["sources"]["mols.csv"]["sha256"]}
    assert (meta.rejected, meta.rejected_by_reason) == (3, facts["rejected_by_reason"])
    assert meta.target_names == ("y",)
    shown = capsys.readouterr()
    assert "rejected" in shown.out
    assert "impossible valence" in shown.out
    assert sorted(item.name for item in out.iterdir()) == [
        "build_report.json", "rejected.csv", "split.json", "train.lmdb",
    ]  # fmt: skip


def test_rejected_csv_is_written_when_nothing_is(tmp_path: Path) -> None:
    (tmp_path / "a.smi").write_text("C\n")
    assert build(tmp_path / "a.smi", tmp_path / "out") == 0
    assert rejected(tmp_path / "out") == [["row_id", "input", "reason"]]


def test_conformers_and_workers_give_the_same_molecules_in_input_order(tmp_path: Path) -> None:
    (tmp_path / "a.smi").write_text("\n".join("C" * (1 + n % 9) + "O" for n in range(70)) + "\nbad(\nCC\n")
    stores = []
    for workers in (1, 2):
        out = tmp_path / f"out{workers}"
        options = ("--conformers", "2", "--workers", workers, "--seed", 5)
        assert run("build", tmp_path / "a.smi", "--out", out, *options) == 0
        stores.append(MoleculeStore(out / "train.lmdb"))
        assert rejected(out)[1] == ["a.smi:70", "bad(", "SMILES syntax"]
    assert [record.row for record in stores[0]] == [*range(70), 71]
    assert stores[0][3].coords.shape == (2, 5, 3)
    assert stores[0][3].coords_from == "ETKDGv3+MMFF94"
    assert_same(*stores)
    assert stores[0].meta.fingerprint == stores[1].meta.fingerprint


def test_several_inputs_keep_their_row_ids(table: Path, tmp_path: Path) -> None:
    (tmp_path / "more.csv").write_text("smiles,y\nBr,1\n")
    out = tmp_path / "out"
    assert build([table, tmp_path / "more.csv"], out, "--target-columns", "y") == 0
    last = MoleculeStore(out / "train.lmdb")[-1]
    assert (last.row_id, last.smiles) == ("more.csv:0", "Br")


def test_limit_counts_rows(table: Path, tmp_path: Path) -> None:
    assert build(table, tmp_path / "out", "--limit", 3) == 0
    assert (report(tmp_path / "out")["rows"], report(tmp_path / "out")["molecules"]) == (3, 2)


def test_split_by_column(table: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert build(table, out, "--split", "column:part") == 0
    rows = {
        split: [r.row for r in MoleculeStore(out / f"{split}.lmdb")] for split in ("train", "valid", "test")
    }
    assert rows == {"train": [0, 5, 6], "valid": [1], "test": [4]}
    assert rejected(out)[-1] == [
        "mols.csv:7", "O", "unknown split: column 'part' holds 'elsewhere', not train, valid or test",
    ]  # fmt: skip
    assert MoleculeStore(out / "valid.lmdb").meta.split == "valid"
    assert MoleculeStore(out / "valid.lmdb").meta.rejected == 3


def chains(path: Path, count: int) -> Path:
    path.write_text("".join("C" * (1 + n % 30) + "N" * (1 + n // 30) + "\n" for n in range(count)))
    return path


def test_random_split_is_exact_seeded_and_in_input_order(tmp_path: Path) -> None:
    source = chains(tmp_path / "a.smi", 50)
    rows = {}
    for name, seed in (("one", 1), ("again", 1), ("other", 2)):
        assert build(source, tmp_path / name, "--split", "random", "--seed", seed) == 0
        rows[name] = [
            [r.row for r in MoleculeStore(tmp_path / name / f"{split}.lmdb")]
            for split in ("train", "valid", "test")
        ]
        assert [len(part) for part in rows[name]] == [40, 5, 5]
        assert sorted(sum(rows[name], [])) == list(range(50))
        assert all(part == sorted(part) for part in rows[name])
    assert rows["one"] == rows["again"] != rows["other"]
    assert not (tmp_path / "one" / "waiting.lmdb").exists()


def test_scaffold_split_keeps_scaffolds_together(tmp_path: Path) -> None:
    rings = ["c1ccccc1", "C1CCCCC1", "c1ccncc1", "C1CC1"]
    lines = [f"{'C' * (1 + n // 4)}{rings[n % 4]}" for n in range(40)]
    (tmp_path / "a.smi").write_text("\n".join(lines))
    out = tmp_path / "out"
    assert build(tmp_path / "a.smi", out, "--split", "scaffold", "--split-sizes", "0.5,0.25,0.25") == 0
    # four sets of ten; equal sizes: the set whose first molecule comes last is placed first
    parts = {
        split: {r.row % 4 for r in MoleculeStore(out / f"{split}.lmdb")}
        for split in ("train", "valid", "test")
    }
    assert parts == {"train": {3, 2}, "valid": {1}, "test": {0}}


@pytest.mark.parametrize(("sizes", "told"), [("0.9,0.09,0.01", True), ("0.7,0.3,0", False)])
def test_an_empty_part_has_no_file_and_is_told_unless_it_was_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], sizes: str, told: bool
) -> None:
    source = chains(tmp_path / "a.smi", 3)
    assert build(source, tmp_path / "out", "--split", "random", "--split-sizes", sizes) == 0
    assert ("no molecule fell into test" in capsys.readouterr().err) == told
    assert not (tmp_path / "out" / "test.lmdb").exists()


def test_an_existing_store_is_replaced_only_when_asked(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert build(table, out, "--split", "column:part") == 0
    (out / "notes.txt").write_text("mine")
    capsys.readouterr()
    assert build(table, out) == 2
    assert (
        "already holds train.lmdb, valid.lmdb, test.lmdb; name another --out or add --overwrite"
        in one_error(capsys)
    )
    assert len(MoleculeStore(out / "train.lmdb")) == 3
    assert build(table, out, "--overwrite") == 0
    assert sorted(item.name for item in out.iterdir()) == [
        "build_report.json", "notes.txt", "rejected.csv", "split.json", "train.lmdb",
    ]  # fmt: skip
    assert len(MoleculeStore(out / "train.lmdb")) == 6


def test_strict_stops_at_the_first_bad_row(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert build(table, tmp_path / "out", "--strict") == 2
    line = one_error(capsys)
    assert "mols.csv:2 is rejected (SMILES syntax): 'not a molecule'" in line
    assert os.listdir(tmp_path) == ["mols.csv"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--target-columns", "yy"), "no column 'yy'; did you mean 'y'? (columns: smiles, y, part)"),
        (("--smiles-column", "mol"), "no column 'mol'"),
        (("--split", "column:fold"), "no column 'fold'"),
        (
            ("--split", "stratified"),
            "--split 'stratified' is unknown; use none, random, scaffold, scaffold-achiral, rows:FILE,",
        ),
        (
            ("--split", "random", "--split-sizes", "0.8,0.1,0.2"),
            "--split-sizes sum to 1.1; make them sum to 1",
        ),
        (("--split", "random", "--split-sizes", "0.8,0.2"), "--split-sizes needs three fractions"),
        (("--split", "random", "--split-sizes", "a,b,c"), "--split-sizes needs numbers"),
        (("--conformers", "0"), "--conformers 0: give a number from 1, or none"),
        (("--conformers", "many"), "--conformers many: give a number from 1"),
        (("--conformers", "1", "--timeout", "0"), "the time limit must be a positive number"),
    ],
)
def test_a_wrong_option_is_one_line_and_changes_nothing(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], options: tuple[str, ...], words: str
) -> None:
    assert run("build", table, "--out", tmp_path / "out", "--workers", 1, *options) == 2
    assert words in one_error(capsys)
    assert os.listdir(tmp_path) == ["mols.csv"]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("none.csv", None, "none.csv does not exist; check the path"),
        ("a.csv", "", "a.csv is empty"),
        ("a.csv", "smiles,y\n", "a header but no rows"),
        ("a.smi", "bad(\nworse(\n", "no row of a.smi is a molecule (SMILES syntax: 2)"),
        ("a.sdf", "x\n\n\nnonsense\n$$$$\n", "no row of a.sdf is a molecule (unreadable mol block: 1)"),
        ("a.xyz", "neither", "no ending that names its format"),
    ],
)
def test_an_input_without_molecules_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, content: str | None, words: str
) -> None:
    if content is not None:
        (tmp_path / name).write_text(content)
    before = os.listdir(tmp_path)
    assert build(tmp_path / name, tmp_path / "out") == 2
    assert words in one_error(capsys)
    assert os.listdir(tmp_path) == before


def test_inputs_of_one_name_are_told_apart_by_their_folders(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = [tmp_path / folder / "a.smi" for folder in "xy"]
    for path in paths:
        path.parent.mkdir()
        path.write_text("C\n")
    assert build(paths, tmp_path / "out") == 0
    rows = [record.row_id for record in MoleculeStore(tmp_path / "out" / "train.lmdb")]
    assert rows == ["x/a.smi:0", "y/a.smi:0"]
    report = json.loads((tmp_path / "out" / "build_report.json").read_text())
    assert {name: facts["rows"] for name, facts in report["sources"].items()} == {"x/a.smi": 1, "y/a.smi": 1}
    capsys.readouterr()
    assert build([paths[0], paths[0]], tmp_path / "twice") == 2
    assert "is given twice; name every input once" in one_error(capsys)


def test_an_output_that_cannot_be_written_is_one_line(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("mine")
    assert build(table, tmp_path / "file") == 2
    assert "is a file; name a folder" in one_error(capsys)
    assert build(table, tmp_path / "file" / "out") == 2
    assert "Not a directory" in one_error(capsys)
    assert (tmp_path / "file").read_text() == "mine"


def test_a_folder_without_permission_is_one_line(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(
        *arguments: object, **options: Any
    ) -> None:  # tests may run as root, whom permission bits do not bind
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.mkdir", refuse)
    assert build(table, tmp_path / "out") == 2
    line = one_error(capsys)
    assert "Permission denied" in line
    assert "name a folder that can be written to" in line


def test_a_worker_that_dies_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from moleblend_plugin.building import run as _build_run

    monkeypatch.setattr(_build_run, "work_of", lambda plan: Dies(work_of(plan)))
    source = chains(tmp_path / "a.smi", 300)  # two chunks: one alone is converted in this process
    assert build(source, tmp_path / "out", "--workers", 2) == 2
    told = r"a worker process ended while converting rows from about a\.smi:(0|256) on with exit code 9"
    assert re.search(told, one_error(capsys))
    assert os.listdir(tmp_path) == ["a.smi"]


class Dies(NamedTuple):
    work: BuildWork

    @property
    def chunk(self) -> Any:
        return self.work.chunk

    def __call__(self, rows: Any) -> None:
        os._exit(9)


FULL_DISK = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000))
from moleblend_plugin.cli.main import main
main(sys.argv[1:])
"""


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_full_disk_is_one_line_and_the_old_store_stays(tmp_path: Path, overwrite: bool) -> None:
    out = tmp_path / "out"
    source = chains(tmp_path / "a.smi", 300)
    if overwrite:
        assert build(source, out, "--limit", 7) == 0
    before = sorted(item.name for item in tmp_path.rglob("*"))
    arguments = ["build", source, "--out", out, "--conformers", "none", "--workers", "1", "--overwrite"]
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, *map(str, arguments)], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 2
    assert done.stderr.count("error: ") == 1
    assert "Traceback" not in done.stderr
    assert "free space" in done.stderr
    assert sorted(item.name for item in tmp_path.rglob("*")) == before
    if overwrite:
        assert len(MoleculeStore(out / "train.lmdb")) == 7


def test_the_command_line_runs_as_a_module(tmp_path: Path) -> None:
    source = chains(tmp_path / "a.smi", 4)
    command = [sys.executable, "-m", "moleblend_plugin.cli.main", "build", str(source), "--out"]
    done = subprocess.run(
        [*command, str(tmp_path / "out"), "--conformers", "1", "--workers", "2"],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "train" in done.stdout
    again = subprocess.run([*command, str(tmp_path / "out")], capture_output=True, text=True, timeout=120)
    assert again.returncode == 2
    assert again.stderr.startswith("error: ")
    assert again.stderr.count("\n") == 1


def test_molecules_without_3d_and_minima_not_reached_are_counted_by_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """SF6 is not embedded well; iron has no parameters, and two steps are too few for chains."""
    rows = "FS(F)(F)(F)(F)F\n*CC*\nCCCCCCO\nCCCCCCN\n[Fe]\n"
    (tmp_path / "a.smi").write_text(rows)
    options = ("--conformers", 1, "--relax-steps", 2, "--workers", 1)
    assert run("build", tmp_path / "a.smi", "--out", tmp_path / "out", *options) == 0
    counts = {
        "ETKDGv3+MMFF94, not converged": 3,
        "implausible conformer, atoms too close": 1,
        "ETKDGv3, no MMFF94 parameters": 1,
    }
    facts = report(tmp_path / "out")
    assert (facts["with_3d"], facts["coords_from"]) == (4, counts)
    assert facts["settings"]["conversion"]["conformers"]["relax_steps"] == 2
    assert facts["settings"]["conversion"]["geometry_version"] == GEOMETRY_VERSION
    shown = capsys.readouterr().out
    for reason, count in counts.items():
        assert f"{count}  {reason}\n" in "\n".join(line.rstrip() for line in shown.splitlines()) + "\n"


def test_no_steps_leave_conformers_as_they_are_embedded(tmp_path: Path) -> None:
    (tmp_path / "a.smi").write_text("CCCCCCO\n")
    options = ("--conformers", 1, "--relax-steps", 0, "--workers", 1)
    assert run("build", tmp_path / "a.smi", "--out", tmp_path / "out", *options) == 0
    assert MoleculeStore(tmp_path / "out" / "train.lmdb")[0].coords_from == "ETKDGv3"


def test_stores_of_another_method_of_conformers_have_another_fingerprint(tmp_path: Path) -> None:
    (tmp_path / "a.smi").write_text("CCCCCCO\n[Fe]\n")
    prints = {}
    for method in ("full", "fast"):
        options = ("--conformers", 1, "--conformer-method", method, "--workers", 1)
        assert run("build", tmp_path / "a.smi", "--out", tmp_path / method, *options) == 0
        prints[method] = MoleculeStore(tmp_path / method / "train.lmdb").meta.fingerprint
    assert prints["full"] != prints["fast"]
    facts = report(tmp_path / "fast")
    assert facts["coords_from"] == {"KDG+MMFF94": 1, "ETKDGv3, no MMFF94 parameters": 1}
    made = facts["settings"]["conversion"]["conformers"]
    assert (made["method"], made["relax_steps"]) == ("fast", 100)
    assert "method" not in report(tmp_path / "full")["settings"]["conversion"]["conformers"]


def test_a_file_in_another_unit_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two records of 2-butanol, the second in Bohr: it stays 2D, and the summary says why."""
    mol = Chem.AddHs(Chem.MolFromSmiles("CCC(C)O"))
    AllChem.EmbedMolecule(mol, randomSeed=1)
    with Chem.SDWriter(str(tmp_path / "a.sdf")) as writer:
        writer.write(mol)
        mol.GetConformer().SetPositions(mol.GetConformer().GetPositions() * 1.8897)
        writer.write(mol)
    assert build(tmp_path / "a.sdf", tmp_path / "out") == 0
    told = "source bonds too long (given in Bohr?), none wanted"
    assert report(tmp_path / "out")["coords_from"] == {"source": 1, told: 1}
    assert f"1  {told}" in capsys.readouterr().out
