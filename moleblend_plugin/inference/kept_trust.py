"""How far to trust a model, in its file: of a single network a key of its checkpoint's options.

A file of several networks has pieces of their own for it (:mod:`moleblend_plugin.inference.ensemble_file`).
"""

from __future__ import annotations

import argparse
import io
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import numpy as np
import torch

from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.host import read_checkpoint
from moleblend_plugin.label_kinds import ColumnKind
from moleblend_plugin.trust.file import TrustFile, read_trust
from moleblend_plugin.trust.model import Trust

KEY: Final = "trust"


def with_trust(checkpoint: bytes, kept: TrustFile) -> bytes:
    """A single network's checkpoint that says how far to trust it, as its file's bytes."""
    with TemporaryDirectory(prefix="moleblend-") as folder:
        path = Path(folder, "checkpoint.pt")
        path.write_bytes(checkpoint)
        state = read_checkpoint(path)
    # A tensor, because torch's weights_only writes bytes as text of twice their length.
    arrays = torch.from_numpy(np.frombuffer(kept.arrays, np.uint8).copy())
    setattr(state["args"], KEY, {"about": kept.about, "arrays": arrays})
    packed = io.BytesIO()
    torch.save(state, packed)
    return packed.getvalue()


def trust_in(args: argparse.Namespace) -> TrustFile | None:
    """What a checkpoint's options hold, ``None`` where they hold nothing.

    Raises:
        MoleblendError: it is none.
    """
    kept = getattr(args, KEY, None)
    if kept is None:
        return None
    if not isinstance(kept, dict) or not isinstance(kept.get("arrays"), torch.Tensor):
        raise MoleblendError("what it says of its trust in predictions is not sound: save the model again")
    return TrustFile(kept.get("about") or {}, kept["arrays"].numpy().tobytes())


def checked_trust(
    kept: TrustFile | None, names: tuple[str, ...], kinds: tuple[ColumnKind, ...]
) -> Trust | None:
    """The trust of a model of these targets.

    Raises:
        MoleblendError: it is not sound, or of another model.
    """
    if kept is None:
        return None
    found = read_trust(kept)
    if (found.names, found.column_kinds) != (names, kinds):
        raise MoleblendError(
            f"its trust in predictions is of {found.kind} of {', '.join(found.names)}, not of its own "
            "targets: save the model again"
        )
    return found
