"""Which stereo codes a model sees: what its checkpoint says, and records and stores in those codes.

Models of today are trained on CIP labels, which do not hang on the order of atoms. Published checkpoints, and
those of this package before labels came, were trained on OGB's order-dependent codes and go on seeing them.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import Final, cast, get_args

import numpy as np

from moleblend_plugin.data.store import MoleculeStore
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.schema import MoleculeRecord, StereoCodes
from moleblend_plugin.vocab import CHIRALITY

LABELLED_FROM: Final = 3
"""First version of stores that hold CIP labels."""


def stereo_codes_of(args: argparse.Namespace) -> StereoCodes:
    """The codes that a checkpoint's model was trained on, from its options; OGB's where they say nothing.

    Raises:
        MoleblendError: codes that are unknown here.
    """
    told = getattr(args, "stereo_codes", None) or "ogb"
    if told not in get_args(StereoCodes):
        raise MoleblendError(
            f"the checkpoint was trained on stereo codes {str(told)[:40]!r}, which are unknown here; use the "
            "version that wrote it"
        )
    return cast("StereoCodes", told)


def has_labels(store: MoleculeStore) -> bool:
    """Whether the store holds CIP labels, not OGB's codes alone."""
    return store.meta.schema_version >= LABELLED_FROM


def seen_as(record: MoleculeRecord, codes: StereoCodes) -> MoleculeRecord:
    """``record`` with the chirality that a model was trained on.

    Raises:
        MoleblendError: labels are wanted, but it has stereocentres and OGB's codes of them only.
    """
    given = record.ogb_chirality
    if codes == "cip":
        if given is None and record.atom_codes[:, CHIRALITY].any():
            raise MoleblendError(
                f"{record.row_id} comes from a store of format 2, which holds no CIP labels, but the model "
                "was trained on them; build the store again with 'moleblend build'"
            )
        return record
    if given is None or np.array_equal(given, record.atom_codes[:, CHIRALITY]):
        return record
    atoms = record.atom_codes.copy()
    atoms[:, CHIRALITY] = given
    return replace(record, atom_codes=atoms, ogb_chirality=None)
