"""The transform of a build's descriptors, which its stores keep beside the raw values."""

from __future__ import annotations

from itertools import compress
from typing import Any, Final

import numpy as np

from moleblend_plugin.building.finished_rows import FinishedRows
from moleblend_plugin.chem.convert import TOOLKIT
from moleblend_plugin.chem.identity.descriptors import DESCRIPTORS
from moleblend_plugin.chem.identity.featurizers import PROBE_SMILES, probe_values
from moleblend_plugin.data.descriptor_scale import DescriptorScale
from moleblend_plugin.data.feature_probe import described
from moleblend_plugin.data.store.record_codec import decode_record
from moleblend_plugin.schema import PARTS

_MOST: Final = 50_000
"""Molecules that the transform is fitted on: 40 MB of numbers, enough for quantiles of one in a thousand."""


def descriptor_settings(rows: FinishedRows, parts: bytes) -> dict[str, Any]:
    """What stores keep of their descriptors: names, toolkit, transform and the values of probe molecules."""
    probe = described(DESCRIPTORS, TOOLKIT, PROBE_SMILES, probe_values())
    return fit_scale(rows, parts).to_plain() | probe


def fit_scale(rows: FinishedRows, parts: bytes) -> DescriptorScale:
    """The transform, fitted on training molecules, evenly chosen where there are very many.

    Args:
        rows: finished rows, with descriptors.
        parts: part (index into ``PARTS``) of every molecule. Without a training part all count.
    """
    train = PARTS.index("train")
    wanted = [part == train for part in parts] if train in parts else [True] * len(parts)
    step = max(1, -(-sum(wanted) // _MOST))
    values = [
        found
        for number, molecule in enumerate(compress(rows.molecules(), wanted))
        if number % step == 0 and (found := decode_record(molecule.value).descriptors) is not None
    ]
    table = np.stack(values) if values else np.empty((0, len(DESCRIPTORS)), np.float32)
    return DescriptorScale.fit(table, DESCRIPTORS, TOOLKIT)
