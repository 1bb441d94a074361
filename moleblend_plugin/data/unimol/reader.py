"""Uni-Mol's LMDB files, read as they are: decimal keys in numeric order, pickled dicts as values."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import lmdb
import numpy as np
import numpy.typing as npt

from moleblend_plugin.data.store.environment import Environment, check_length, open_environment
from moleblend_plugin.data.store.meta import META_KEY
from moleblend_plugin.data.unimol.safe_pickle import BadPickle, RefusedName, loads
from moleblend_plugin.errors import MoleblendError

_LONGEST_KEY: Final = 18
"""Digits of a key; more would not fit an int64."""
_GZIP: Final = b"\x1f\x8b"


class Entry(NamedTuple):
    """One value of a file: its key as a number, and the dict, or the reason why there is none."""

    key: int
    value: dict[str, Any] | None
    problem: str = ""


class UniMolFile:
    """Reads one Uni-Mol LMDB file. Its pickles are read as data (``safe_pickle``): none of them is run.

    Args:
        path: the ``.lmdb`` file.

    Attributes:
        keys: int64 [count], ascending: the keys as numbers (LMDB's own order puts "10" before "2").

    Raises:
        MoleblendError: no such file, no LMDB file, truncated, empty, or with keys that are no numbers.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        if not self.path.is_file():
            raise MoleblendError(f"{self.path} is not a file; name a Uni-Mol .lmdb file or a folder of them")
        try:
            check_length(self._environment(), self.path, "copy it again")
            self.keys, self._widths = self._read_keys()
        except (lmdb.Error, OSError) as error:
            raise self._unreadable(error) from error
        if not len(self.keys):
            raise MoleblendError(f"{self.path} holds no molecules; nothing to read")

    def __len__(self) -> int:
        return len(self.keys)

    def __iter__(self) -> Iterator[Entry]:
        return (self.entry(position) for position in range(len(self)))

    def entry(self, position: int) -> Entry:
        """Value number ``position`` in the order of the keys.

        Raises:
            MoleblendError: the file itself fails (a damaged page, a disk).
        """
        number = int(self.keys[position])
        key = b"%0*d" % (int(self._widths[position]), number)
        try:
            with self._environment().lmdb.begin(buffers=False) as txn:
                content = txn.get(key)
        except (lmdb.Error, OSError) as error:
            raise self._unreadable(error) from error
        return _entry(number, content)

    def _environment(self) -> Environment:
        environment: Environment | None = getattr(self, "_env", None)
        if environment is None or environment.pid != os.getpid():
            environment = self._env = open_environment(self.path)
        return environment

    def _read_keys(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint8]]:
        """Keys as numbers in ascending order, and how many digits each is written with."""
        with self._environment().lmdb.begin() as txn, txn.cursor() as cursor:
            count = txn.stat()["entries"]
            numbers, widths = np.zeros(count, np.int64), np.zeros(count, np.uint8)
            for position, key in enumerate(cursor.iternext(values=False)):
                if not (key.isdigit() and len(key) <= _LONGEST_KEY):
                    raise self._foreign(key)
                numbers[position], widths[position] = int(key), len(key)
        order = np.argsort(numbers, kind="stable")
        numbers, widths = numbers[order], widths[order]
        twice = np.flatnonzero(numbers[1:] == numbers[:-1])
        if len(twice):
            raise MoleblendError(
                f"{self.path} has two keys for number {numbers[twice[0]]} (with and without leading zeros); "
                "remove one"
            )
        return numbers, widths

    def _foreign(self, key: bytes) -> MoleblendError:
        if key == META_KEY:
            return MoleblendError(
                f"{self.path} is a store of moleblend_plugin already; use it as it is, or build from what it "
                "was made of"
            )
        shown = key[:40].decode("ascii", "backslashreplace").encode("unicode_escape").decode()
        return MoleblendError(
            f"{self.path} has the key {shown!r}, which is not a number; Uni-Mol's keys are 0, 1, 2 ..."
        )

    def _unreadable(self, error: Exception) -> MoleblendError:
        reason = str(error).removeprefix(f"{self.path}: ")
        return MoleblendError(f"{self.path} cannot be read as an LMDB file ({reason}); copy it again")


def _entry(number: int, content: bytes | None) -> Entry:
    if content is None:
        return Entry(number, None, "unreadable value: it is not there")
    if content[:2] == _GZIP:
        return Entry(number, None, "unreadable value: compressed, as files of Uni-Mol+ and Uni-Mol2 are")
    try:
        value = loads(content)
    except RefusedName as error:
        # The name stands before the colon: reports count by what stands there, and so show it.
        return Entry(number, None, f"refused, asks for {error.wanted}: opening its pickle would run code")
    except BadPickle as error:
        return Entry(number, None, f"unreadable value: {error}")
    if not isinstance(value, dict):
        return Entry(number, None, f"unreadable value: a {type(value).__name__} instead of a dict")
    return Entry(number, value)
