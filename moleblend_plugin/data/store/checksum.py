"""Checksums of stored values: a value that was changed, cut or put under another key is noticed."""

from __future__ import annotations

import struct
import zlib
from typing import Final, TypeVar

_HEADER: Final = struct.Struct("<I")

Value = TypeVar("Value", bytes, memoryview)


def seal(key: bytes, content: bytes | memoryview) -> bytes:
    """``content`` as it is stored under ``key``: 4 bytes CRC-32 of key and content, then the content."""
    return _HEADER.pack(zlib.crc32(content, zlib.crc32(key))) + content


def unseal(key: bytes, value: Value) -> Value:
    """Content of the ``value`` under ``key``; of a view another view.

    Raises:
        ValueError: it is not what :func:`seal` made for this key.
    """
    content = value[_HEADER.size :]
    if value[: _HEADER.size] != _HEADER.pack(zlib.crc32(content, zlib.crc32(key))):
        raise ValueError(f"its {len(value)} bytes differ from their checksum")
    return content
