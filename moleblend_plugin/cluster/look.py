"""Whether a machine of the cluster can do the work: the same versions, and the same files."""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from moleblend_plugin.cluster.request import Request, versions_here
from moleblend_plugin.errors import MoleblendError


def sign(folder: Path, token: str) -> Path:
    """The file by which other machines know the folder."""
    return folder / f".cluster-{token}"


@contextmanager
def signed(folder: Path, token: str) -> Iterator[None]:
    """Have the sign in the folder, which is made where it is missing, inside the block.

    Raises:
        MoleblendError: the folder cannot be written to.
    """
    there = sign(folder, token)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        there.write_text(token, encoding="ascii")
    except OSError as error:
        raise MoleblendError(
            f"{folder} cannot be written to ({error.strerror or error}); name another --out"
        ) from error
    try:
        yield
    finally:
        there.unlink(missing_ok=True)


def problem_here(request: Request) -> str:
    """Why this machine cannot do the work, in one line; "" where it can."""
    name = socket.gethostname()
    here = versions_here(request.kind)
    wrong = [f"{key} {here[key]}, not {held}" for key, held in request.versions.items() if here[key] != held]
    if wrong:
        return (
            f"worker on {name} has {', '.join(wrong)} as this command: install the same versions there, "
            "results depend on them"
        )
    missing = [path for path in request.paths if not os.path.exists(path)]
    if missing:
        return (
            f"worker on {name} does not see {missing[0]}: name files in a folder that all machines of the "
            "cluster share"
        )
    folder = Path(request.folder)
    if not sign(folder, request.token).exists():
        return (
            f"worker on {name} does not see the folder of --out, {folder}: name one that all machines of the "
            "cluster share"
        )
    probe = folder / f".cluster-{secrets.token_hex(8)}"
    try:
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        return (
            f"worker on {name} cannot write to {folder} ({error.strerror or error}): change its permissions"
        )
    return ""
