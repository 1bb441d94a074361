"""The folder of a search: one lock, the study, and what is written for people when it ends."""

from __future__ import annotations

import shutil
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final

from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.fitting.folder import LEAKS, REJECTED
from moleblend_plugin.locks import holding_out_folder
from moleblend_plugin.splits.split_list import SPLIT_LIST

STUDY: Final = "study.db"
BEST: Final = "best.toml"
TRIALS: Final = "trials.csv"
REPORT: Final = "report.html"
_WORK: Final = "work"
_LOCK: Final = ".tune.lock"

FILES: Final = (STUDY, BEST, TRIALS, REPORT, REJECTED, SPLIT_LIST, LEAKS)


class TuneFolder:
    """Where a search works.

    Args:
        path: the folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.study = path / STUDY
        self.work = path / _WORK

    def held(self) -> AbstractContextManager[None]:
        """Hold the folder inside a block (``locks.holding_out_folder``)."""
        return holding_out_folder(self.path, _LOCK, "moleblend tune")

    def begin(self, overwrite: bool) -> None:
        """Take up the study that is there, or make room for a new one.

        Args:
            overwrite: whether what is there is removed.

        Raises:
            MoleblendError: there is something that is not to be lost.
        """
        if not self.study.exists():
            names = {item.name for item in self.path.iterdir()}
            strange = sorted(names - {_LOCK, _WORK, *FILES})
            if strange:
                raise MoleblendError(
                    f"--out {self.path} holds other files, such as {strange[0]}: name a new folder"
                )
        elif overwrite:
            for name in FILES:
                (self.path / name).unlink(missing_ok=True)
            shutil.rmtree(self.work, ignore_errors=True)
        self.work.mkdir(exist_ok=True)

    def finish(self) -> None:
        """Remove the work folder where nothing in it can be resumed."""
        if not any(item.is_dir() for item in self.work.iterdir()):
            shutil.rmtree(self.work, ignore_errors=True)
