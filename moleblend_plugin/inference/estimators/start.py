"""Where an estimator's training starts from: a bundled network, a checkpoint, or fresh weights."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import NamedTuple

from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.inference.estimators.fit import ARCHITECTURES, PREFIX
from moleblend_plugin.networks.registry import DEFAULT
from moleblend_plugin.networks.resolve import find_checkpoint_file, is_name, named_network

_SCRATCH = "tiny"
"""Size of a network from scratch, where nothing is said."""


class FitStart(NamedTuple):
    """What a fit starts from; fields are those of ``FitConfig``.

    Attributes:
        checkpoint: file of the weights, ``None`` for fresh ones.
        arch: "tiny", "small" or "base"; the checkpoint's own sizes win.
    """

    checkpoint: str | None
    arch: str


def choose_start(checkpoint: str | Path | None, arch: str | None) -> FitStart:
    """What ``checkpoint`` and ``arch`` of an estimator mean.

    Raises:
        MoleblendError: an unknown size, no such file or network, a damaged network, or a network that was
            named with the size of another one.
    """
    if arch is not None and arch not in ARCHITECTURES:
        raise MoleblendError(f"arch={arch!r} is unknown; choose from {', '.join(ARCHITECTURES)}")
    size = arch or _SCRATCH
    if checkpoint is None:
        return FitStart(None, size)
    text = str(checkpoint)
    path = find_checkpoint_file(checkpoint, "checkpoint")
    network = named_network(text) if is_name(text) else None
    if network is None or path != network.path:
        return FitStart(str(path), size)
    own = network.arch.removeprefix(PREFIX)
    if arch in (None, own):
        return FitStart(str(path), own)
    differs = f"arch={arch!r} is not the size of the bundled network {network.name}, which is {own!r}"
    if text != DEFAULT:
        raise MoleblendError(f"{differs}: leave arch out, or set checkpoint=None to train from scratch")
    warnings.warn(
        f"{differs}: training starts from scratch. Set checkpoint=None to say so, or leave arch out to start "
        "from the network",
        stacklevel=4,
    )
    return FitStart(None, size)
