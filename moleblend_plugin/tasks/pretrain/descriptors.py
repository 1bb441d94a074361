"""Whether a pretraining run learns descriptors, and which: the store says, the checkpoint keeps it."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

from moleblend_plugin.data.descriptor_scale import DescriptorScale
from moleblend_plugin.data.store.reader import MoleculeStore
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.host import read_checkpoint
from moleblend_plugin.losses.pretrain import DESCRIPTOR_WEIGHT
from moleblend_plugin.tasks.check_input_codes import own_checkpoint


def learned_names(args: Namespace) -> list[str]:
    """Names of the descriptors that a run learns; none for runs of older versions."""
    return list((getattr(args, "descriptors", None) or {}).get("names", ()))


def scale_of(args: Namespace) -> DescriptorScale | None:
    """How a run scales descriptors; ``None`` where it learns none."""
    return DescriptorScale.from_plain(args.descriptors) if learned_names(args) else None


def choose_descriptors(args: Namespace, store: MoleculeStore) -> None:
    """Set ``args.descriptors`` (what ``DescriptorScale.to_plain`` gives, or ``None``) and their weight.

    Args:
        args: the run's options.
        store: what it trains on.

    Raises:
        MoleblendError: a weight but no descriptors, or the run resumes with others.
    """
    held: dict[str, Any] | None = store.meta.settings.get("descriptors")
    weight = getattr(args, "descriptor_weight", None)
    if weight is None:
        weight = DESCRIPTOR_WEIGHT if held else 0.0
    if weight and not held:
        raise MoleblendError(
            f"--descriptor-weight {weight:g}: {store.path} holds no descriptors; build it again with "
            "'moleblend build --descriptors', or leave the flag out"
        )
    args.descriptor_weight = weight
    args.descriptors = held if weight else None
    _check_resumed(args, store)


def check_descriptors(args: Namespace, store: MoleculeStore) -> None:
    """Refuse a store of another split that lacks the descriptors that the run learns.

    Raises:
        MoleblendError: names the store and the remedy.
    """
    names = learned_names(args)
    there = (store.meta.settings.get("descriptors") or {}).get("names", [])
    if names and names != there:
        raise MoleblendError(
            f"{store.path} does not hold the descriptors of the training split; build all parts together "
            "with 'moleblend build --descriptors ... --split'"
        )


def _check_resumed(args: Namespace, store: MoleculeStore) -> None:
    own = own_checkpoint(args)
    if own is None:
        return
    before = read_checkpoint(own, ("model",)).get("args")
    if getattr(before, "descriptors", None) != args.descriptors:
        raise MoleblendError(
            f"{str(own)!r}, which the run resumes, did not learn the descriptors that {store.path} gives; "
            "train on the store of before with the same --descriptor-weight, or choose an empty --save-dir"
        )
