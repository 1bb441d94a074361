"""Checkpoint files: Uni-Core's layout, written in one step, read without running anything they hold."""

from __future__ import annotations

import argparse
import os
import pickle
import re
import shutil
import struct
import zipfile
import zlib
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch

from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.files import put_in_place, sync_file
from moleblend_plugin.runs.run_files import ENSEMBLE
from moleblend_plugin.trainer.command.config import SaveConfig, ValidConfig

State = dict[str, Any]

TEMPORARY = ".checkpoint.tmp"
"""Name under which a checkpoint is written; a crash leaves at most this one, which the next save replaces."""

REQUIRED = ("model", "optimizer_history", "extra_state")

# Uni-Core keeps its options and, where a loss logs NumPy numbers, those; both are plain values.
_PLAIN_CLASSES: list[Any] = [
    argparse.Namespace,
    np.dtype,
    np.float32,
    np.float64,
    np.int64,
    *(type(np.dtype(name)) for name in ("float32", "float64", "int64")),
    np.float64().__reduce__()[0],  # "scalar", which stands elsewhere in NumPy 1 than in NumPy 2
]


class DamagedCheckpoint(MoleblendError):
    """A checkpoint whose bytes are not those that were written."""


def prepare_folder(folder: Path) -> None:
    """Make the folder of a run and try to write there, before anything expensive happens.

    Raises:
        MoleblendError: the folder cannot be made or written to.
    """
    probe = folder / TEMPORARY
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.unlink(missing_ok=True)  # emptying it could empty a checkpoint, see write_checkpoint
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        raise MoleblendError(
            f"--save-dir {str(folder)!r} cannot be written to ({error.strerror}): choose another folder"
        ) from error


def check_plain(args: argparse.Namespace) -> None:
    """Refuse options that a checkpoint could not hold as plain values.

    Raises:
        MoleblendError: names the option.
    """

    def plain(value: object) -> bool:
        if isinstance(value, list | tuple):
            return all(plain(item) for item in value)
        if isinstance(value, dict):
            return all(plain(key) and plain(item) for key, item in value.items())
        return value is None or type(value) in (bool, int, float, str)

    for name, value in vars(args).items():
        if not plain(value):
            raise MoleblendError(
                f"option {name!r} holds a {type(value).__name__}, which no checkpoint can keep: "
                "let add_args and the arch function set plain values only"
            )


def read_checkpoint(path: Path, required: Sequence[str] = REQUIRED) -> State:
    """Read a checkpoint of either host into CPU memory.

    Args:
        path: the file.
        required: keys that it must hold; weights to start from need no more than "model".

    Raises:
        DamagedCheckpoint: its bytes are not those that were written.
        MoleblendError: the file is missing, no checkpoint, or holds more than plain values.
    """
    try:
        if (damage := find_damage(path)) is not None:
            raise DamagedCheckpoint(f"checkpoint {str(path)!r} is damaged ({damage}): use another one")
        with torch.serialization.safe_globals(_PLAIN_CLASSES):
            state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise MoleblendError(f"checkpoint {str(path)!r} does not exist: check the path") from error
    except OSError as error:
        raise MoleblendError(
            f"checkpoint {str(path)!r} cannot be read ({error.strerror}): check it"
        ) from error
    except pickle.UnpicklingError as error:
        # Torch's own text advises to load without the safeguard; only what it met is of use.
        met = re.search(
            r"Unsupported (?:global|class|operand)[^.\n]*?(?:GLOBAL )?([\w.]+) was not", str(error)
        )
        reason = f" ({met[1]})" if met else ""
        raise DamagedCheckpoint(
            f"{str(path)!r} is not a checkpoint, is damaged, or holds more than plain values{reason}: "
            "use another file"
        ) from error
    except MoleblendError:
        raise
    except (RuntimeError, EOFError, ValueError, KeyError, AttributeError, TypeError, IndexError) as error:
        raise DamagedCheckpoint(f"checkpoint {str(path)!r} is damaged: use another one") from error
    missing = [key for key in required if not isinstance(state, dict) or key not in state]
    if missing:
        raise MoleblendError(
            f"{str(path)!r} is not a checkpoint of a training run: it lacks {', '.join(missing)}"
        )
    return dict(state)


def find_damage(path: Path) -> str | None:
    """Compare a checkpoint with its checksums: torch writes a CRC-32 of every piece but never reads it.

    Args:
        path: the file.

    Returns:
        What is wrong, ``None`` for nothing (or a file older than torch's zip format, which has no checksums).

    Raises:
        OSError: the file cannot be read.
        MoleblendError: it is no checkpoint but an archive of several.
    """
    with path.open("rb") as stream:
        if stream.read(4) != b"PK\x03\x04":
            return None
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            piece = archive.testzip()
    except (zipfile.BadZipFile, zlib.error, struct.error, EOFError, ValueError, RuntimeError) as error:
        return _printable(str(error) or type(error).__name__)
    if ENSEMBLE in names:
        raise MoleblendError(
            f"{str(path)!r} holds several networks, where one is needed: take one out of it with "
            "'unzip FILE member_1.pt'"
        )
    return None if piece is None else f"{_printable(piece)} differs from its checksum"


def _printable(text: str) -> str:
    """``text``, which may hold damaged names, in one line."""
    return text.encode("unicode_escape").decode()


def newest_intact(folder: Path, besides: Path) -> Path | None:
    """The checkpoint of a run's folder with most updates that can be read, other than ``besides``.

    Not the one that was written last by the clock: it may have been set back since.
    """
    newest, most = None, -1
    for path in sorted(path for path in folder.glob("checkpoint*.pt") if path != besides):
        try:
            updates = int(read_checkpoint(path)["optimizer_history"][-1]["num_updates"])
        except (MoleblendError, LookupError, TypeError, ValueError):
            continue  # the caller tells of the first damaged one; this one is only no remedy
        if updates >= most:
            newest, most = path, updates
    return newest


def write_checkpoint(state: State, folder: Path, names: Sequence[str]) -> None:
    """Write one checkpoint under several names; each appears complete or not at all.

    Args:
        state: what to write.
        folder: the run's folder.
        names: file names; the files share their bytes where the file system can.

    Raises:
        MoleblendError: it cannot be written; files that were there before stay as they were.
    """
    temporary = folder / TEMPORARY
    try:
        # A process that was killed between names left it as one more name of a checkpoint's bytes.
        temporary.unlink(missing_ok=True)
        with temporary.open("wb") as stream:
            torch.save(state, stream)
        sync_file(temporary)  # before any name of the run leads to its bytes
        for name in names[1:]:
            duplicate(temporary, folder / name)
        put_in_place(temporary, folder / names[0])
    except (OSError, RuntimeError) as error:  # torch wraps a full disk in a RuntimeError
        with suppress(OSError):  # a folder that may not be written to any more keeps it
            temporary.unlink(missing_ok=True)
        raise cannot_write(folder / names[0], error) from error


def cannot_write(path: Path, error: Exception) -> MoleblendError:
    """The error where a checkpoint could not be written, which harmed no earlier one."""
    return MoleblendError(
        f"cannot write {str(path)!r} ({_os_reason(error)}): earlier checkpoints are as they were; "
        "make room or choose another --save-dir"
    )


def duplicate(source: Path, target: Path) -> None:
    """Give a checkpoint one more name, which appears complete or not at all.

    Raises:
        OSError: it cannot; what was at ``target`` before is as it was.
    """
    copy = target.with_name(f".{target.name}.tmp")
    copy.unlink(missing_ok=True)
    try:
        os.link(source, copy)  # a hard link: files are replaced, never changed
    except OSError:
        try:
            shutil.copyfile(source, copy)
            sync_file(copy)
        except OSError:
            copy.unlink(missing_ok=True)
            raise
    copy.replace(target)


def _os_reason(error: BaseException) -> str:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror
        cause = cause.__cause__ or cause.__context__
    return str(error).splitlines()[0]


def prune(save: SaveConfig, valid: ValidConfig, end_of_epoch: bool) -> None:
    """Remove checkpoints beyond what ``--keep-*`` keeps.

    Args:
        save: the run's folder, and how many to keep.
        valid: the best checkpoints' metric.
        end_of_epoch: whether the checkpoint just written is an epoch's.
    """
    if save.keep_interval_updates > 0 and not end_of_epoch:
        _keep(save.folder, r"checkpoint_\d+_(\d+)\.pt", save.keep_interval_updates)
    if save.keep_last_epochs >= 0:
        _keep(save.folder, r"checkpoint(\d+)\.pt", save.keep_last_epochs)
    if save.keep_best_checkpoints > 0:
        pattern = rf"checkpoint\.best_{re.escape(valid.best_checkpoint_metric)}_(-?\d+\.?\d*)\.pt"
        largest = valid.maximize_best_checkpoint_metric
        _keep(save.folder, pattern, save.keep_best_checkpoints, largest)


def _keep(folder: Path, pattern: str, count: int, largest: bool = True) -> None:
    found = [(match, path) for path in folder.iterdir() if (match := re.fullmatch(pattern, path.name))]
    found.sort(key=lambda item: float(item[0].group(1)), reverse=largest)
    for _, path in found[count:]:
        path.unlink(missing_ok=True)
