"""The transform of a build's descriptors, which its stores keep beside the raw values."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate, compress
from typing import Any, Final

import numpy as np
import numpy.typing as npt

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

Descriptors = npt.NDArray[np.float32]
ValuesOf = Callable[[Sequence[bool]], Iterator[Descriptors | None]]
"""Gives the descriptors of the molecules for which a sequence says so, in their order."""


def descriptor_settings(values: ValuesOf, parts: bytes) -> dict[str, Any]:
    """What stores keep of their descriptors: names, toolkit, transform and the values of probe molecules."""
    probe = described(DESCRIPTORS, TOOLKIT, PROBE_SMILES, probe_values())
    return fit_scale(values, parts).to_plain() | probe


def fit_scale(values: ValuesOf, parts: bytes) -> DescriptorScale:
    """The transform, fitted on training molecules, evenly chosen where there are very many.

    Args:
        values: gives the descriptors of chosen molecules.
        parts: part (index into ``PARTS``) of every molecule. Without a training part all count.
    """
    train = PARTS.index("train")
    wanted = [part == train for part in parts] if train in parts else [True] * len(parts)
    step = max(1, -(-sum(wanted) // _MOST))
    before = accumulate(wanted, initial=0)
    chosen = [taken and number % step == 0 for taken, number in zip(wanted, before, strict=False)]
    found = [value for value in values(chosen) if value is not None]
    table = np.stack(found) if found else np.empty((0, len(DESCRIPTORS)), np.float32)
    return DescriptorScale.fit(table, DESCRIPTORS, TOOLKIT)


def values_of(rows: FinishedRows) -> ValuesOf:
    """Descriptors of finished rows."""

    def values(chosen: Sequence[bool]) -> Iterator[Descriptors | None]:
        for molecule in compress(rows.molecules(), chosen):
            yield decode_record(molecule.value).descriptors

    return values
