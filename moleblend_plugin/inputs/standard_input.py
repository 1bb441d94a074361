"""Standard input as a file: readers look at a file more than once, and a pipe can be read once."""

from __future__ import annotations

import shutil
import sys
import tempfile
from functools import lru_cache
from pathlib import Path
from typing import IO, Final

from moleblend_plugin.errors import MoleblendError

STANDARD_INPUT: Final = Path("-")
STREAM_NAME: Final = "stdin"
"""What row ids call it."""


def spooled() -> Path:
    """A temporary file with all of standard input; it goes with the process.

    Raises:
        MoleblendError: standard input is a terminal, or the temporary folder is full.
    """
    if sys.stdin is None or sys.stdin.isatty():
        raise MoleblendError("- is standard input, and nothing is piped into it: name a file, or pipe one in")
    try:
        return Path(_spool(sys.stdin.buffer).name)
    except OSError as error:
        raise MoleblendError(
            f"standard input cannot be kept in {tempfile.gettempdir()} ({error.strerror or error}): set "
            "TMPDIR to a folder with more room, or name a file"
        ) from error


@lru_cache(maxsize=1)
def _spool(stream: IO[bytes]) -> IO[bytes]:
    """One file per stream: several readers of ``-`` get the same molecules. Closing it removes it."""
    file = tempfile.NamedTemporaryFile("w+b", prefix="moleblend-stdin-")  # noqa: SIM115  open as long as the process
    shutil.copyfileobj(stream, file)
    file.flush()
    return file
