"""What the head of a property run reads beside the encoder: the store says, the checkpoint keeps it."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import Any

import numpy as np

from moleblend_plugin.data.descriptor_scale import DescriptorScale
from moleblend_plugin.data.head_inputs import EXTRA, HeadInputs
from moleblend_plugin.data.store.reader import DamagedValue, MoleculeStore
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.host import read_checkpoint
from moleblend_plugin.models.property.network import HeadConfig
from moleblend_plugin.runs.flags import read_flags
from moleblend_plugin.schema import Float64Array
from moleblend_plugin.tasks.check_input_codes import own_checkpoint
from moleblend_plugin.tasks.property.columns import columns_of


def kept_head_inputs(args: Namespace) -> dict[str, dict[str, Any]]:
    """What the options of a run say of what its head reads: by "descriptors", "ecfp" and :data:`EXTRA`."""
    head = read_flags(args, HeadConfig)
    names = (*head.featurizers, *([EXTRA] if head.extra_descriptors else []))
    return {name: getattr(args, name) for name in names}


def head_input_size(args: Namespace) -> int:
    """F + E + X, how many numbers the head of a run reads beside the encoder."""
    kept = kept_head_inputs(args)
    descriptors = sum(len(kept[name]["names"]) for name in ("descriptors", EXTRA) if name in kept)
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


def choose_extra_descriptors(args: Namespace, store: MoleculeStore) -> None:
    """Set ``args.extra_descriptors``, where the head reads columns, to their scale on the training part.

    Raises:
        MoleblendError: a column holds no number anywhere, or the run resumes with others.
    """
    names = read_flags(args, HeadConfig).extra_descriptors
    if not names:
        return
    values = _values(store, columns_of(store, list(names)))
    for name, column in zip(names, values.T, strict=True):
        if np.isnan(column).all():
            raise MoleblendError(
                f"--descriptors-columns: column {name!r} of {store.path} holds no number: leave it out"
            )
    found = DescriptorScale.fit(values, names, "a table").to_plain()
    own = own_checkpoint(args)
    if own is not None and _kept_by(own, EXTRA) != found:
        raise MoleblendError(
            f"{str(own)!r}, which the run resumes, reads other --descriptors-columns, or other values of "
            "them: train on the store of before, or choose an empty --save-dir"
        )
    setattr(args, EXTRA, found)


def extra_columns_of(args: Namespace, store: MoleculeStore) -> list[int]:
    """Places of the columns that the head reads among those of a store; none where it reads none."""
    names = read_flags(args, HeadConfig).extra_descriptors
    return columns_of(store, list(names)) if names else []


def head_inputs_of(args: Namespace, store: MoleculeStore) -> HeadInputs | None:
    """What the head reads of a store's molecules; ``None`` where it reads the encoder alone.

    Raises:
        MoleblendError: the store lacks it, or another toolkit made it, which computes otherwise.
    """
    kept = kept_head_inputs(args)
    return HeadInputs.of(kept, store.meta.settings, str(store.path)) if kept else None


def _values(store: MoleculeStore, places: list[int]) -> Float64Array:
    """Columns [M, X] of a store, without its damaged rows, which whoever trains on them reports."""
    rows = []
    for index in range(len(store)):
        try:
            rows.append(store[index].targets[places])
        except DamagedValue:
            continue
    return np.array(rows, np.float64).reshape(-1, len(places))


def _kept_by(checkpoint: Path, name: str) -> object:
    return getattr(read_checkpoint(checkpoint, ("model",)).get("args"), name, None)
