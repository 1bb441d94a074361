"""What the head of a property network reads of a molecule beside its atoms: scaled descriptors.

F descriptors.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from moleblend_plugin.data.descriptor_probe import some
from moleblend_plugin.data.descriptor_scale import DescriptorScale
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.schema import Float32Array, MoleculeRecord


@dataclass(frozen=True, slots=True, eq=False)
class HeadInputs:
    """Records to what the head reads: values are found by name, and a missing one is the training mean, 0.

    Attributes:
        scale: fitted on training molecules.
        columns: places of its names among the records' descriptors, int64 [F].
    """

    scale: DescriptorScale
    columns: npt.NDArray[np.int64]

    @classmethod
    def of(cls, plain: Mapping[str, Any], there: Sequence[str], where: str) -> HeadInputs:
        """Those of a run.

        Args:
            plain: what the run keeps of its descriptors (``DescriptorScale.to_plain``).
            there: names of the records' descriptors.
            where: whose they are, for the message.

        Raises:
            MoleblendError: the run reads descriptors that the records lack, or what it keeps is damaged.
        """
        scale, places = DescriptorScale.from_plain(plain), {name: place for place, name in enumerate(there)}
        missing = [name for name in scale.names if name not in places]
        if missing:
            raise MoleblendError(
                f"{where} lacks descriptors that the network reads: {some(missing)}; use the package and "
                "RDKit that its training data were built with, or build those again with 'moleblend build "
                "--descriptors' and train again"
            )
        return cls(scale, np.array([places[name] for name in scale.names], np.int64))

    def __call__(self, record: MoleculeRecord) -> Float32Array:
        """Scaled values, float32 [F].

        Raises:
            MoleblendError: the record has no descriptors.
        """
        if record.descriptors is None:
            raise MoleblendError(
                f"{record.row_id} has no descriptors: build again with 'moleblend build --descriptors'"
            )
        return np.nan_to_num(self.scale(record.descriptors[self.columns]), nan=0.0)
