"""Whether another toolkit computes the descriptors and fingerprints of a run, by a few fixed molecules.

P probe molecules, F descriptors.
"""

from __future__ import annotations

import base64
import binascii
import zlib
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.schema import Float32Array

_TOLERANCE: Final = 1e-4
"""Relative difference, and for small values absolute, beyond which descriptors differ: counts differ by 1,
rounding by a hundredth of this."""

_SHOWN: Final = 6


def described(
    names: Sequence[str], toolkit: str, smiles: Sequence[str], values: Float32Array
) -> dict[str, Any]:
    """What computes descriptors, in plain values: stores and checkpoints keep it beside the scale.

    Args:
        names: of the descriptors, F.
        toolkit: what computed them, such as "RDKit 2026.09.1".
        smiles: the probe molecules, P.
        values: their descriptors [P, F]. They are packed into a line of text, which options are read as.
    """
    packed = base64.b64encode(zlib.compress(np.ascontiguousarray(values, "<f4").tobytes(), 9))
    return {
        "names": list(names),
        "toolkit": toolkit,
        "probe": {"smiles": list(smiles), "values": packed.decode("ascii")},
    }


def check_same_descriptors(wanted: Mapping[str, Any], given: Mapping[str, Any], where: str) -> None:
    """Refuse descriptors that another toolkit computes otherwise.

    Args:
        wanted: what a run keeps of its descriptors: :func:`described`, and maybe more.
        given: the same of a store, or of what is installed.
        where: whose ``given`` are, for the message.

    Raises:
        MoleblendError: names the descriptors that differ, and both versions; or a probe is damaged.
    """
    ours, theirs = str(wanted["toolkit"]), str(given["toolkit"])
    if "probe" not in wanted or "probe" not in given:
        if ours != theirs:
            raise MoleblendError(
                f"the network reads descriptors of {ours}, {where} has those of {theirs}, and whether "
                f"they are the same is not known: {_remedy(ours)}"
            )
        return
    differing = _differing(wanted, given)
    if differing:
        raise MoleblendError(
            f"the network reads descriptors of {ours}, and those of {where} ({theirs}) differ in "
            f"{some(differing)}: {_remedy(ours)}"
        )


def check_same_ecfp(wanted: Mapping[str, Any], given: Mapping[str, Any], where: str) -> None:
    """The same of fingerprints, whose probe is a checksum.

    Raises:
        MoleblendError: they differ.
    """
    ours, theirs = str(wanted["toolkit"]), str(given["toolkit"])
    key = "probe" if "probe" in wanted and "probe" in given else "toolkit"
    if any(wanted.get(name) != given.get(name) for name in ("radius", "bits", key)):
        raise MoleblendError(
            f"the network reads fingerprints of {ours}, and those of {where} ({theirs}) differ: "
            f"{_remedy(ours)}"
        )


def some(names: Sequence[str]) -> str:
    """The first names, and how many more there are."""
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def _differing(wanted: Mapping[str, Any], given: Mapping[str, Any]) -> list[str]:
    """Names of ``wanted`` whose values differ on a molecule that both probes hold."""
    ours, theirs = _values(wanted), _values(given)
    shared = [smiles for smiles in ours if smiles in theirs]
    places = {name: place for place, name in enumerate(given["names"])}
    found = []
    for place, name in enumerate(wanted["names"]):
        left = [ours[smiles][place] for smiles in shared]
        right = [theirs[smiles][places[name]] for smiles in shared] if name in places else left
        if not np.allclose(left, right, rtol=_TOLERANCE, atol=_TOLERANCE, equal_nan=True):
            found.append(name)
    return found


def _values(plain: Mapping[str, Any]) -> dict[str, Float32Array]:
    """Descriptors [F] of every probe molecule."""
    try:
        smiles, packed = plain["probe"]["smiles"], plain["probe"]["values"]
        values = np.frombuffer(zlib.decompress(base64.b64decode(packed)), "<f4")
        rows = values.reshape(len(smiles), len(plain["names"]))
    except (KeyError, TypeError, ValueError, binascii.Error, zlib.error) as error:
        raise MoleblendError(
            f"the probe of descriptors is damaged ({error}): build again with --descriptors"
        ) from error
    return dict(zip(smiles, rows, strict=True))


def _remedy(toolkit: str) -> str:
    name, _, version = toolkit.partition(" ")
    return f"install {name.lower()}=={version}, or build the training data and fine-tune again"
