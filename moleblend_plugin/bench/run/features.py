"""Features and vectors of a set's molecules; what takes longer than the forest on it is kept on disk."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from moleblend_plugin.baselines.features import FEATURES, joined
from moleblend_plugin.bench.run.split_arrays import PartArrays
from moleblend_plugin.bench.run.usage import MADE, cpu_seconds
from moleblend_plugin.chem.convert import TOOLKIT
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.files import replacing

SLOW: Final = frozenset({"descriptors"})
"""Features that are kept."""


class PartFeatures(NamedTuple):
    """Features of a part.

    Attributes:
        values: [M, F].
        kept_cpu_seconds: what it took to make those that were found on disk.
    """

    values: npt.NDArray[Any]
    kept_cpu_seconds: float = 0.0


def features_of(part: PartArrays, names: Sequence[str], folder: Path) -> PartFeatures:
    """Features side by side; slow ones are kept in ``folder``.

    Raises:
        MoleblendError: RDKit cannot do a molecule that it wrote itself.
    """
    return beside([_block(part, name, folder) for name in names])


def beside(blocks: Sequence[PartFeatures]) -> PartFeatures:
    """Blocks side by side."""
    return PartFeatures(joined([one.values for one in blocks]), sum(one.kept_cpu_seconds for one in blocks))


def _block(part: PartArrays, name: str, folder: Path) -> PartFeatures:
    def make() -> npt.NDArray[Any]:
        return _all_done(part, FEATURES[name](part.smiles))

    return kept(folder, name, [TOOLKIT, *part.smiles], make) if name in SLOW else PartFeatures(make())


def kept(folder: Path, name: str, of: Sequence[str], make: Callable[[], npt.NDArray[Any]]) -> PartFeatures:
    """An array that was made before, or is made now and kept.

    Args:
        folder: where such arrays lie.
        name: begins the name of the file.
        of: everything that the array depends on.
        make: makes it.
    """
    path = folder / f"{name}-{hashlib.sha256(chr(10).join(of).encode()).hexdigest()[:16]}.npz"
    try:
        with np.load(path, allow_pickle=False) as archive:
            cost = 0.0 if path.name in MADE else float(archive["cpu_seconds"])
            return PartFeatures(archive["values"], cost)
    except (OSError, ValueError, EOFError, KeyError, BadZipFile):
        before = cpu_seconds()
        values = make()
        used = cpu_seconds() - before
    folder.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary, temporary.open("wb") as stream:
        np.savez(stream, values=values, cpu_seconds=np.float64(used))
    MADE.add(path.name)
    return PartFeatures(values)


def _all_done(part: PartArrays, features: Any) -> npt.NDArray[Any]:  # noqa: ANN401  FeatureRows
    for number, reason in features.reasons.items():
        raise MoleblendError(f"{part.ids[number]} has no fingerprint ({reason}): build the store again")
    values: npt.NDArray[Any] = features.values
    return values
