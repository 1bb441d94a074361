"""A :class:`MoleculeRecord` as bytes and back: a msgpack map whose arrays are raw little-endian bytes.

Plain containers only, so reading a stranger's file runs none of its code. Legend: N atoms, M bonds,
C conformers, T targets, F descriptors.
"""

from __future__ import annotations

from typing import Any, Final

import msgpack
import numpy as np
import numpy.typing as npt

from moleblend_plugin.data.compiled import all_within
from moleblend_plugin.schema import Float32Array, MoleculeRecord
from moleblend_plugin.vocab import ATOM_SIZES, BOND_FEATURES, CHIRALITY

_ATOM_SIZES: Final = np.array(ATOM_SIZES, np.uint8)
_BOND_SIZES: Final = np.array([feature.size for feature in BOND_FEATURES], np.uint8)

_FARTHEST: Final = 1e6
"""No coordinate is so large, in angstrom; squares of larger ones overflow."""

_STORED: Final = {dtype: np.dtype(dtype) for dtype in ("u1", "<u2", "<f4", "<f8")}


def encode_record(record: MoleculeRecord) -> bytes:
    """Bytes of ``record``."""
    fields: dict[str, Any] = {
        "source": record.source,
        "row": record.row,
        "smiles": record.smiles,
        "atom_codes": _raw(record.atom_codes, "u1"),
        "bonds": _raw(record.bonds, "<u2"),
        "bond_codes": _raw(record.bond_codes, "u1"),
        "coords": None if record.coords is None else _raw(record.coords, "<f4"),
        "coords_from": record.coords_from,
        "targets": _raw(record.targets, "<f8"),
        "ogb_chirality": _encode_chirality(record),
    }
    if record.descriptors is not None:  # else no byte is spent on them
        fields["descriptors"] = _raw(record.descriptors, "<f4")
    if record.ecfp is not None:
        fields["ecfp"] = _raw(record.ecfp, "<u2")
    packed: bytes = msgpack.packb(fields, use_bin_type=True)
    return packed


def decode_record(value: bytes) -> MoleculeRecord:
    """Record of ``value``; its arrays are writable copies.

    Raises:
        ValueError: ``value`` is not what :func:`encode_record` writes (the text says in what way).
    """
    try:
        fields = msgpack.unpackb(value, raw=False)
    except (msgpack.exceptions.UnpackException, ValueError, TypeError) as error:
        raise ValueError(f"not msgpack ({error or type(error).__name__})") from error
    try:
        return _from_fields(fields)
    except (KeyError, TypeError) as error:
        raise ValueError(f"missing or wrong field {error}") from error


def _coords(value: bytes, n_atoms: int) -> Float32Array:
    """Coordinates of conformers; of others than real ones a loss would take infinite distances."""
    coords = _array(value, "<f4").reshape(-1, n_atoms, 3)
    if not np.abs(coords).max(initial=0) < _FARTHEST:  # nor is NaN
        raise ValueError(f"coordinates that are no finite numbers below {_FARTHEST:,.0f} angstrom")
    return coords


def _from_fields(fields: dict[str, Any]) -> MoleculeRecord:
    atom_codes = _array(fields["atom_codes"], "u1").reshape(-1, len(_ATOM_SIZES))
    bonds = _array(fields["bonds"], "<u2").reshape(-1, 2)
    bond_codes = _array(fields["bond_codes"], "u1").reshape(-1, len(_BOND_SIZES))
    n_atoms = len(atom_codes)
    coords, chirality = fields["coords"], fields.get("ogb_chirality")  # version 2 has none
    descriptors, ecfp = fields.get("descriptors"), fields.get("ecfp")
    if n_atoms == 0:
        raise ValueError("no atoms")
    if len(bonds) != len(bond_codes):
        raise ValueError(f"{len(bonds)} bonds but {len(bond_codes)} bond codes")
    if not all_within(atom_codes, bonds, bond_codes, _ATOM_SIZES, _BOND_SIZES):
        named = int(bonds.max(initial=0))
        beyond = f"a bond names atom {named} of {n_atoms}" if named >= n_atoms else ""
        raise ValueError(beyond or "an atom or bond code beyond its table")
    return MoleculeRecord(
        source=str(fields["source"]),
        row=int(fields["row"]),
        smiles=str(fields["smiles"]),
        atom_codes=atom_codes,
        bonds=bonds,
        bond_codes=bond_codes,
        coords=None if coords is None else _coords(coords, n_atoms),
        coords_from=str(fields["coords_from"]),
        targets=_array(fields["targets"], "<f8"),
        ogb_chirality=None if chirality is None else _decode_chirality(chirality, atom_codes),
        descriptors=None if descriptors is None else _array(descriptors, "<f4"),
        ecfp=None if ecfp is None else _array(ecfp, "<u2").reshape(-1, 2),
    )


def _encode_chirality(record: MoleculeRecord) -> bytes | None:
    """OGB's column, empty where it is the one in ``atom_codes``: most molecules have no stereocentre."""
    if record.ogb_chirality is None:
        return None
    raw = _raw(record.ogb_chirality, "u1")
    return b"" if raw == _raw(record.atom_codes[:, CHIRALITY], "u1") else raw


def _decode_chirality(raw: bytes, atom_codes: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    if not raw:
        return atom_codes[:, CHIRALITY].copy()
    codes = _array(raw, "u1")
    if len(codes) != len(atom_codes) or int(codes.max()) >= ATOM_SIZES[CHIRALITY]:
        raise ValueError("OGB's chirality of other atoms, or beyond its table")
    return codes


def _raw(array: npt.NDArray[Any], dtype: str) -> bytes:
    return array.astype(_STORED[dtype], copy=False).tobytes()


def _array(raw: bytes, dtype: str) -> npt.NDArray[Any]:
    array = np.frombuffer(bytearray(raw), _STORED[dtype])  # a copy, which can be written to
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))
