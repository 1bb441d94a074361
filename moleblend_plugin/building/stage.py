"""Where a build works: a hidden folder of fixed name, found again by the same command after an interruption.

``.NAME.partial`` (beside a new ``--out``, inside one that exists) holds::

    lock         held by the process that works here
    work.json    what the outcomes of rows depend on
    rows.sqlite  finished rows (building.finished_rows)
    result/      the stores and reports, made last and moved to --out when complete
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final, NamedTuple

from moleblend_plugin.building.finished_rows import FinishedRows, remove
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.files import replacing, sync_file, sync_folder
from moleblend_plugin.locks import holding
from moleblend_plugin.schema import PARTS

_LOCK: Final = "lock"
_WORK: Final = "work.json"
_ROWS: Final = "rows.sqlite"
_RESULT: Final = "result"


class NothingToBuild(MoleblendError):
    """The inputs hold nothing that a store could be made of: finished rows are of no use."""


class Stage(NamedTuple):
    """``rows``: finished outcomes; ``result``: an empty folder that becomes the content of ``--out``."""

    rows: FinishedRows
    result: Path


def stage_folder(out: Path) -> Path:
    """The folder that a build of ``out`` works in."""
    name = f".{out.name}.partial"
    beside = out.parent / name
    # Inside an existing folder its parent may be read-only or another disk; a new one appears in one step.
    return out / name if out.is_dir() and not beside.is_dir() else beside


def refuse_existing_stores(out: Path, overwrite: bool) -> None:
    """Raise when a store would be replaced without ``--overwrite``, or ``out`` is a file."""
    if out.exists() and not out.is_dir():
        raise MoleblendError(f"--out {out} is a file; name a folder")
    held = [f"{part}.lmdb" for part in PARTS if (out / f"{part}.lmdb").exists()]
    if held and not overwrite:
        raise MoleblendError(f"{out} already holds {', '.join(held)}; name another --out or add --overwrite")


@contextmanager
def staging(
    out: Path, overwrite: bool, settings: dict[str, Any], say: Callable[[str], None]
) -> Iterator[Stage]:
    """Work in the folder; when the block ends well its result is moved to ``out`` and the folder removed.

    When it ends badly the folder stays for the next time, unless it holds no finished rows.

    Args:
        out: where the result belongs.
        overwrite: whether stores there are replaced.
        settings: what the outcomes of rows depend on; rows of other settings are dropped.
        say: tells the user one line.

    Raises:
        MoleblendError: ``out`` cannot be written to, the disk is full, or another build works there.
    """
    folder = stage_folder(out)

    def check() -> None:
        refuse_existing_stores(out, overwrite)  # again: a build may have ended since

    with working(folder, out, settings, say, check) as rows:
        result = _empty(folder / _RESULT)
        yield Stage(rows, result)
        _move(result, out)


@contextmanager
def working(
    folder: Path,
    out: Path,
    settings: dict[str, Any],
    say: Callable[[str], None],
    check: Callable[[], None] = lambda: None,
) -> Iterator[FinishedRows]:
    """Hold the folder, with the rows that are finished; when the block ends well it is removed.

    Args:
        folder: to work in.
        out: what is made, for messages.
        settings: what the outcomes of rows depend on; rows of other settings are dropped.
        say: tells the user one line.
        check: called once the folder is held; raises where nothing is to be made.

    Raises:
        MoleblendError: nothing can be written there, the disk is full, or another build works there.
    """
    try:
        what = f"another build is writing {out}"
        with holding(folder / _LOCK, what, "wait for it or name another --out", make_folder=True):
            check()
            _drop_other_work(folder, settings, say)
            with FinishedRows(folder / _ROWS) as rows, _kept(folder, rows, say):
                yield rows
            _remove(folder)
        with suppress(OSError):  # where a folder with an open file in it could not be removed
            folder.rmdir()
    except OSError as error:
        raise MoleblendError(
            f"cannot write {out} ({error.strerror or error}); name a folder that can be written to and "
            "has free space"
        ) from error


@contextmanager
def _kept(folder: Path, rows: FinishedRows, say: Callable[[str], None]) -> Iterator[None]:
    """Keep the finished rows when the block ends badly, and say so; remove the folder when there are none."""
    try:
        yield
    except BaseException as error:
        if not len(rows) or isinstance(error, NothingToBuild):
            _remove(folder)
        else:
            shutil.rmtree(
                folder / _RESULT, ignore_errors=True
            )  # quick to make again, and the disk may be full
            say(f"{len(rows):,} finished rows are kept in {folder}; run the same command again to resume")
        raise


def _drop_other_work(folder: Path, settings: dict[str, Any], say: Callable[[str], None]) -> None:
    """Remove finished rows of other settings, and write down those of this build."""
    written = folder / _WORK
    try:
        held = json.loads(written.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):  # nothing yet, or ended while it was written
        held = {}
    if held == settings:
        return
    if held and (folder / _ROWS).exists():
        with FinishedRows(folder / _ROWS) as rows:
            count = len(rows)
        changed = ", ".join(name.replace("_", " ") for name in settings if held.get(name) != settings[name])
        say(f"starting again: {count:,} finished rows of an interrupted build differ in {changed}")
    remove(folder / _ROWS)
    with replacing(written) as temporary:
        temporary.write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")


def _empty(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return folder


def _move(result: Path, out: Path) -> None:
    """Bring the files of ``result`` to disk and to ``out``."""
    new = sorted(result.iterdir())
    for file in new:
        sync_file(file)
    if not out.is_dir():
        os.rename(result, out)
        sync_folder(out.parent)
        return
    for part in PARTS:  # a part that the new build does not have must not stay behind
        if not (result / f"{part}.lmdb").exists():
            (out / f"{part}.lmdb").unlink(missing_ok=True)
    for file in new:
        os.replace(file, out / file.name)
    sync_folder(out)


def _remove(folder: Path) -> None:
    """Remove the folder; first its name, so that a build that begins now makes one of its own."""
    gone = folder.with_name(f"{folder.name}.{secrets.token_hex(6)}")
    with suppress(OSError):  # a system that does not rename open files
        folder = folder.rename(gone)
    shutil.rmtree(folder, ignore_errors=True)
