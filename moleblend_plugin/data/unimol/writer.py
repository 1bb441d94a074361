"""Writes Uni-Mol's LMDB files: decimal keys, pickled dicts, readable by NumPy 1 and 2."""

from __future__ import annotations

import pickle
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from moleblend_plugin.data.lmdb_writer import LmdbWriter


def write_unimol(path: Path, values: Iterable[dict[str, Any]]) -> int:
    """Write ``values`` under the keys 0, 1, 2 ...; the file appears whole or not at all.

    Returns:
        How many there were.

    Raises:
        MoleblendError: it cannot be written; what was at ``path`` is as it was.
    """
    count = 0
    with LmdbWriter(path) as writer:
        for value in values:
            writer.put(b"%d" % count, _pickled(value))
            count += 1
    return count


def _pickled(value: dict[str, Any]) -> bytes:
    # Protocol 3 names modules as text lines. NumPy 2 reads both of its names, NumPy 1 (in Uni-Mol's images)
    # only its own.
    content = pickle.dumps(value, protocol=3)
    return content.replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n")
