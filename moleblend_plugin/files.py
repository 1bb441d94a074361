"""Writing files so that nothing half-written ever replaces something good."""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from moleblend_plugin.errors import MoleblendError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary name beside ``path``; when the block ends well it is fsynced and renamed to ``path``.

    Raises:
        MoleblendError: the file cannot be written; what was at ``path`` before is as it was.
    """
    # Process numbers repeat on other machines and in containers that share the folder.
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}.tmp")
    try:
        yield temporary
        put_in_place(temporary, path)
    except OSError as error:
        raise MoleblendError(
            f"cannot write {path} ({error.strerror or error}): make room or choose another place; "
            "nothing there was changed"
        ) from error
    finally:
        with suppress(FileNotFoundError, NotADirectoryError):
            temporary.unlink()


def put_in_place(temporary: Path, path: Path) -> None:
    """Give the complete file ``temporary`` the name ``path``, in one step that survives a power cut.

    Raises:
        OSError: it cannot; what was at ``path`` before is as it was.
    """
    sync_file(temporary)
    temporary.replace(path)
    sync_folder(path.parent)


def sha256_of(path: Path) -> str:
    """Checksum (hex) of a file as it lies on disk.

    Raises:
        MoleblendError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise MoleblendError(f"{path} cannot be read ({error.strerror or error})") from error


def sync_file(path: Path) -> None:
    """Bring the bytes of a file to disk."""
    with path.open("rb+") as stream:
        os.fsync(stream.fileno())


def sync_folder(folder: Path) -> None:
    """Make a rename survive a power cut, where folders can be synced (not on Windows)."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
