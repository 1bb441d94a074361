"""Writes Uni-Mol's LMDB files: decimal keys, pickled dicts, readable by NumPy 1 and 2."""

from __future__ import annotations

import pickle
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import lmdb

from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.files import replacing

_FIRST_MAP_BYTES: Final = 1 << 26
"""First size of LMDB's map (64 MiB); it doubles when full. The file itself only grows as written."""

_BATCH: Final = 1000
"""Values per transaction."""


def write_unimol(path: Path, values: Iterable[dict[str, Any]]) -> int:
    """Write ``values`` under the keys 0, 1, 2 ...; the file appears whole or not at all.

    Returns:
        How many there were.

    Raises:
        MoleblendError: it cannot be written; what was at ``path`` is as it was.
    """
    with replacing(path) as temporary:
        try:
            return _write(temporary, values)
        except lmdb.Error as error:
            text = str(error).removeprefix(f"{temporary}: ")
            raise MoleblendError(
                f"cannot write {path} ({text}): make room or choose another place; nothing there was changed"
            ) from error


def _write(path: Path, values: Iterable[dict[str, Any]]) -> int:
    count, waiting = 0, []
    options = {"subdir": False, "lock": False, "meminit": False, "sync": False}
    path.unlink(missing_ok=True)
    with lmdb.open(str(path), map_size=_FIRST_MAP_BYTES, **options) as environment:
        for count, value in enumerate(values, 1):
            waiting.append((b"%d" % (count - 1), _pickled(value)))
            if len(waiting) >= _BATCH:
                _put(environment, waiting)
                waiting = []
        _put(environment, waiting)
        environment.sync(True)
    return count


def _put(environment: Any, values: list[tuple[bytes, bytes]]) -> None:  # noqa: ANN401  # lmdb has no types
    while True:
        try:
            with environment.begin(write=True) as txn, txn.cursor() as cursor:
                cursor.putmulti(values)
            return
        except lmdb.MapFullError:  # the transaction is undone: more room, once again
            environment.set_mapsize(2 * environment.info()["map_size"])


def _pickled(value: dict[str, Any]) -> bytes:
    # Protocol 3 names modules as text lines. NumPy 2 reads both of its names, NumPy 1 (in Uni-Mol's images)
    # only its own.
    content = pickle.dumps(value, protocol=3)
    return content.replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n")
