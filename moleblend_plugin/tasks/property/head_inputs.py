"""What the head of a property run reads beside the encoder: the store says, the checkpoint keeps it."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

from moleblend_plugin.data.descriptor_probe import check_same_descriptors
from moleblend_plugin.data.head_inputs import HeadInputs
from moleblend_plugin.data.store.reader import MoleculeStore
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.host import read_checkpoint
from moleblend_plugin.models.property.network import HeadConfig
from moleblend_plugin.runs.flags import read_flags
from moleblend_plugin.tasks.check_input_codes import own_checkpoint


def head_input_names(args: Namespace) -> list[str]:
    """Names of what the head of a run reads, F of them; none where it reads the encoder alone."""
    if read_flags(args, HeadConfig).molecule_featurizers == "none":
        return []
    return list(args.descriptors["names"])


def choose_head_inputs(args: Namespace, store: MoleculeStore) -> None:
    """Set ``args.descriptors`` where the head reads some: names, scale, toolkit and probe, of the store.

    Raises:
        MoleblendError: the store holds none, or the run resumes with others.
    """
    if read_flags(args, HeadConfig).molecule_featurizers == "none":
        return
    args.descriptors, own = _held(store), own_checkpoint(args)
    if own is None:
        return
    before = read_checkpoint(own, ("model",)).get("args")
    if getattr(before, "descriptors", None) != args.descriptors:
        raise MoleblendError(
            f"{str(own)!r}, which the run resumes, reads other descriptors than {store.path} holds: "
            "train on the store of before, or choose an empty --save-dir"
        )


def head_inputs_of(args: Namespace, store: MoleculeStore) -> HeadInputs | None:
    """What the head reads of a store's molecules, found by name; ``None`` where it reads the encoder alone.

    Raises:
        MoleblendError: the store holds none, lacks some, or holds those of a toolkit that computes otherwise.
    """
    if not head_input_names(args):
        return None
    held = _held(store)
    check_same_descriptors(args.descriptors, held, str(store.path))
    return HeadInputs.of(args.descriptors, held["names"], str(store.path))


def _held(store: MoleculeStore) -> dict[str, Any]:
    held: dict[str, Any] | None = store.meta.settings.get("descriptors")
    if not held:
        raise MoleblendError(
            f"--molecule-featurizers descriptors: {store.path} holds no descriptors; build it again with "
            "'moleblend build --descriptors'"
        )
    return held
