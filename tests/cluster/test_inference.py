"""`moleblend predict|embed --cluster`: the file is that of one machine, byte for byte."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from moleblend_plugin.cli.main import main
from moleblend_plugin.cluster import inferring
from tests.checkpoints import property_checkpoint


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return property_checkpoint(tmp_path_factory.mktemp("model") / "y.pt", ("y", "z"))


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Rows of two windows, of molecules of many sizes."""
    path = tmp_path / "a.csv"
    rows = [f'm{n},{"C" * (1 + n % 11)}{"O" if n % 3 else "bad("},"x, {n}"' for n in range(140)]
    path.write_text("\n".join(["name,smiles,note", *rows]) + "\n")
    return path


def run(*words: Path | int | str) -> int:
    """Exit code of the command line in this process."""
    try:
        main([str(word) for word in words])
    except SystemExit as done:
        return done.code or 0
    return 0


def test_predictions_are_equal_and_finished_parts_are_kept(
    scheduler: str,
    checkpoint: Path,
    table: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    one, there = tmp_path / "one.csv", tmp_path / "there.csv"
    words = ["predict", checkpoint, table, "--device", "cpu", "--workers", 1, "--conformers", 1]
    assert run(*words, "--out", one) == 0
    counts = capsys.readouterr().out.splitlines()[:-1]

    def interrupted(*given: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(inferring, "_join", interrupted)
        assert run(*words, "--out", there, "--cluster", scheduler, "--pieces", 2) != 0
    assert not there.exists()
    parts = sorted(tmp_path.glob(".there.csv.parts/*/*.part"))
    assert [path.name for path in parts] == ["1-of-2.part", "2-of-2.part"]
    capsys.readouterr()
    nobody = "tcp://127.0.0.1:9"  # and nobody is needed
    assert run(*words, "--out", there, "--cluster", nobody, "--pieces", 2) == 0
    shown = capsys.readouterr()
    assert "resuming: 2 of 2 pieces are there" in shown.err
    assert shown.out.splitlines()[:-1] == counts
    assert there.read_bytes() == one.read_bytes()
    assert [path.name for path in tmp_path.glob(".*")] == []


@pytest.mark.long
@pytest.mark.parametrize(("what", "ending"), [("graph", "npz"), ("atoms", "parquet")])
def test_embeddings_are_equal(
    scheduler: str, checkpoint: Path, table: Path, tmp_path: Path, what: str, ending: str
) -> None:
    if ending == "parquet":
        pytest.importorskip("pyarrow", reason="needs the extra [parquet]")
    one, there = tmp_path / f"one.{ending}", tmp_path / f"there.{ending}"
    words = ["embed", checkpoint, table, "--device", "cpu", "--workers", 1, "--conformers", "none"]
    assert run(*words, "--what", what, "--out", one) == 0
    assert run(*words, "--what", what, "--out", there, "--cluster", scheduler, "--pieces", 2) == 0
    assert there.read_bytes() == one.read_bytes()


def test_a_row_that_ends_its_process_is_a_row_with_a_reason(
    scheduler: str, checkpoint: Path, tmp_path: Path
) -> None:
    table, out = tmp_path / "b.csv", tmp_path / "b_out.csv"
    table.write_text("smiles\nCCO\nC[Db]\nCCN\n")
    words = ["predict", checkpoint, table, "--device", "cpu", "--conformers", "none", "--cluster", scheduler]
    assert run(*words, "--out", out) == 0
    with out.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["reason"] for row in rows] == ["", "ended its process: by SIGSEGV", ""]
    assert [row["predicted_y"] == "" for row in rows] == [False, True, False]


def test_options_that_make_no_sense_together(
    checkpoint: Path, table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = ("--out", tmp_path / "out.csv")
    for words, told in (
        (["predict", checkpoint, table, *out, "--pieces", 2], "--pieces is the number of pieces for"),
        (["predict", checkpoint, "-", *out, "--cluster", "local:2"], "have no standard input; name a file"),
        (["build", "-", *out, "--cluster", "local:2"], "have no standard input; name a file"),
        (["build", table, *out, "--cluster", "local:2", "--piece", "1/2"], "exclude each other"),
    ):
        assert run(*words) == 2
        assert told in capsys.readouterr().err
