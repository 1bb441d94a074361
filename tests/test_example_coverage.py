"""examples/50_coverage/coverage.py: its splits, and a whole run on a few molecules that resumes."""

from __future__ import annotations

import csv
import gzip
import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

SCRIPT = Path(__file__).resolve().parents[1] / "examples" / "50_coverage" / "coverage.py"
SMILES = [
    "C" * n + end for n in range(1, 9) for end in ("O", "N", "Cl", "C(=O)O", "c1ccccc1", "C1CCCCC1", "Br")
]


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("coverage_example", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_splits_hold_out_a_fifth(script: ModuleType) -> None:
    for split in ("random", "scaffold"):
        test = script.test_rows(SMILES, split, 0)
        assert 8 <= test.sum() <= 11
        assert (test == script.test_rows(SMILES, split, 0)).all()
        assert (test != script.test_rows(SMILES, split, 1)).any()
    with_ring = np.array(["c1" in smiles for smiles in SMILES])
    assert test[with_ring].all() or not test[with_ring].any(), "one scaffold, one side"


def test_a_run_resumes_and_makes_a_table(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "moleculenet").mkdir()
    with gzip.open(tmp_path / "moleculenet" / "freesolv.csv.gz", "wt") as file:
        file.write("smiles,expt\n" + "".join(f"{smiles},{len(smiles)}\n" for smiles in SMILES))
    with gzip.open(tmp_path / "moleculenet" / "bace.csv.gz", "wt") as file:
        file.write("mol,Class\n" + "".join(f"{smiles},{len(smiles) % 2}\n" for smiles in SMILES))
    monkeypatch.setattr(script, "TREES", {"n_estimators": 3})
    monkeypatch.setattr(script, "SETTINGS", (("random", "random"),))
    monkeypatch.setattr(script, "__file__", str(tmp_path / "coverage.py"))
    out = tmp_path / "out"
    script.run(tmp_path, out, "forest", ["freesolv", "bace"], 1)
    parts = sorted(out.glob("*.json"))
    assert [part.stem for part in parts] == [
        "forest-bace-random-random-0",
        "forest-freesolv-random-random-0",
    ]
    found = json.loads(parts[1].read_text())
    assert found["molecules"] == 11
    assert 0 <= found["coverage_normalised"] <= 1
    before = [part.stat().st_mtime_ns for part in parts]
    script.run(tmp_path, out, "forest", ["freesolv", "bace"], 1)
    assert [part.stat().st_mtime_ns for part in parts] == before
    capsys.readouterr()
    script.table(out)
    printed = capsys.readouterr().out
    assert "| freesolv | random | random | 1 |" in printed
    assert "| bace | random | random | 1 |" in printed
    rows = list(csv.DictReader((tmp_path / "scores.csv").open()))
    assert [row["set"] for row in rows] == ["bace", "freesolv"]
    with pytest.raises(SystemExit, match="holds no parts: run first"):
        script.table(tmp_path)
