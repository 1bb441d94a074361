"""What rows of an output depend on: where that is equal, finished rows may be taken over."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import torch

from moleblend_plugin.chem.convert import TOOLKIT
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.files import sha256_of
from moleblend_plugin.version import __version__

FORMAT: Final = 1
"""Of what is kept (``inference.kept_rows``)."""


class Stamp(NamedTuple):
    """Size, time and number of a file: whether it was replaced since it was read is seen without reading."""

    path: Path
    facts: tuple[int, int, int]

    @classmethod
    def of(cls, path: Path) -> Stamp:
        """Of the file as it is now.

        Raises:
            OSError: there is none.
        """
        found = path.stat()
        return cls(path, (found.st_size, found.st_mtime_ns, found.st_ino))

    @property
    def holds(self) -> bool:
        """Whether the file is still the one that was read."""
        try:
            return Stamp.of(self.path) == self
        except OSError:
            return False


class Work(NamedTuple):
    """What rows of an output depend on.

    Attributes:
        settings: plain values, by a name for people.
        files: what is read, by a name for people.
    """

    settings: Mapping[str, Any]
    files: Mapping[str, Stamp]

    def fingerprint(self) -> dict[str, Any]:
        """Plain values for comparison; reads the files.

        Raises:
            MoleblendError: a file was replaced, or cannot be read.
        """
        found: dict[str, Any] = {"format": FORMAT}
        for name, stamp in self.files.items():
            found[name] = sha256_of(stamp.path)
            if not stamp.holds:
                raise MoleblendError(f"{stamp.path} was replaced while it was read: run the command again")
        found |= self.settings
        found["threads"] = torch.get_num_threads()  # sums depend on them
        found["version"] = [__version__, TOOLKIT, np.__version__, torch.__version__]
        plain: dict[str, Any] = json.loads(json.dumps(found))
        return plain
