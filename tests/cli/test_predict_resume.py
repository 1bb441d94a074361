"""`moleblend predict` and `embed` that were stopped go on, and compute no finished rows again."""

from __future__ import annotations

import os
import resource
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import moleblend_plugin.chem.workers as converting
import moleblend_plugin.inference.stream as stream
from moleblend_plugin.cli.main import main
from moleblend_plugin.inference import kept_rows
from moleblend_plugin.inference.kept_rows import KeptRows
from moleblend_plugin.locks import holding, lock_file
from tests.checkpoints import property_checkpoint

ROWS = 700
BAD = {5, 64, 300, 699}
"""Rows that are no molecules; windows begin at rows 0, 64, 192 and 448."""

pytestmark = pytest.mark.usefixtures("small_groups")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return property_checkpoint(tmp_path_factory.mktemp("model") / "y.pt", ("y",))


@pytest.fixture
def small_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every window is a group."""
    monkeypatch.setattr(kept_rows, "GROUP_ROWS", 1)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "a.csv"
    rows = [f'm{n},{"C" * (1 + n % 9)}{"(" if n in BAD else "O"},"x, {n}"' for n in range(ROWS)]
    path.write_text("\n".join(["name,smiles,note", *rows]) + "\n")
    return path


def run(*words: Path | int | str) -> int:
    """Exit code of the command line in this process."""
    try:
        main([str(word) for word in words])
    except SystemExit as done:
        return done.code or 0
    return 0


def predict(checkpoint: Path, table: Path, out: Path, *words: str) -> int:
    return run("predict", checkpoint, table, "--out", out, "--workers", 1, "--device", "cpu", *words)


def embed(checkpoint: Path, table: Path, out: Path, *words: str) -> int:
    return run("embed", checkpoint, table, "--out", out, "--workers", 1, "--device", "cpu", *words)


def stop_after(monkeypatch: pytest.MonkeyPatch, groups: int, act: Callable[[], Any]) -> None:
    """``act`` once ``groups`` groups are kept."""
    real, kept = KeptRows.add, []

    def add(self: KeptRows, *given: Any) -> None:
        real(self, *given)
        kept.append(given[0])
        if len(kept) == groups:
            act()

    monkeypatch.setattr(KeptRows, "add", add)


def interrupt() -> None:
    raise KeyboardInterrupt


def stopped(run_it: Callable[[], int], groups: int = 2) -> None:
    with pytest.MonkeyPatch.context() as patched:
        stop_after(patched, groups, interrupt)
        assert run_it() != 0


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[int]]:
    """The rows that are converted, and that the network gets, from now on."""
    found: dict[str, list[int]] = {"converted": [], "computed": []}
    convert, featurize = converting.convert, stream.featurize

    def converted(row: Any, *rest: Any) -> Any:
        found["converted"].append(row.row)
        return convert(row, *rest)

    def featurized(record: Any, *rest: Any) -> Any:
        found["computed"].append(record.row)
        return featurize(record, *rest)

    monkeypatch.setattr(converting, "convert", converted)
    monkeypatch.setattr(stream, "featurize", featurized)
    return found


def molecules(first: int, stop: int = ROWS) -> list[int]:
    return [row for row in range(first, stop) if row not in BAD]


@pytest.mark.parametrize("ending", ["csv", "tsv", "parquet"])
def test_predictions_go_on_to_the_same_bytes(
    ending: str,
    checkpoint: Path,
    table: Path,
    tmp_path: Path,
    seen: dict[str, list[int]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    if ending == "parquet":
        pytest.importorskip("pyarrow", reason="needs the extra [parquet]")
    straight, out = tmp_path / f"straight.{ending}", tmp_path / f"out.{ending}"
    assert predict(checkpoint, table, straight) == 0
    summary = capsys.readouterr().out.splitlines()[:-1]
    stopped(lambda: predict(checkpoint, table, out))
    assert not out.exists()
    told = capsys.readouterr().err
    assert f"192 finished rows are kept in {tmp_path}/.{out.name}.rows; run the same command again" in told
    for rows in seen.values():
        rows.clear()
    assert predict(checkpoint, table, out) == 0
    shown = capsys.readouterr()
    assert f"predict: resumed at row 192 of {ROWS}\n" in shown.err
    assert shown.out.splitlines()[:-1] == summary
    assert (sorted(seen["computed"]), seen["converted"]) == (molecules(192), list(range(192, ROWS)))
    assert out.read_bytes() == straight.read_bytes()
    assert sorted(os.listdir(tmp_path)) == ["a.csv", out.name, straight.name]


@pytest.mark.parametrize(("what", "ending"), [("graph", "npz"), ("atoms", "npz"), ("mean", "parquet")])
def test_embeddings_go_on_to_the_same_bytes(
    what: str,
    ending: str,
    checkpoint: Path,
    table: Path,
    tmp_path: Path,
    seen: dict[str, list[int]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if ending == "parquet":
        pytest.importorskip("pyarrow", reason="needs the extra [parquet]")
    straight, out = tmp_path / f"straight.{ending}", tmp_path / f"out.{ending}"
    monkeypatch.setattr(kept_rows, "GROUP_ROWS", 1 << 20)  # nothing is kept
    assert embed(checkpoint, table, straight, "--what", what) == 0
    monkeypatch.setattr(kept_rows, "GROUP_BYTES", 1)
    stopped(lambda: embed(checkpoint, table, out, "--what", what))
    seen["computed"].clear()
    assert embed(checkpoint, table, out, "--what", what) == 0
    assert sorted(seen["computed"]) == molecules(192)
    assert out.read_bytes() == straight.read_bytes()
    assert sorted(os.listdir(tmp_path)) == ["a.csv", out.name, straight.name]


def small_disk() -> None:
    """No file of more than 8 KiB: the group of 256 rows does not fit."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 13, 1 << 13))


ENDS = {
    "kill": (lambda: os.kill(os.getpid(), signal.SIGKILL), -signal.SIGKILL, 448),
    "time limit": (lambda: os.kill(os.getpid(), signal.SIGTERM), 128 + signal.SIGTERM, 448),
    "full disk": (small_disk, 2, 192),
}
"""By how a command ends after some groups: what does it, its exit code, and the rows that are kept."""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
@pytest.mark.parametrize("how", ENDS)
def test_a_command_goes_on_after_any_end(
    how: str,
    checkpoint: Path,
    table: Path,
    tmp_path: Path,
    seen: dict[str, list[int]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    straight, out = tmp_path / "straight.csv", tmp_path / "out.csv"
    monkeypatch.setattr(kept_rows, "GROUP_ROWS", 1 << 20)
    assert predict(checkpoint, table, straight) == 0
    monkeypatch.setattr(kept_rows, "GROUP_SECONDS", 0.0)
    act, code, kept = ENDS[how]
    pid = os.fork()
    if pid == 0:
        try:
            stop_after(monkeypatch, 1 if how == "full disk" else 3, act)
            os._exit(predict(checkpoint, table, out))
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == code
    assert not out.exists()
    (tmp_path / ".out.csv.rows" / "half.tmp").write_text("of a group")
    seen["computed"].clear()
    assert predict(checkpoint, table, out) == 0
    assert sorted(seen["computed"]) == molecules(kept)
    assert out.read_bytes() == straight.read_bytes()
    assert sorted(os.listdir(tmp_path)) == ["a.csv", "out.csv", "straight.csv"]


def test_damaged_groups_alone_are_computed_again(
    checkpoint: Path,
    table: Path,
    tmp_path: Path,
    seen: dict[str, list[int]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    straight, out = tmp_path / "straight.csv", tmp_path / "out.csv"
    assert predict(checkpoint, table, straight) == 0
    stopped(lambda: predict(checkpoint, table, out), groups=3)
    names = ["000000000000-000000000064", "000000000064-000000000192", "000000000192-000000000448"]
    files = [tmp_path / ".out.csv.rows" / f"{name}.rows" for name in names]
    assert all(file.exists() for file in files)
    files[0].write_bytes(files[0].read_bytes().replace(b"m7", b"m8"))
    files[1].write_bytes(files[1].read_bytes()[:-20])
    seen["computed"].clear()
    assert predict(checkpoint, table, out) == 0
    assert "resumed at row 0 of 700; 256 rows behind it are there" in capsys.readouterr().err
    assert sorted(seen["computed"]) == molecules(0, 192) + molecules(448)
    assert out.read_bytes() == straight.read_bytes()


@pytest.mark.parametrize("change", ["model", "input", "batch size", "input name"])
def test_other_work_starts_anew_and_says_so(
    change: str,
    checkpoint: Path,
    table: Path,
    tmp_path: Path,
    seen: dict[str, list[int]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "out.csv"
    stopped(lambda: predict(checkpoint, table, out))
    words: tuple[str, ...] = ()
    if change == "model":
        checkpoint = property_checkpoint(tmp_path / "other.pt", ("y",), shift=50.0)
    elif change == "input":
        table.write_text(table.read_text().replace("m7,", "m_7,"))
    elif change == "input name":
        table = table.rename(tmp_path / "b.csv")
    else:
        words = ("--batch-size", "32")
    seen["computed"].clear()
    capsys.readouterr()
    assert predict(checkpoint, table, out, *words) == 0
    told = capsys.readouterr().err
    assert f"starting again: 192 finished rows of an interrupted command differ in {change}\n" in told
    assert "resumed" not in told
    assert sorted(seen["computed"]) == molecules(0)
    assert not (tmp_path / ".out.csv.rows").exists()


def test_two_at_once_are_refused_and_the_first_keeps_its_rows(
    checkpoint: Path, table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.csv"
    stopped(lambda: predict(checkpoint, table, out))
    kept = sorted((tmp_path / ".out.csv.rows").iterdir())
    with holding(lock_file(out), "x", "y"):
        assert predict(checkpoint, table, out, "--batch-size", "32") == 2
    assert "another moleblend command is writing" in capsys.readouterr().err
    assert sorted((tmp_path / ".out.csv.rows").iterdir()) == kept


def test_what_fits_in_a_group_is_not_kept(
    checkpoint: Path, table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_rows, "GROUP_ROWS", ROWS + 1)
    monkeypatch.setattr(KeptRows, "add", lambda *given: pytest.fail("a group was kept"))
    assert predict(checkpoint, table, tmp_path / "out.csv") == 0
    assert sorted(os.listdir(tmp_path)) == ["a.csv", "out.csv"]


def test_an_error_ends_as_before_and_keeps_whole_windows(
    checkpoint: Path,
    table: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The output cannot be put together: all but the rows of the last, shorter window are kept."""
    from moleblend_plugin.errors import MoleblendError

    out = tmp_path / "out.csv"

    def full(*given: Any) -> None:
        raise MoleblendError("cannot write out.csv (No space left on device): make room")

    with monkeypatch.context() as patched:
        patched.setattr(kept_rows, "GROUP_ROWS", 200)
        patched.setattr(kept_rows, "write_joined", full)
        assert predict(checkpoint, table, out) == 2
    lines = capsys.readouterr().err.splitlines()
    assert "448 finished rows are kept" in lines[-2]
    assert lines[-1].startswith("error: cannot write out.csv")
    assert predict(checkpoint, table, out) == 0
    assert "resumed at row 448 of 700" in capsys.readouterr().err


def test_a_model_that_is_replaced_meanwhile_is_not_taken_for_the_one_that_computed(
    checkpoint: Path, table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, out = tmp_path / "m.pt", tmp_path / "out.csv"
    model.write_bytes(checkpoint.read_bytes())
    with pytest.MonkeyPatch.context() as patched:
        begin = KeptRows._begin

        def replaced(self: KeptRows) -> None:
            model.write_bytes(checkpoint.read_bytes())
            begin(self)

        patched.setattr(KeptRows, "_begin", replaced)
        stopped(lambda: predict(model, table, out))
    assert "are kept" not in capsys.readouterr().err
    assert sorted(os.listdir(tmp_path)) == ["a.csv", "m.pt"]
