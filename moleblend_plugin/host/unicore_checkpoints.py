"""How Uni-Core's checkpoints get their names: at once, each complete or not at all.

Uni-Core writes a checkpoint to ``--tmp-save-dir``, and a thread copies it over the earlier files of the run.
Where a copy fails, a log line says so, the earlier file is lost, and the run ends with exit code 0.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from moleblend_plugin.trainer.checkpoints.file import cannot_write, duplicate

Copying = Callable[[str, list[str], bool, Namespace], None]


def give_names(source: Path, names: list[Path]) -> None:
    """Give a checkpoint its names; it loses its first one where that is none of them.

    Raises:
        MoleblendError: a name cannot be given; what had it before is as it was.
    """
    for name in names:
        if name != source:
            try:
                duplicate(source, name)
            except OSError as error:
                raise cannot_write(name, error) from error
    if source not in names:
        source.unlink(missing_ok=True)


class _AtOnce:
    """In place of Uni-Core's thread: does what is asked before it returns, so that an error ends the run."""

    def apply_async(self, copy: Copying, arguments: tuple[str, list[str], bool, Namespace]) -> None:
        """Name the checkpoint; Uni-Core's function, with nothing left to copy, removes the oldest ones."""
        source, names, end_of_epoch, args = arguments
        give_names(Path(source), [Path(name) for name in names])
        copy(source, [source], end_of_epoch, args)


def place_checkpoints_at_once() -> None:
    """Change how Uni-Core saves in this process, once."""
    module: Any = import_module("unicore.checkpoint_utils")
    theirs = module.save_checkpoint
    if getattr(theirs, "at_once", False):
        return

    def save_checkpoint(args: Namespace, *parts: Any, do_save: bool = True) -> None:
        *parts_of_run, thread = parts  # trainer, batches, score of the validation
        theirs(args, *parts_of_run, thread and _AtOnce(), do_save)

    save_checkpoint.at_once = True  # type: ignore[attr-defined]
    module.save_checkpoint = save_checkpoint  # the best score is an attribute of what has this name
