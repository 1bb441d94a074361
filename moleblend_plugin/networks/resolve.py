"""What somebody means who names a checkpoint: a file, or a bundled network. The one place that decides."""

from __future__ import annotations

import difflib
import logging
import os
from argparse import Namespace
from pathlib import Path
from typing import Final

from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.networks.registry import (
    DEFAULT,
    FOLDER,
    BundledNetwork,
    bundled_networks,
    default_network,
)

logger = logging.getLogger("moleblend_plugin")

MODEL_FILE: Final = "model.moleblend"
"""The model in a folder that ``moleblend fit`` made: the one file that predicting needs."""


def find_checkpoint_file(given: str | Path, what: str = "checkpoint") -> Path:
    """The file that ``given`` names: its own path, that of the bundled network of this name, or the model in
    a folder of ``moleblend fit``.

    A file that exists wins over a network of the same name, with a warning. "default" always means the
    default network.

    Args:
        given: a path or a name.
        what: what names it, for messages: "checkpoint", or a flag.

    Returns:
        The path of a file that exists; or ``given``, where it is the path of none, for the caller to refuse.
        The file of a bundled network has been compared with its checksum.

    Raises:
        MoleblendError: no file and no network, for a word that can be no path; a damaged network.
    """
    text, path = str(given), Path(given)
    network = named_network(text) if is_name(text) else None
    if text != DEFAULT and path.exists() and not (network and path.is_dir()):
        if network:
            logger.warning(
                f"{what} {text!r} is a file here, which is taken; the bundled network of this name is "
                f"{network.path}"
            )
        return path / MODEL_FILE if (path / MODEL_FILE).is_file() else path
    if network:
        return network.verified()
    if hint := near_names(text):
        raise MoleblendError(f"{what} {text!r} is neither a file nor a bundled network{hint}")
    if _is_word(text):
        raise MoleblendError(
            f"{what} {text!r} is neither a file nor a bundled network: check the path, or choose from "
            f"{', '.join(bundled_networks())}"
        )
    return path


def resolve_start(args: Namespace) -> None:
    """Replace the name of a bundled network in ``args.finetune_from_model`` by its file, for any trainer.

    Raises:
        MoleblendError: as of :func:`find_checkpoint_file`; or a run is to resume from a bundled network.
    """
    resumed = str(args.restore_file)
    if is_name(resumed) and not Path(resumed).exists():
        raise MoleblendError(
            f"--restore-file {resumed!r} is a bundled network, which holds weights and no state of a run: "
            f"give --finetune-from-model {resumed}"
        )
    if args.finetune_from_model:
        found = find_checkpoint_file(args.finetune_from_model, "--finetune-from-model")
        args.finetune_from_model = str(found)


def named_network(text: str) -> BundledNetwork | None:
    """The bundled network that is called ``text``, or that "default" stands for."""
    return default_network() if text == DEFAULT else bundled_networks().get(text)


def is_name(text: str) -> bool:
    """Whether ``text`` is the name of a bundled network, or "default"."""
    return _is_word(text) and named_network(text) is not None


def near_names(text: str) -> str:
    """ ", did you mean ...?" for a word that is nearly the name of a bundled network, else ""."""
    word = text.removesuffix(".pt").lower()
    near = difflib.get_close_matches(word, bundled_networks(), 1) if _is_word(word) else []
    return f": did you mean {near[0]}? ('moleblend models' lists them)" if near else ""


def _is_word(text: str) -> bool:
    """Whether ``text`` is no path: it has neither a folder nor the ending of a file."""
    return bool(text) and not any(mark in text for mark in (os.sep, "/", "\\", "~")) and not Path(text).suffix


def name_or_path(path: str | Path) -> str:
    """How a checkpoint is called outside this installation: the name of a bundled network, else its path."""
    network = _in_any_installation(Path(path))
    return network.name if network else str(path)


def in_this_installation(path: Path) -> Path:
    """The file of the same bundled network here, where ``path`` is its place in any installation."""
    network = _in_any_installation(path)
    return network.path if network else path


def _in_any_installation(path: Path) -> BundledNetwork | None:
    is_bundled = path.suffix == ".pt" and path.parts[-3:-1] == FOLDER.parts[-2:]
    return bundled_networks().get(path.stem) if is_bundled else None
