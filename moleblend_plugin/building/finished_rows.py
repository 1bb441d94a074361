"""Finished rows of a build that is under way, in one append-only file that survives any end of the process.

A frame holds the outcomes of one chunk of rows and is written as soon as they are there, so frames stand in
the order of completion and carry the number of their chunk. Layout of a frame, little-endian::

    number u64   rows u32   rejected u32   length u32   crc u32   payload [length]

``crc`` is the CRC-32 of the other head fields and the payload, a msgpack list of :class:`Finished`. Opening
reads the file through; from the first frame that is not whole on, it is cut off and that work is done again.
"""

from __future__ import annotations

import io
import os
import struct
import time
import zlib
from array import array
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from pathlib import Path
from types import TracebackType
from typing import Final, NamedTuple

import msgpack
import numpy as np

from moleblend_plugin.data.store.record_codec import encode_record
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.files import sync_folder
from moleblend_plugin.schema import MoleculeRecord, Rejection

_FIELDS: Final = struct.Struct("<QIII")
_CRC: Final = struct.Struct("<I")
_HEAD_BYTES: Final = _FIELDS.size + _CRC.size

_SYNC_SECONDS: Final = 2.0
"""Work that a power cut may cost; a process that dies loses none of what was written."""

_ABSENT: Final = -1


class Finished(NamedTuple):
    """What became of a row: all that dividing and counting need, and the record as it will be stored.

    Attributes:
        source: name of its file.
        row: its number there.
        split: text of the split column (of a rejected row too), or the scaffold.
        n_atoms: heavy atoms; 0 where it is no molecule.
        with_3d: whether there are coordinates.
        coords_from: where they come from.
        targets: labels as float64 bytes.
        value: the encoded record.
        text: of a rejected row, what stood there.
        reason: why it is rejected; "" for a row that is left out because the user wants so.
        stereo_unknown: whether the source leaves open what stereochemistry the molecule has.
        identity: 64-bit hash of the molecule, equal for equal molecules; 0 where it is none.
    """

    source: str
    row: int
    split: str = ""
    n_atoms: int = 0
    with_3d: bool = False
    coords_from: str = ""
    targets: bytes = b""
    value: bytes = b""
    text: str = ""
    reason: str = ""
    stereo_unknown: bool = False
    identity: int = 0

    @property
    def labels(self) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        """``targets`` as numbers, float64 [T]."""
        return np.frombuffer(self.targets, "<f8")


class Chunk(NamedTuple):
    """Outcomes of some rows, packed where they were made; ``first`` is the first rejected row, if any."""

    rows: int
    rejected: int
    payload: bytes
    first: Rejection | None


def finished(result: MoleculeRecord | Rejection, split: str, identity: str = "") -> Finished:
    """What is kept of ``result``, its split text and the text that its molecule is known by."""
    if isinstance(result, Rejection):
        return Finished(result.source, result.row, split, text=result.text, reason=result.reason)
    return Finished(
        result.source,
        result.row,
        split,
        result.n_atoms,
        result.coords is not None,
        result.coords_from,
        np.ascontiguousarray(result.targets, "<f8").tobytes(),
        encode_record(result),
        stereo_unknown=result.stereo_unknown,
        identity=int.from_bytes(blake2b(identity.encode(), digest_size=8).digest(), "little"),
    )


def pack(outcomes: Sequence[Finished]) -> Chunk:
    """One chunk, ready to be written."""
    bad = [done for done in outcomes if done.reason]
    first = Rejection(bad[0].source, bad[0].row, bad[0].text, bad[0].reason) if bad else None
    return Chunk(len(outcomes), len(bad), msgpack.packb(outcomes, use_bin_type=True), first)


class Spill:
    """The file, open for adding. A context manager; one process at a time (the caller holds a lock).

    Attributes:
        rows: outcomes in it.
        rejected: rejected rows among them.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows = 0
        self.rejected = 0
        self._places = array("q")  # by number of the chunk: 8 bytes each, whatever their order
        self._chunks = 0
        self._file: io.FileIO | None = None
        self._end = 0
        self._synced = time.monotonic()

    def __enter__(self) -> Spill:
        self._file = io.FileIO(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o666), "r+")
        self._scan()
        self._file.truncate(self._end)
        sync_folder(self.path.parent)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def __len__(self) -> int:
        """Chunks in it."""
        return self._chunks

    def __contains__(self, number: int) -> bool:
        return number < len(self._places) and self._places[number] != _ABSENT

    def add(self, number: int, chunk: Chunk) -> None:
        """Append a chunk; what a failed write left is cut off.

        Raises:
            OSError: the disk is full.
        """
        fields = _FIELDS.pack(number, chunk.rows, chunk.rejected, len(chunk.payload))
        crc = _CRC.pack(zlib.crc32(chunk.payload, zlib.crc32(fields)))
        file = self._open()
        file.seek(self._end)
        try:
            _write(file, fields + crc + chunk.payload)
        except OSError:
            file.truncate(self._end)
            raise
        self._note(number, chunk.rows, chunk.rejected, len(chunk.payload))
        if time.monotonic() - self._synced > _SYNC_SECONDS:
            self.sync()

    def sync(self) -> None:
        """Bring everything to disk."""
        os.fsync(self._open().fileno())
        self._synced = time.monotonic()

    def __iter__(self) -> Iterator[Finished]:
        """All outcomes in the order of their rows.

        Raises:
            MoleblendError: a frame changed on disk since it was written.
        """
        file = self._open()
        for place in self._places:
            if place == _ABSENT:
                continue
            file.seek(place)
            frame = _frame(file)
            if frame is None:
                raise MoleblendError(
                    f"{self.path} cannot be read back (a damaged disk?); run the command again: what is "
                    "whole in it is kept"
                )
            for fields in msgpack.unpackb(frame[1], raw=False):
                yield Finished(*fields)

    def _scan(self) -> None:
        file = self._open()
        while frame := _frame(file):
            (number, rows, rejected), payload = frame
            self._note(number, rows, rejected, len(payload))

    def _note(self, number: int, rows: int, rejected: int, length: int) -> None:
        if number >= len(self._places):
            self._places.extend([_ABSENT] * (number + 1 - len(self._places)))
        self._chunks += self._places[number] == _ABSENT
        self._places[number] = self._end
        self.rows += rows
        self.rejected += rejected
        self._end += _HEAD_BYTES + length

    def _open(self) -> io.FileIO:
        if self._file is None:
            raise RuntimeError("use it as a context manager")
        return self._file


def _frame(file: io.FileIO) -> tuple[tuple[int, int, int], bytes] | None:
    """(number, rows, rejected) and payload of the frame at the file's place; ``None`` if it is not whole."""
    head = _read(file, _HEAD_BYTES)
    if len(head) < _HEAD_BYTES:
        return None
    number, rows, rejected, length = _FIELDS.unpack_from(head)
    if length > os.fstat(file.fileno()).st_size - file.tell():
        return None  # a torn head may ask for gigabytes
    payload = _read(file, length)
    if head[_FIELDS.size :] != _CRC.pack(zlib.crc32(payload, zlib.crc32(head[: _FIELDS.size]))):
        return None
    return (number, rows, rejected), payload


def _read(file: io.FileIO, count: int) -> bytes:
    """``count`` bytes, fewer at the end of the file; a raw read may give fewer at any time."""
    parts = []
    while count and (part := file.read(count)):
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


def _write(file: io.FileIO, content: bytes) -> None:
    rest = memoryview(content)
    while rest:
        rest = rest[file.write(rest) or 0 :]
