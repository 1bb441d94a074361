"""The Python of docs/inference.md runs as it stands there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

PAGE = Path(__file__).resolve().parents[2] / "docs" / "inference.md"


def test_the_snippets_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("molecules.csv").write_text("smiles\nCCO\nbad(\nCCC\n")
    names: dict[str, object] = {}
    page = PAGE.read_text(encoding="utf-8")
    snippets = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    for snippet in snippets:
        exec(snippet, names)
    assert len(snippets) == 4
    last = capsys.readouterr().out.splitlines()[-2:]
    assert all(re.fullmatch(r"\{'y': (np\.float64\()?-?\d+\.\d+(e-\d+)?\)?\}", line) for line in last), last
