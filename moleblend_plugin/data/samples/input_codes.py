"""Which codes a model sees: what its checkpoint says, and records in those codes (``schema.InputCodes``).

Models of today are trained on codes that do not hang on the order of atoms. Published checkpoints, and those
of this package before it had such codes, were trained on the order-dependent ones and go on seeing them.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Final, cast, get_args

from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.schema import InputCodes, MoleculeRecord, UInt8Array
from moleblend_plugin.vocab import CHIRALITY

if TYPE_CHECKING:
    from moleblend_plugin.data.store.reader import MoleculeStore

LABELLED_FROM: Final = 3
"""First version of stores that hold CIP labels."""


def input_codes_of(args: argparse.Namespace) -> InputCodes:
    """The codes that a checkpoint's model was trained on, by its options; "published" if they say nothing.

    Raises:
        MoleblendError: codes that are unknown here.
    """
    named = getattr(args, "input_codes", None) or "published"
    if named not in get_args(InputCodes):
        raise MoleblendError(
            f"the checkpoint was trained on input codes {str(named)[:40]!r}, which are unknown here; use the "
            "version that wrote it"
        )
    return cast("InputCodes", named)


def has_labels(store: MoleculeStore) -> bool:
    """Whether the store holds CIP labels, not OGB's codes alone."""
    return store.meta.schema_version >= LABELLED_FROM


def atom_codes_as(record: MoleculeRecord, codes: InputCodes | None) -> UInt8Array:
    """Atom codes uint8 [N, 9] of ``record`` with the chirality of ``codes``; ``None``: as they are stored.

    Raises:
        MoleblendError: labels are wanted, but it has stereocentres and OGB's codes of them only.
    """
    given = record.ogb_chirality
    if codes == "invariant" and given is None and record.atom_codes[:, CHIRALITY].any():
        raise MoleblendError(
            f"{record.row_id} comes from a store of format 2, which holds no CIP labels, but the model was "
            "trained on them; build the store again with 'moleblend build'"
        )
    if codes != "published" or given is None:
        return record.atom_codes
    atoms = record.atom_codes.copy()
    atoms[:, CHIRALITY] = given
    return atoms
