"""Descriptors of new molecules for a network whose head reads some: computed and scaled as in training."""

from __future__ import annotations

import argparse
from typing import Any

from moleblend_plugin.chem.convert import TOOLKIT
from moleblend_plugin.chem.identity.descriptor_probe import PROBE_SMILES, probe_values
from moleblend_plugin.chem.identity.descriptors import DESCRIPTORS
from moleblend_plugin.data.descriptor_probe import check_same_descriptors, described
from moleblend_plugin.data.head_inputs import HeadInputs
from moleblend_plugin.data.store.reader import MoleculeStore
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.tasks.property.head_inputs import head_input_names

_HERE = "this installation"


def descriptors_here() -> dict[str, Any]:
    """Names, toolkit and probe of what is installed."""
    return described(DESCRIPTORS, TOOLKIT, PROBE_SMILES, probe_values())


def head_inputs_here(args: argparse.Namespace) -> HeadInputs | None:
    """What the head of a run reads of records with the descriptors of :func:`descriptors_here`.

    Returns:
        ``None`` where it reads the encoder alone.

    Raises:
        MoleblendError: what is installed lacks some of them, or computes them otherwise than the RDKit that
            made the training data.
    """
    if not head_input_names(args):
        return None
    inputs = HeadInputs.of(args.descriptors, DESCRIPTORS, _HERE)
    check_same_descriptors(args.descriptors, descriptors_here(), _HERE)
    return inputs


def stored_head_inputs(args: argparse.Namespace, store: MoleculeStore) -> HeadInputs | None:
    """The same of the records of a store, found by name.

    Returns:
        ``None`` also where the store holds no descriptors, not all of them, or those of an RDKit that
        computes otherwise: they have to be computed.
    """
    held = store.meta.settings.get("descriptors")
    if not held or not head_input_names(args):
        return None
    try:
        check_same_descriptors(args.descriptors, held, str(store.path))
        return HeadInputs.of(args.descriptors, held["names"], str(store.path))
    except MoleblendError:
        return None
