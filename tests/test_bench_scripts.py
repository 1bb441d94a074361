"""The scripts of tools/bench still fit the package: they run for an hour, so nothing else runs them here."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SCRIPTS = Path(__file__).parents[1] / "tools" / "bench"
NAMES = sorted(path.stem for path in SCRIPTS.glob("*.py"))
CHECK = f"""
import sys
sys.path.insert(0, {str(SCRIPTS)!r})
import numpy as np
import {", ".join(NAMES)}
print(data.device_bytes(np.full(10, 20)))
print(*updates.CASES, sep="\\n")
"""


def test_all_load_and_know_the_schema() -> None:
    told = subprocess.run([sys.executable, "-c", CHECK], capture_output=True, text=True, check=True)
    size, *cases = told.stdout.splitlines()
    assert 20 * 20 * 5 < float(size) < 3 * 20 * 20 * 5, "mostly the bonds of five hops of every pair"
    assert "moleblend_tiny, pretraining" in cases
