"""Drawings beside a store: ``<split>.images`` holds one PNG per molecule that could be drawn.

An LMDB file: key = ``record_key`` of the molecule, value = sealed PNG bytes (empty where there is none);
``__images__`` = sealed JSON of size and store. Every block is one durable transaction, so a run that was
cut short goes on after its last block. S pixels.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import lmdb
import numpy as np

from moleblend_plugin.data.lmdb_writer import FIRST_MAP_BYTES, put_all
from moleblend_plugin.data.store.checksum import seal, unseal
from moleblend_plugin.data.store.environment import Environment, check_length, open_environment
from moleblend_plugin.data.store.meta import record_key
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.schema import UInt8Array

_HEAD: Final = b"__images__"


def images_path(store: Path) -> Path:
    """The file of drawings of a store: ``train.lmdb`` -> ``train.images``."""
    return store.with_suffix(".images")


class ImageFile:
    """Reads drawings; opened on first use in each process, like a store.

    Args:
        path: the file.
        store: fingerprint of the store that it must belong to.
        count: molecules of that store.

    Raises:
        MoleblendError: no such file, one of another store, or one that is not complete.
    """

    def __init__(self, path: Path, store: str, count: int) -> None:
        self.path = path
        self._env: Environment | None = None
        remedy = f"run 'moleblend images {path.parent}'"
        if not path.is_file():
            raise MoleblendError(f"{path} does not exist: {remedy}, or leave image out of --views")
        try:
            check_length(self._environment(), path, remedy)
            with self._environment().lmdb.begin() as txn:
                head = _read_head(txn)
                held = txn.stat()["entries"] - 1
        except (lmdb.Error, OSError, ValueError) as error:
            raise MoleblendError(
                f"{path} cannot be read as drawings ({error}); {remedy} --overwrite"
            ) from error
        if head["store"] != store:
            raise MoleblendError(f"{path} belongs to another store; {remedy} --overwrite")
        if held != count:
            raise MoleblendError(f"{path} holds {held} of {count} molecules; {remedy} to continue")
        self.size: int = head["size"]

    def __getitem__(self, index: int) -> UInt8Array | None:
        """Drawing of molecule ``index``, uint8 [3, S, S]; ``None`` where it could not be drawn.

        Raises:
            MoleblendError: the value is damaged.
        """
        key = record_key(index)
        with self._environment().lmdb.begin() as txn:
            value = txn.get(key)
        try:
            png = unseal(key, value or b"")
            return decode(png) if png else None
        except (ValueError, OSError, SyntaxError) as error:  # what PIL raises for broken files
            raise MoleblendError(
                f"{self.path} has a damaged drawing of molecule {index} ({error}); "
                f"run 'moleblend images {self.path.parent} --overwrite'"
            ) from error

    def _environment(self) -> Environment:
        if self._env is None or self._env.pid != os.getpid():
            self._env = open_environment(self.path)
        return self._env

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_env": None}


def decode(png: bytes) -> UInt8Array:
    """uint8 [3, S, S] of PNG bytes."""
    from PIL import Image  # every other command would pay for it at its start

    with Image.open(io.BytesIO(png), formats=("PNG",)) as image:
        pixels: UInt8Array = np.array(image.convert("RGB"), np.uint8)
    return np.ascontiguousarray(pixels.transpose(2, 0, 1))


class ImageWriter:
    """Context manager that appends drawings in the order of molecules.

    Args:
        path: the file; what it holds already stays.
        store: fingerprint of the store that is drawn.
        size: S.

    Raises:
        MoleblendError: it belongs to another store or size, or cannot be written.
    """

    def __init__(self, path: Path, store: str, size: int) -> None:
        self.path = path
        map_bytes = max(FIRST_MAP_BYTES, path.stat().st_size if path.exists() else 0)
        try:
            self._env = lmdb.open(str(path), subdir=False, lock=False, map_size=map_bytes)
            self._begin({"size": size, "store": store})
        except (lmdb.Error, OSError, ValueError) as error:
            raise MoleblendError(
                f"cannot write {path} ({error}); add --overwrite or free some space"
            ) from error

    def _begin(self, head: dict[str, Any]) -> None:
        with self._env.begin(write=True) as txn:
            if txn.get(_HEAD) is None:
                txn.put(_HEAD, seal(_HEAD, json.dumps(head).encode()))
            there = _read_head(txn)
        if there != head:
            self._env.close()
            raise MoleblendError(
                f"{self.path} holds drawings of another store or of {there['size']} pixels; add --overwrite"
            )

    def __enter__(self) -> ImageWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._env.close()

    def __len__(self) -> int:
        """Molecules done, drawn or not."""
        return int(self._env.stat()["entries"]) - 1

    def add(self, drawings: Sequence[bytes | None]) -> None:
        """Append the next molecules' drawings in one durable transaction."""
        keys = [record_key(number) for number in range(len(self), len(self) + len(drawings))]
        values = [(key, seal(key, png or b"")) for key, png in zip(keys, drawings, strict=True)]
        try:
            put_all(self._env, values)
        except (lmdb.Error, OSError) as error:
            raise MoleblendError(f"cannot write {self.path} ({error}); free some space") from error


def _read_head(txn: Any) -> dict[str, Any]:  # noqa: ANN401  lmdb has no types
    head = json.loads(unseal(_HEAD, txn.get(_HEAD) or b""))
    if not isinstance(head, dict) or set(head) != {"size", "store"}:
        raise ValueError("no size and store in it")
    return head
