"""Codes in words, for people who look into a store. Legend: N atoms."""

from __future__ import annotations

from typing import Final

import numpy as np

from moleblend_plugin.chem.elements import SYMBOLS
from moleblend_plugin.data.samples.featurize import Features
from moleblend_plugin.schema import RELATIONS, MoleculeRecord
from moleblend_plugin.vocab import ATOM_FEATURES, BOND, BOND_FEATURES, CHIRALITY, CIP_LABELS, SPD

_CHIRALITY: Final = {
    "CHI_UNSPECIFIED": "",
    "CHI_TETRAHEDRAL_CW": "clockwise",
    "CHI_TETRAHEDRAL_CCW": "counter-clockwise",
    "misc": "other",
}
_STEREO: Final = {
    "STEREONONE": "",
    "STEREOZ": "Z",
    "STEREOE": "E",
    "STEREOCIS": "cis",
    "STEREOTRANS": "trans",
}

ATOM_HEADER: Final = (
    "atom", "element", "charge", "neighbours", "H", "radical", "hybrid", "chirality", "aromatic", "ring",
    "x", "y", "z",
)  # fmt: skip


def symbol(record: MoleculeRecord, atom: int) -> str:
    """Element and number of an atom, such as ``C4``."""
    number = ATOM_FEATURES[0].decode(int(record.atom_codes[atom, 0]))
    return f"{'*' if number == 'misc' else SYMBOLS[int(number)]}{atom}"


def atom_row(record: MoleculeRecord, atom: int, conformer: int) -> tuple[str, ...]:
    """One line of the table of atoms (``ATOM_HEADER``). Neighbours count hydrogens, as OGB's degree does."""
    words = [str(f.decode(int(code))) for f, code in zip(ATOM_FEATURES, record.atom_codes[atom], strict=True)]
    _, _, degree, charge, hydrogens, radicals, hybrid, aromatic, ring = words
    places = ("", "", "")
    if record.coords is not None:
        x, y, z = (f"{value:.3f}" for value in record.coords[conformer, atom])
        places = (x, y, z)
    return (
        symbol(record, atom),
        symbol(record, atom).rstrip("0123456789"),
        f"{int(charge):+d}" if charge not in ("0", "misc") else charge,
        degree,
        hydrogens,
        "" if radicals == "0" else radicals,
        hybrid,
        chirality_word(record, atom),
        "yes" if aromatic == "True" else "",
        "yes" if ring == "True" else "",
        *places,
    )


def chirality_word(record: MoleculeRecord, atom: int) -> str:
    """CIP label and OGB's sense, such as ``R, clockwise``; of a store of format 2 the sense alone."""
    column = int(record.atom_codes[atom, CHIRALITY])
    sense = column if record.ogb_chirality is None else int(record.ogb_chirality[atom])
    sense_name = str(ATOM_FEATURES[CHIRALITY].decode(sense))
    words = [_CHIRALITY.get(sense_name, sense_name)]
    if record.ogb_chirality is not None:
        words.insert(0, str(CIP_LABELS.decode(column)) if column else "")
    return ", ".join(word for word in words if word)


def bond_words(codes: tuple[int, int, int]) -> str:
    """Type, stereo and conjugation of a bond from its OGB codes, such as ``double, Z, conjugated``."""
    kind, stereo, conjugated = (
        feature.decode(code) for feature, code in zip(BOND_FEATURES, codes, strict=True)
    )
    kind_word = "other (dative, ...)" if kind == "misc" else str(kind).lower()
    stereo_word = _STEREO.get(str(stereo), str(stereo).removeprefix("STEREO").lower())
    return ", ".join(word for word in (kind_word, stereo_word, "conjugated" if conjugated else "") if word)


def path_words(features: Features, i: int, j: int) -> list[str]:
    """The kept bonds of the shortest path i -> j, in words; empty for no path or i = j."""
    codes = [int(code) for code in features.bond_path[i, j] if code != BOND.pad]
    return [bond_words(BOND.decode(code)) for code in codes]


def distance_words(features: Features, i: int, j: int) -> str:
    """Length of the shortest path i -> j, in words."""
    length = SPD.decode(int(features.spd[i, j]))
    if length is None:
        return "no path (another fragment)"
    at_least = " or more" if length == SPD.largest else ""
    return f"{length}{at_least} bond{'' if length == 1 else 's'}"


def shown_word(bits: int) -> str:
    """What a pair shows."""
    return {int(row.shown): row.word for row in RELATIONS}.get(bits, "-")


def farthest_pair(features: Features) -> tuple[int, int]:
    """The two atoms with the longest shortest path (the first such pair in reading order)."""
    spd = np.array(features.spd, np.int64)
    spd[spd == SPD.encode(None)] = 0
    i, j = np.unravel_index(int(spd.argmax()), spd.shape)
    return int(i), int(j)
