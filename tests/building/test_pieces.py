"""Pieces of a build, joined, are the build: every file, bit for bit. What is no such set is refused."""

from __future__ import annotations

import gzip
import json
import os
import re
import shutil
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from moleblend_plugin.building import cut, piece
from moleblend_plugin.building.cut import Piece, parse_piece, rows_about
from moleblend_plugin.building.join import join_pieces
from moleblend_plugin.building.options import BuildOptions
from moleblend_plugin.building.piece import build_piece
from moleblend_plugin.building.progress import BuildProgress
from moleblend_plugin.building.work import BuildWork, work_of
from moleblend_plugin.data.batches.dataset import BlendedMolecules
from moleblend_plugin.data.batches.label_statistics import read_labels
from moleblend_plugin.data.samples.blend import BlendConfig
from moleblend_plugin.data.store.piece_file import PieceFile
from moleblend_plugin.data.store.reader import MoleculeStore
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.inputs import open_molecules
from tests.building.pieces import assert_equal_builds, built_both_ways, in_pieces, write_table
from tests.data.test_store import damage

PAGE = Path(__file__).resolve().parents[2] / "docs" / "scale.md"
FLAT: dict[str, Any] = {"conformers": None, "workers": 1}


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return write_table(tmp_path / "t [b].csv")


@pytest.mark.parametrize(
    "options",
    [
        {"target_columns": "y,z", "split": "random", "exclude": "left out.smi"},
        {"target_columns": "y", "split": "scaffold", "seed": 3},
        {"split": "scaffold-achiral", "split_sizes": (0.5, 0.3, 0.2), "ecfp": True},
        {"split": "kfold:4:1", "seed": 7},
        {"target_columns": ["y"], "split": "column:part", "missing_label": 2},
        {"split": "rows:rows.json", "target_columns": "all"},
        {"limit": 31, "negative": "maybe", "positive": "yes"},
    ],
    ids=lambda options: options.get("split", "none").partition(":")[0],
)
def test_joined_pieces_are_the_build(
    table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("left out.smi").write_text("CCO\nCCCN\n")
    Path("rows.json").write_text(
        json.dumps({"train": [0, 5, *range(20, 40)], "valid": [], "test": [6, 7, 50, 59]})
    )
    one, joined = built_both_ways(table, tmp_path, options, (3, 1, 4, 2))
    assert_equal_builds(one, joined)
    report = json.loads((joined / "build_report.json").read_text())
    assert report["rejected"] >= 1
    assert report["duplicates"]["molecules"] > 0
    assert (report["excluded"] > 0) == ("exclude" in options or "rows.json" in options.get("split", ""))


def test_samples_epochs_and_statistics_are_those_of_one_file(table: Path, tmp_path: Path) -> None:
    options = {"target_columns": "y", "conformers": 2, "seed": 3, "descriptors": True, "ecfp": True}
    one, joined = built_both_ways(table, tmp_path, options | {"split": "random", "limit": 14}, (2, 3, 1))
    assert_equal_builds(one, joined)
    stores = [MoleculeStore(folder / "train.lmdb") for folder in (one, joined)]
    assert stores[0].meta.settings["descriptors"] == stores[1].meta.settings["descriptors"]
    assert len(stores[0][0].coords) == 2
    sets = [BlendedMolecules(store, BlendConfig(), seed=5, shuffle=True, ecfp_bits=2048) for store in stores]
    for epoch in (1, 2):
        for molecules in sets:
            molecules.set_epoch(epoch)
        left, right = (molecules.order(4) for molecules in sets)
        assert left.tolist() == right.tolist()
        for index in left.tolist():
            for name, value in sets[0][index].items():
                assert np.asarray(value).tobytes() == np.asarray(sets[1][index][name]).tobytes(), name
    labels = [read_labels(store, [0], ["y"], "regression") for store in stores]
    assert [found.mean.tobytes() + found.std.tobytes() for found in labels[:1]] == [
        labels[1].mean.tobytes() + labels[1].std.tobytes()
    ]


def test_several_inputs_of_any_format(table: Path, tmp_path: Path) -> None:
    packed = tmp_path / "more.csv.gz"
    packed.write_bytes(gzip.compress(b"smiles,y,extra\nCCCCO,1,a\nbad(,2,b\nCCCCN,x,c\n"))
    options = {"target_columns": "y", "valid": packed, "limit": 62}
    assert_equal_builds(*built_both_ways(table, tmp_path / "a", options, (2, 1)))
    (tmp_path / "m.smi").write_text("".join(f"{'C' * n}O name {n}\n" for n in range(1, 9)) + "bad( z\nCC\n\n")
    assert_equal_builds(*built_both_ways(tmp_path / "m.smi", tmp_path / "b", {}, (2, 3, 1)))


def test_what_a_cell_means_may_hang_on_cells_of_another_piece(table: Path, tmp_path: Path) -> None:
    """The words among numbers of column z are rejected, also where a piece begins with one."""
    options = FLAT | {"target_columns": "z"}
    in_pieces(table, tmp_path / "p", options, range(4, 0, -1))
    heads = [PieceFile(path).head["counts"]["rejected"] for path in sorted((tmp_path / "p").iterdir())]
    assert heads == [1, 2, 3, 2]
    assert join_pieces(tmp_path / "p", tmp_path / "out").rejected == 8


def test_more_pieces_than_rows(tmp_path: Path) -> None:
    (tmp_path / "m.smi").write_text("C\nCC\nCCC\n")
    assert_equal_builds(*built_both_ways(tmp_path / "m.smi", tmp_path, {}, (5, 4, 3, 2, 1)))


def test_pieces_are_whole_where_rows_were_counted_wrongly(
    table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number, wrong in enumerate((3, 200)):
        monkeypatch.setattr(piece, "rows_about", lambda *_, wrong=wrong: wrong)
        assert_equal_builds(*built_both_ways(table, tmp_path / str(number), {}, (1, 2, 3)))


def test_rows_are_counted_by_ends_of_lines_and_of_records(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.smi").write_text("CCO\n" * 100)
    (tmp_path / "b.smi.gz").write_bytes(gzip.compress(b"CCO\n" * 70))
    block = "\n  x\n\n  1  0  0  0  0  0            999 V2000\n" + "    0.0000    0.0000    0.0000 C   0\n"
    (tmp_path / "c.sdf").write_text((block + "M  END\n$$$$\n") * 30)
    sources = [open_molecules(tmp_path / name) for name in ("a.smi", "b.smi.gz", "c.sdf")]
    assert rows_about(sources, None) == 200
    for size in (1, 5, 64):
        monkeypatch.setattr(cut, "_BUFFER", size)
        assert rows_about(sources, None) == 200
    assert rows_about(sources, 150) == 150
    (tmp_path / "b.smi.gz").write_bytes((tmp_path / "b.smi.gz").read_bytes()[:-9])
    with pytest.raises(MoleblendError, match=r"b\.smi\.gz is damaged or truncated"):
        rows_about(sources, None)


def test_pieces_cut_all_rows_once() -> None:
    for count, of in ((60, 7), (3, 5), (0, 2), (10**9, 1000)):
        ends = [Piece(number, of).rows(count) for number in range(1, of + 1)]
        assert ends[0][0] == 0
        assert ends[-1][1] is None
        assert [stop for _, stop in ends[:-1]] == [first for first, _ in ends[1:]]
    assert [parse_piece(text).file_name for text in ("3/16", "16/16")] == ["03-of-16.piece", "16-of-16.piece"]


@pytest.mark.parametrize("text", ["0/4", "5/4", "3", "a/b", "-1/4", "1/0", ""])
def test_a_piece_that_cannot_be_is_refused(table: Path, tmp_path: Path, text: str) -> None:
    with pytest.raises(MoleblendError, match=r"--piece .*: give K/N, piece K of N"):
        build_piece(table, tmp_path / "p", text, BuildOptions(**FLAT))
    assert not (tmp_path / "p").exists()


@dataclass(frozen=True)
class Dies:
    """The work of a build in a process that is killed at a row."""

    work: BuildWork
    row: int

    @property
    def chunk(self) -> int:
        return self.work.chunk

    def __call__(self, rows: Any) -> Any:
        if any(row.row == self.row for row in rows):
            os.kill(os.getpid(), signal.SIGKILL)
        return self.work(rows)


def test_a_killed_piece_goes_on_where_it_was(
    table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {"conformers": 1, "workers": 1, "limit": 34}
    pid = os.fork()
    if not pid:
        try:
            monkeypatch.setattr(piece, "work_of", lambda plan: Dies(work_of(plan), 26))
            build_piece(table, tmp_path / "p", "2/2", BuildOptions(**options))
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL
    assert [path.name for path in (tmp_path / "p").iterdir()] == [".2-of-2.partial"]
    build_piece(table, tmp_path / "p", "1/2", BuildOptions(**options))
    with pytest.raises(MoleblendError, match="piece 2/2 is missing; 2/2 began and did not end: build with"):
        join_pieces(tmp_path / "p", tmp_path / "joined")
    news: list[BuildProgress] = []
    done = build_piece(table, tmp_path / "p", "2/2", BuildOptions(**options), news.append)
    assert (done.was_there, done.resumed_rows, done.rows) == (False, 8, 17)
    assert any(one.line.startswith("resuming: 8") for one in news)
    joined = join_pieces(tmp_path / "p", tmp_path / "joined").out
    monkeypatch.undo()
    one, _ = built_both_ways(table, tmp_path / "b", options, (1, 2))
    assert_equal_builds(one, joined)
    assert sorted(path.name for path in (tmp_path / "p").iterdir()) == ["1-of-2.piece", "2-of-2.piece"]


def test_a_piece_that_is_there_is_left_and_another_is_not_replaced(table: Path, tmp_path: Path) -> None:
    options = FLAT | {"target_columns": "y"}
    made = build_piece(table, tmp_path, "1/2", BuildOptions(**options))
    before = made.path.stat()
    again = build_piece(table, tmp_path, "1/2", BuildOptions(**options | {"workers": 2}))
    assert (again.was_there, again.rows, again.molecules) == (True, made.rows, made.molecules)
    assert made.path.stat() == before
    for changed, told in (
        ({"target_columns": "z"}, "columns"),
        ({"split": "random", "seed": 2}, "method; seed 0, not 2; split none, not random"),
        ({"ecfp": True}, "ecfp False, not True"),
        ({"conformers": 1}, "chunk 256, not 8; conversion"),
    ):
        with pytest.raises(MoleblendError, match=rf"is there and differs \({told}.*--overwrite"):
            build_piece(table, tmp_path, "1/2", BuildOptions(**options | changed))
    table.write_text(table.read_text() + "more,CCO,1,1,train\n")
    with pytest.raises(MoleblendError, match=r"differs \(other input: t \[b\]\.csv\)"):
        build_piece(table, tmp_path, "1/2", BuildOptions(**options))
    assert made.path.stat() == before
    assert not build_piece(table, tmp_path, "1/2", BuildOptions(**options, overwrite=True)).was_there


@pytest.fixture
def pieces(table: Path, tmp_path: Path) -> Path:
    return in_pieces(table, tmp_path / "p", FLAT, (1, 2, 3))


def refused(pieces: Path | list[Path], out: Path) -> str:
    with pytest.raises(MoleblendError) as told:
        join_pieces(pieces, out)
    assert not out.exists()
    assert "\n" not in str(told.value)
    return str(told.value)


def test_missing_pieces_are_named(pieces: Path, tmp_path: Path) -> None:
    (pieces / "2-of-3.piece").unlink()
    assert refused(pieces, tmp_path / "out") == "piece 2/3 is missing: build with --piece 2/3"
    (pieces / "1-of-3.piece").unlink()
    told = refused([pieces / "3-of-3.piece"], tmp_path / "out")
    assert told == "pieces 1/3, 2/3 are missing: build with --piece 1/3 and so on"
    assert "nowhere.piece does not exist" in refused(tmp_path / "nowhere.piece", tmp_path / "out")
    (tmp_path / "empty").mkdir()
    assert "holds no piece" in refused(tmp_path / "empty", tmp_path / "out")
    assert "no pieces; name" in refused([], tmp_path / "out")


def test_a_piece_that_is_there_twice_is_named(pieces: Path, tmp_path: Path) -> None:
    shutil.copy(pieces / "2-of-3.piece", tmp_path / "copy.piece")
    told = refused([pieces, tmp_path / "copy.piece"], tmp_path / "out")
    assert told.startswith("piece 2/3 is there twice, ")
    assert "copy.piece: leave one out" in told
    assert (
        join_pieces([pieces, pieces / "2-of-3.piece"], tmp_path / "out").rows == 60
    )  # one file, named twice


def test_pieces_of_other_builds_are_named(
    table: Path, pieces: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (pieces / "3-of-3.piece").unlink()

    def with_third(options: dict[str, Any]) -> str:
        made = build_piece(table, tmp_path / "other", "3/3", BuildOptions(**FLAT | options)).path
        told = refused([pieces, made], tmp_path / "out")
        made.unlink()
        return told.partition(" is of another build than ")[2].partition(" (")[2]

    assert with_third({"limit": 50}).startswith("limit): build both with the same inputs")
    assert with_third({"split": "kfold:3:1"}).startswith("method; split kfold:3:1, not none)")
    monkeypatch.setattr("moleblend_plugin.building.work.TOOLKIT", "RDKit 1999.09.1")
    assert with_third({}).startswith("toolkit RDKit 1999.09.1, not RDKit 20")
    monkeypatch.undo()
    table.write_text(table.read_text().replace("m59", "n59"))
    assert with_third({}).startswith("other input: t [b].csv)")
    in_pieces(table, tmp_path / "two", FLAT, (1, 2))
    assert "is 1/2, but " in refused([pieces, tmp_path / "two"], tmp_path / "out")


def replace(path: Path, content: bytes) -> None:
    """Another file: what a process has open must not be cut."""
    path.unlink()
    path.write_bytes(content)


def test_what_is_no_whole_piece_is_named(pieces: Path, tmp_path: Path) -> None:
    path = pieces / "2-of-3.piece"
    whole = path.read_bytes()
    for content, told in (
        (whole[: len(whole) // 2], "is truncated"),
        (whole[:1000], "cannot be read as a piece"),
        (b"", "cannot be read as a piece"),
        (b"x" * len(whole), "cannot be read as a piece"),
    ):
        replace(path, content)
        line = refused(pieces, tmp_path / "out")
        assert str(path) in line
        assert told in line
        assert "copy it again" in line
    replace(path, whole)
    damage(path, lambda txn: txn.put(b"__facts__0000000000", b"1234567"))
    assert "cannot be read as a piece (its 7 bytes differ" in refused(pieces, tmp_path / "out")
    replace(path, whole)
    damage(path, lambda txn: txn.delete(b"__facts__0000000000"))
    assert "lacks facts of rows: remove it" in refused(pieces, tmp_path / "out")
    joined = join_pieces(in_pieces(tmp_path / "t [b].csv", tmp_path / "q", FLAT, (1,)), tmp_path / "one").out
    assert "is no piece" in refused([joined / "train.lmdb"], tmp_path / "out")


def test_joining_keeps_what_is_there_until_it_may_not(pieces: Path, tmp_path: Path) -> None:
    out = join_pieces(pieces, tmp_path / "out").out
    before = (out / "train.lmdb").read_bytes()
    with pytest.raises(MoleblendError, match=r"already holds train\.lmdb; name another --out or add"):
        join_pieces(pieces, out)
    assert (out / "train.lmdb").read_bytes() == before
    assert join_pieces(pieces, out, overwrite=True).molecules == len(MoleculeStore(out / "train.lmdb"))
    assert join_pieces(pieces, pieces).out == pieces  # beside the pieces
    assert len(MoleculeStore(pieces / "train.lmdb")) == len(MoleculeStore(out / "train.lmdb"))


def test_pieces_without_a_molecule_are_refused_as_in_one_run(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("smiles,y\nbad(,1\nalso bad,2\n")
    in_pieces(tmp_path / "a.csv", tmp_path / "p", FLAT, (1, 2))
    assert refused(tmp_path / "p", tmp_path / "out").startswith(
        "no row of a.csv is a molecule (SMILES syntax"
    )


def test_the_page_shows_calls_that_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    section = PAGE.read_text(encoding="utf-8").partition("\n## Build in pieces\n")[2]
    (code,) = re.findall(r"```python\n(.*?)```", section.partition("\n## ")[0], re.DOTALL)
    lines = ("smiles,y", "CCO,1", "c1ccccc1C,-2", "bad(,3", "C1CCCCC1N,0.5", "CCCC,2")
    (tmp_path / "molecules.csv").write_text("\n".join(lines))
    monkeypatch.chdir(tmp_path)
    exec(compile(code, str(PAGE), "exec"), {"__name__": "__main__"})
    assert capsys.readouterr().out == "4 {'SMILES syntax': 1} data/mine/train.lmdb\n"
