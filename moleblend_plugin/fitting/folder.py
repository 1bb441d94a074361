"""The folder of a model: one lock, a work folder that keeps what is finished, files that appear at the end.

Everything is made in ``work/`` and put in place when all of it is there, the model last: a folder with a
model is whole, and what stood there before stays until then.
"""

from __future__ import annotations

import json
import shutil
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Final

from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.files import put_in_place, sha256_of
from moleblend_plugin.fitting.options import RUN_FILE, FitOptions, read_options, write_run_file
from moleblend_plugin.inference.run_folder import FIT_WORK, TEST_PREDICTIONS
from moleblend_plugin.locks import holding_out_folder
from moleblend_plugin.networks.resolve import MODEL_FILE
from moleblend_plugin.runs.run_record import package_versions
from moleblend_plugin.splits.split_list import SPLIT_LIST

REPORT: Final = "report.html"
REJECTED: Final = "rejected.csv"
LEAKS: Final = "split_report.json"
MANIFEST: Final = "manifest.json"
"""Versions and checksums of what lies in the folder."""

FILES: Final = (RUN_FILE, REJECTED, SPLIT_LIST, LEAKS, TEST_PREDICTIONS, REPORT, MANIFEST, MODEL_FILE)
"""In the order in which they are put in place."""

_ASKED: Final = "asked.toml"
_LOCK: Final = ".fit.lock"


class ModelFolder:
    """Where a fit works.

    Args:
        path: the folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.work = path / FIT_WORK
        self.result = self.work / "result"
        self.members = self.work / "members"

    def held(self) -> AbstractContextManager[None]:
        """Hold the folder inside a block (``locks.holding_out_folder``)."""
        return holding_out_folder(self.path, _LOCK, "moleblend fit")

    @property
    def is_unfinished(self) -> bool:
        """Whether a fit was interrupted here."""
        return (self.work / _ASKED).is_file()

    def begin(self, asked: FitOptions, data: dict[str, str], overwrite: bool) -> None:
        """Make the work folder of a new fit.

        Args:
            asked: the options, as the user gave them.
            data: sha256 by file.
            overwrite: whether what is there may be replaced at the end.

        Raises:
            MoleblendError: there is something that is not to be lost.
        """
        if self.is_unfinished and not overwrite:
            raise MoleblendError(
                f"{self.path} holds a fit that was interrupted: continue with --resume, or start again with "
                "--overwrite"
            )
        if (self.path / MODEL_FILE).exists() and not overwrite:
            raise MoleblendError(
                f"{self.path} holds a model already: name another folder by --out, or replace it with "
                "--overwrite"
            )
        strange = [item.name for item in self.path.iterdir() if item.name not in (*FILES, FIT_WORK, _LOCK)]
        if strange and not (self.path / MODEL_FILE).exists() and not self.work.exists():
            raise MoleblendError(
                f"--out {self.path} holds other files, such as {sorted(strange)[0]}: name a new folder"
            )
        shutil.rmtree(self.work, ignore_errors=True)
        self.result.mkdir(parents=True)
        write_run_file(self.work / _ASKED, asked, {"sha256": data})

    def asked(self) -> FitOptions:
        """The options of the interrupted fit.

        Raises:
            MoleblendError: there is none.
        """
        if not self.is_unfinished:
            done = (self.path / MODEL_FILE).is_file()
            raise MoleblendError(
                f"{self.path} holds {'a finished model' if done else 'no fit that was interrupted'}: "
                "there is "
                "nothing to resume"
            )
        return read_options(self.work / _ASKED)

    def check_resumed(self, given: FitOptions, data: dict[str, str]) -> None:
        """Refuse to resume with other options or data; ``given`` is the default where nothing was given.

        Raises:
            MoleblendError: names what differs.
        """
        import tomllib

        asked = self.asked()
        default = FitOptions()
        for name in FitOptions.__dataclass_fields__:
            value = getattr(given, name)
            if value not in (getattr(default, name), getattr(asked, name)):
                raise MoleblendError(
                    f"--resume: the fit was begun with {name} = {getattr(asked, name)!r}, not {value!r}: "
                    "leave "
                    "the option out, or start again with --overwrite"
                )
        before = tomllib.loads((self.work / _ASKED).read_text(encoding="utf-8"))["found"]["sha256"]
        for name, sha in data.items():
            if before.get(name) != sha:
                raise MoleblendError(
                    f"--resume: {name} is not what the fit was begun with: start again with --overwrite"
                )
        self.result.mkdir(parents=True, exist_ok=True)

    def finish(self, facts: dict[str, Any]) -> None:
        """Write the manifest, and put everything in place, the model last.

        Args:
            facts: for the manifest, plain values.

        Raises:
            MoleblendError: a file cannot be put in place.
        """
        made = [name for name in FILES if (self.result / name).is_file()]
        manifest = {
            **facts,
            "packages": package_versions(),
            "sha256": {name: sha256_of(self.result / name) for name in made},
        }
        (self.result / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
        try:
            for name in FILES:
                if (self.result / name).is_file():
                    put_in_place(self.result / name, self.path / name)
                else:
                    (self.path / name).unlink(missing_ok=True)  # of an earlier model
        except OSError as error:
            raise MoleblendError(
                f"the files in {self.result} cannot be put into {self.path} ({error.strerror or error}): "
                "make room "
                "and continue with --resume"
            ) from error
        shutil.rmtree(self.work, ignore_errors=True)


def data_sha256(options: FitOptions) -> dict[str, str]:
    """sha256 by file of what a fit reads; standard input is not there a second time.

    Raises:
        MoleblendError: a file cannot be read.
    """
    paths = [options.data, *options.valid, *options.test]
    for path in paths:
        if path != "-" and not Path(path).is_file():
            raise MoleblendError(f"{path} is no file: name a table of molecules with labels")
    return {path: sha256_of(Path(path)) for path in paths if path != "-"}
