"""Freed memory stays with a process that trains on a CPU."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from moleblend_plugin.runs.allocator import keep_freed_memory

FAULTS = """
import resource, torch
from moleblend_plugin.runs.allocator import keep_freed_memory
kept = keep_freed_memory()
def update():
    for _ in range(4):
        blocks = [torch.ones(6 << 20) for _ in range(6)]  # 24 MB each, which only a system would hand out
        del blocks
update()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
update()
print(kept, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults() -> tuple[str, int]:
    plain = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    told = subprocess.run(
        [sys.executable, "-c", FAULTS],
        capture_output=True,
        text=True,
        check=True,
        env=plain,
    )
    kept, count = told.stdout.split()
    return kept, int(count)


def test_what_is_freed_is_taken_again_without_the_system() -> None:
    kept, without = faults()
    if kept == "False":
        pytest.skip("another C library than glibc")
    assert without < 1000, (
        "24 blocks of 6,144 pages, which glibc hands back now and then where it is left alone"
    )


def test_a_users_own_settings_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MALLOC_TRIM_THRESHOLD_", "GLIBC_TUNABLES"):
        with monkeypatch.context() as patch:
            patch.setenv(name, "1")
            assert not keep_freed_memory()
