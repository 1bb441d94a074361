"""Whether pretraining learns descriptors and ECFP, and which: the store says, the checkpoint keeps it."""

from __future__ import annotations

from argparse import Namespace
from typing import Any, Final, NamedTuple

from moleblend_plugin.data.descriptor_scale import DescriptorScale
from moleblend_plugin.data.store.reader import MoleculeStore
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.host import read_checkpoint
from moleblend_plugin.losses.pretrain import DESCRIPTOR_WEIGHT, ECFP_WEIGHT
from moleblend_plugin.tasks.check_input_codes import own_checkpoint


class _Kind(NamedTuple):
    """What a store may hold of its molecules: its name in the metadata and in options, and its weight."""

    name: str
    weight: str
    default: float
    what: str
    flag: str


_KINDS: Final = (
    _Kind("descriptors", "descriptor_weight", DESCRIPTOR_WEIGHT, "descriptors", "--descriptors"),
    _Kind("ecfp", "ecfp_weight", ECFP_WEIGHT, "fingerprints", "--ecfp"),
)


def learned_names(args: Namespace) -> list[str]:
    """Names of the descriptors that a run learns; none for runs of older versions."""
    return list((getattr(args, "descriptors", None) or {}).get("names", ()))


def scale_of(args: Namespace) -> DescriptorScale | None:
    """How a run scales descriptors; ``None`` where it learns none."""
    return DescriptorScale.from_plain(args.descriptors) if learned_names(args) else None


def ecfp_bits(args: Namespace) -> int:
    """Length of the fingerprints that a run learns; 0 where it learns none."""
    return int((getattr(args, "ecfp", None) or {}).get("bits", 0))


def choose_molecule_terms(args: Namespace, store: MoleculeStore) -> None:
    """Set ``args.descriptors`` and ``args.ecfp`` (what the store says, or ``None``) and their weights.

    Args:
        args: the run's options.
        store: what it trains on.

    Raises:
        MoleblendError: a weight of what the store lacks, or the run resumes with others.
    """
    for kind in _KINDS:
        held: dict[str, Any] | None = store.meta.settings.get(kind.name)
        weight = getattr(args, kind.weight, None)
        if weight is None:
            weight = kind.default if held else 0.0
        if weight and not held:
            flag = "--" + kind.weight.replace("_", "-")
            raise MoleblendError(
                f"{flag} {weight:g}: {store.path} holds no {kind.what}; build it again with 'moleblend build "
                f"{kind.flag}', or leave the flag out"
            )
        setattr(args, kind.weight, weight)
        setattr(args, kind.name, held if weight else None)
    _check_resumed(args, store)


def check_molecule_terms(args: Namespace, store: MoleculeStore) -> None:
    """Refuse a store of another split that lacks what the run learns.

    Raises:
        MoleblendError: names the store and the remedy.
    """
    for kind in _KINDS:
        wanted = getattr(args, kind.name, None)
        if wanted and store.meta.settings.get(kind.name) != wanted:
            raise MoleblendError(
                f"{store.path} does not hold the {kind.what} of the training split; build all parts together "
                f"with 'moleblend build {kind.flag} ... --split'"
            )


def _check_resumed(args: Namespace, store: MoleculeStore) -> None:
    own = own_checkpoint(args)
    if own is None:
        return
    before = read_checkpoint(own, ("model",)).get("args")
    for kind in _KINDS:
        if getattr(before, kind.name, None) != getattr(args, kind.name):
            flag = "--" + kind.weight.replace("_", "-")
            raise MoleblendError(
                f"{str(own)!r}, which the run resumes, did not learn the {kind.what} that {store.path} "
                f"gives; train on the store of before with the same {flag}, or choose an empty --save-dir"
            )
