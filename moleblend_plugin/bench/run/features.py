"""Fingerprints of a set's molecules, kept on disk: descriptors take longer than the forest on them."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from moleblend_plugin.bench.run.split_arrays import PartArrays
from moleblend_plugin.chem.convert import TOOLKIT
from moleblend_plugin.chem.identity.fingerprints import descriptors, ecfp4
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.files import replacing


def features_of(part: PartArrays, kind: str, folder: Path) -> npt.NDArray[Any]:
    """Features [M, F] of a part: ECFP4 bits, or descriptors that are kept in ``folder``.

    Raises:
        MoleblendError: RDKit cannot do a molecule that it wrote itself.
    """
    if kind.startswith("ecfp4"):
        return _all_done(part, ecfp4(part.smiles))
    text = "\n".join([TOOLKIT, *part.smiles])
    path = folder / f"descriptors-{hashlib.sha256(text.encode()).hexdigest()[:16]}.npy"
    try:
        found: npt.NDArray[Any] = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError, BadZipFile):
        found = _all_done(part, descriptors(part.smiles))
        folder.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary, temporary.open("wb") as stream:
            np.save(stream, found)
    return found


def _all_done(part: PartArrays, features: Any) -> npt.NDArray[Any]:  # noqa: ANN401  FeatureRows
    for number, reason in features.reasons.items():
        raise MoleblendError(f"{part.ids[number]} has no fingerprint ({reason}): build the store again")
    values: npt.NDArray[Any] = features.values
    return values
