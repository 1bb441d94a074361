"""Descriptors and fingerprints of new molecules, for networks whose head reads some: those of this RDKit."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

import numpy as np

from moleblend_plugin.chem.convert import TOOLKIT
from moleblend_plugin.chem.identity.descriptors import DESCRIPTORS
from moleblend_plugin.chem.identity.featurizers import PROBE_SMILES, featurized, probe_ecfp, probe_values
from moleblend_plugin.chem.identity.sparse_ecfp import ecfp_settings
from moleblend_plugin.data.descriptor_scale import DescriptorScale
from moleblend_plugin.data.feature_probe import described
from moleblend_plugin.data.head_inputs import HeadInputs, Kept
from moleblend_plugin.data.store.reader import MoleculeStore
from moleblend_plugin.schema import MoleculeRecord


def features_here(names: Collection[str]) -> dict[str, dict[str, Any]]:
    """What is installed, as the metadata of stores say it, of "descriptors" and "ecfp"."""
    found = {}
    if "descriptors" in names:
        found["descriptors"] = described(DESCRIPTORS, TOOLKIT, PROBE_SMILES, probe_values())
    if "ecfp" in names:
        found["ecfp"] = ecfp_settings(TOOLKIT) | {"probe": probe_ecfp()}
    return found


def feature_settings(records: Sequence[MoleculeRecord], names: Collection[str]) -> dict[str, dict[str, Any]]:
    """What the metadata of a store of ``records`` say of ``names``, with the scale of their descriptors."""
    found = features_here(names)
    if "descriptors" in found:
        values = [record.descriptors for record in records if record.descriptors is not None]
        scale = DescriptorScale.fit(np.stack(values), DESCRIPTORS, TOOLKIT)
        found["descriptors"] |= scale.to_plain()
    return found


def head_inputs_here(kept: Kept) -> HeadInputs | None:
    """What the head of a run reads of records with this RDKit's descriptors and fingerprints.

    Args:
        kept: what its checkpoint says of them.

    Returns:
        ``None`` where it reads the encoder alone.

    Raises:
        MoleblendError: something is missing here, or computed otherwise than by the RDKit that made the
            training data.
    """
    return HeadInputs.of(kept, features_here(kept), "this installation") if kept else None


def stored_as_here(
    store: MoleculeStore, names: Collection[str]
) -> Callable[[MoleculeRecord], MoleculeRecord]:
    """Gives the records of a store this RDKit's descriptors and fingerprints: their own if they are so."""
    held, here = store.meta.settings, features_here(names)
    own = {name for name in names if _is_same(held.get(name), here[name])}
    rest = [name for name in names if name not in own]
    return lambda record: featurized(record, rest)


def _is_same(held: dict[str, Any] | None, here: dict[str, Any]) -> bool:
    return held is not None and all(held.get(name) == value for name, value in here.items())
