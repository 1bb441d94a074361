"""Fingerprints of a set's molecules, kept on disk: descriptors take longer than the forest on them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from moleblend_plugin.baselines.features import FEATURES, joined
from moleblend_plugin.bench.run.split_arrays import PartArrays
from moleblend_plugin.chem.convert import TOOLKIT
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.files import replacing

KEPT: Final = frozenset({"descriptors"})
"""Features that take long to make."""


def features_of(part: PartArrays, names: Sequence[str], folder: Path) -> npt.NDArray[Any]:
    """Features [M, F] of a part, side by side; slow ones are kept in ``folder``.

    Raises:
        MoleblendError: RDKit cannot do a molecule that it wrote itself.
    """
    return joined([_block(part, name, folder) for name in names])


def _block(part: PartArrays, name: str, folder: Path) -> npt.NDArray[Any]:
    if name not in KEPT:
        return _all_done(part, FEATURES[name](part.smiles))
    text = "\n".join([TOOLKIT, *part.smiles])
    path = folder / f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:16]}.npy"
    try:
        found: npt.NDArray[Any] = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError, BadZipFile):
        found = _all_done(part, FEATURES[name](part.smiles))
        folder.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary, temporary.open("wb") as stream:
            np.save(stream, found)
    return found


def _all_done(part: PartArrays, features: Any) -> npt.NDArray[Any]:  # noqa: ANN401  FeatureRows
    for number, reason in features.reasons.items():
        raise MoleblendError(f"{part.ids[number]} has no fingerprint ({reason}): build the store again")
    values: npt.NDArray[Any] = features.values
    return values
