"""Progress tells rows that are finished, of rows that there are, and rates of what was done."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from moleblend_plugin.chem.convert import ConversionConfig
from moleblend_plugin.chem.readers import source
from moleblend_plugin.cli import _progress
from moleblend_plugin.cli._progress import RowProgress
from moleblend_plugin.inference.input_rows import Input, InputRow
from moleblend_plugin.inference.windows import in_windows
from moleblend_plugin.inputs import open_molecules


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> Any:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(_progress, "time", made)
    return made


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "in.smi"
    path.write_text("".join("C" * (1 + n % 9) + "\n" for n in range(300)))
    return path


def windows(
    rows: Input, progress: Callable[..., Any], largest: int = 1024
) -> list[list[tuple[InputRow, float]]]:
    """Predict nothing, as a network would."""
    return list(in_windows(rows, lambda records: iter([0.0] * len(records)), progress, largest))


def test_lines_tell_what_is_finished_not_what_is_written(
    clock: Clock, table: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A second a row: at no time is a row told that is not finished, and no rate is 0."""
    rows = Input(open_molecules(table), ConversionConfig(None))
    with RowProgress("predict", rows.fraction_done, rows.total) as progress:

        def update(done: Any) -> None:
            clock.now += 1
            progress.update(done)

        windows(rows, update)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "predict: 0%, 0 of 300 rows"  # after five seconds, while the first window is read
    told = [
        re.fullmatch(r"predict: (\d+)%, (\d+) of 300 rows, ([\d.]+)/s, \d+ s left", line) for line in lines
    ]
    assert all(told[number] for number in range(3, len(lines)))
    assert [int(found[2]) for found in told[3:]] == sorted(int(found[2]) for found in told[3:])
    assert {int(found[2]) for found in told[3:]} <= {64, 192, 300}
    assert all(0 < float(found[3]) <= 1 for found in told[3:])


def test_nothing_is_told_between_the_intervals(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    progress = RowProgress("predict", lambda rows: rows / 10, 10)
    for _ in range(4):
        clock.now += 1
        progress.update(1)
    assert capsys.readouterr().err == ""
    clock.now += 1
    progress.update(2)
    assert capsys.readouterr().err == "predict: 20%, 2 of 10 rows, 0.4/s, 20 s left\n"
    clock.now += 29
    progress.update(5)
    assert capsys.readouterr().err == ""
    clock.now += 1
    progress.update(5, "1 rejected")
    assert capsys.readouterr().err == "predict: 50%, 5 of 10 rows, 1 rejected, 0.14/s, 35 s left\n"


def test_the_first_windows_are_small_and_the_same_in_every_run(table: Path) -> None:
    rows = Input(open_molecules(table), ConversionConfig(None))
    assert [len(part) for part in windows(rows, lambda _: None)] == [64, 128, 108]
    rows = Input(open_molecules(table), ConversionConfig(None))
    assert [len(part) for part in windows(rows, lambda _: None, largest=100)] == [64, 100, 100, 36]


def test_an_input_too_large_to_count_tells_its_share_of_what_was_read(
    table: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source, "_COUNT_BYTES", 10)
    rows = Input(open_molecules(table), ConversionConfig(None))
    assert rows.total is None
    list(rows)
    assert rows.fraction_done(150) == pytest.approx(0.5)
