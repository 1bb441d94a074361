"""What the head of a property run reads beside the encoder: the store says, the checkpoint keeps it."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import Any

from moleblend_plugin.data.head_inputs import HeadInputs
from moleblend_plugin.data.store.reader import MoleculeStore
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.host import read_checkpoint
from moleblend_plugin.models.property.network import HeadConfig
from moleblend_plugin.runs.flags import read_flags
from moleblend_plugin.tasks.check_input_codes import own_checkpoint


def kept_head_inputs(args: Namespace) -> dict[str, dict[str, Any]]:
    """What the options of a run say of what its head reads: by "descriptors" and "ecfp", else nothing."""
    return {name: getattr(args, name) for name in read_flags(args, HeadConfig).featurizers}


def head_input_size(args: Namespace) -> int:
    """F + E, how many numbers the head of a run reads beside the encoder."""
    kept = kept_head_inputs(args)
    descriptors = len(kept["descriptors"]["names"]) if "descriptors" in kept else 0
    return descriptors + (int(kept["ecfp"]["bits"]) if "ecfp" in kept else 0)


def choose_head_inputs(args: Namespace, store: MoleculeStore) -> None:
    """Set ``args.descriptors`` and ``args.ecfp``, where the head reads them, to what the store says of them.

    Raises:
        MoleblendError: the store holds none, or the run resumes with others.
    """
    for name in read_flags(args, HeadConfig).featurizers:
        held = store.meta.settings.get(name)
        if not held:
            raise MoleblendError(
                f"--molecule-featurizers {args.molecule_featurizers}: {store.path} holds no {name}; build it "
                f"again with 'moleblend build --{name}'"
            )
        setattr(args, name, held)
        own = own_checkpoint(args)
        if own is not None and _kept_by(own, name) != held:
            raise MoleblendError(
                f"{str(own)!r}, which the run resumes, reads other {name} than {store.path} holds: "
                "train on the store of before, or choose an empty --save-dir"
            )


def head_inputs_of(args: Namespace, store: MoleculeStore) -> HeadInputs | None:
    """What the head reads of a store's molecules; ``None`` where it reads the encoder alone.

    Raises:
        MoleblendError: the store lacks it, or another toolkit made it, which computes otherwise.
    """
    kept = kept_head_inputs(args)
    return HeadInputs.of(kept, store.meta.settings, str(store.path)) if kept else None


def _kept_by(checkpoint: Path, name: str) -> object:
    return getattr(read_checkpoint(checkpoint, ("model",)).get("args"), name, None)
