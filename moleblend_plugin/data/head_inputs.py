"""What the head of a property network reads of a molecule beside its atoms: descriptors, fingerprints, and
columns of the table that the molecule stands in.

F descriptors, E columns of a fingerprint, X columns of a table.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from moleblend_plugin.data.descriptor_scale import DescriptorScale
from moleblend_plugin.data.feature_probe import check_same_descriptors, check_same_ecfp, some
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.names import write_names
from moleblend_plugin.schema import Float32Array, MoleculeRecord

Kept = Mapping[str, Mapping[str, Any]]
"""By "descriptors" and "ecfp", what the metadata of stores say of them; by :data:`EXTRA`, a scale."""

EXTRA: Final = "extra_descriptors"
"""Columns of a table, such as temperature and pH: the field of records, and what checkpoints call them."""


@dataclass(frozen=True, slots=True, eq=False)
class HeadInputs:
    """Records to what the head reads of them.

    Descriptors are found by name and scaled, and a missing one is the training mean, 0; so are columns of a
    table. Counts of ECFP become log(1 + count).

    Attributes:
        scale: fitted on training molecules; ``None`` reads no descriptors.
        columns: places of its names among the records' descriptors, int64 [F].
        ecfp_bits: E; 0 reads no fingerprint.
        extra: the scale of X columns of a table; ``None`` reads none.
    """

    scale: DescriptorScale | None
    columns: npt.NDArray[np.int64]
    ecfp_bits: int = 0
    extra: DescriptorScale | None = None

    @classmethod
    def of(cls, wanted: Kept, given: Kept, where: str) -> HeadInputs:
        """Those of a run.

        Args:
            wanted: what the run reads.
            given: what the records have.
            where: whose they are, for messages.

        Raises:
            MoleblendError: the records lack something, or another toolkit made it, which computes otherwise.
        """
        for name in wanted:
            if name != EXTRA and not given.get(name):
                raise MoleblendError(
                    f"{where} holds no {name}; build it again with 'moleblend build --{name}'"
                )
        scale, columns, bits = None, np.empty(0, np.int64), 0
        if "descriptors" in wanted:
            scale = DescriptorScale.from_plain(wanted["descriptors"])
            columns = _places(scale.names, given["descriptors"]["names"], where)
            check_same_descriptors(wanted["descriptors"], given["descriptors"], where)
        if "ecfp" in wanted:
            bits = int(wanted["ecfp"]["bits"])
            check_same_ecfp(wanted["ecfp"], given["ecfp"], where)
        extra = DescriptorScale.from_plain(wanted[EXTRA]) if EXTRA in wanted else None
        return cls(scale, columns, bits, extra)

    def __call__(self, record: MoleculeRecord) -> Float32Array:
        """float32 [F + E + X].

        Raises:
            MoleblendError: the record lacks them.
        """
        parts = []
        if self.scale is not None:
            if record.descriptors is None:
                raise _lacks(record, "descriptors")
            parts.append(np.nan_to_num(self.scale(record.descriptors[self.columns]), nan=0.0))
        if self.ecfp_bits:
            if record.ecfp is None:
                raise _lacks(record, "ecfp")
            counts = np.zeros(self.ecfp_bits, np.float32)
            counts[record.ecfp[:, 0]] = np.log1p(record.ecfp[:, 1].astype(np.float32))
            parts.append(counts)
        if self.extra is not None:
            if record.extra_descriptors is None:
                raise lacks_extra(record, self.extra.names)
            parts.append(np.nan_to_num(self.extra(record.extra_descriptors), nan=0.0))
        return np.concatenate(parts)


def _places(names: tuple[str, ...], there: list[str], where: str) -> npt.NDArray[np.int64]:
    places = {name: place for place, name in enumerate(there)}
    missing = [name for name in names if name not in places]
    if missing:
        raise MoleblendError(
            f"{where} lacks descriptors that the network reads: {some(missing)}; use the package and RDKit "
            "that its training data were built with, or build those again with 'moleblend build "
            "--descriptors' and train again"
        )
    return np.array([places[name] for name in names], np.int64)


def lacks_extra(record: MoleculeRecord, names: Sequence[str]) -> MoleblendError:
    """The error for a molecule without the columns ``names``."""
    return MoleblendError(
        f"{record.row_id} has no {write_names(names, ', ')}, which the model reads beside the molecule: give "
        "them as columns of a table"
    )


def _lacks(record: MoleculeRecord, name: str) -> MoleblendError:
    return MoleblendError(f"{record.row_id} has no {name}: build again with 'moleblend build --{name}'")
