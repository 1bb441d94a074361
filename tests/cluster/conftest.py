"""One cluster of two processes for all tests here: it takes seconds to start."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def scheduler() -> Iterator[str]:
    """Address of its scheduler. In its processes some SMILES are poison (``sitecustomize``)."""
    distributed = pytest.importorskip("distributed", reason="needs the extra [cluster]")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("PYTHONPATH", str(Path(__file__).parent), prepend=os.pathsep)
        with distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, memory_limit=0, dashboard_address=None, silence_logs=60
        ) as cluster:
            yield cluster.scheduler_address
