"""One command at a time writes a file that takes long to make."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def writing(target: Path, overwrite: bool = True) -> Iterator[None]:
    """Hold ``target`` for this command inside the block.

    Args:
        target: the file to be made; its folder must be there.
        overwrite: whether it may replace one that another command has made meanwhile.

    Raises:
        Held: another command is writing it.
        MoleblendError: it is there, and may not be replaced.
    """
    from moleblend_plugin.locks import holding, lock_file

    what = f"another moleblend command is writing {target}"
    with holding(lock_file(target), what, "wait for it, or name another file with --out"):
        refuse_existing(target, overwrite)
        yield


def refuse_existing(out: Path, overwrite: bool) -> None:
    """Raises a :class:`MoleblendError` where ``out`` would be replaced without being asked for."""
    from moleblend_plugin.errors import MoleblendError

    if out.exists() and not overwrite:
        raise MoleblendError(f"--out {out} already exists; name another file or add --overwrite")
