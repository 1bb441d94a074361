"""One input row -> a record or a rejection: a pure function, so that any process may run it.

Legend: N heavy atoms.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from rdkit import Chem, rdBase

from moleblend_plugin.chem.codes import encode_molecule, heavy_atoms
from moleblend_plugin.chem.geometry.conformer_method import DEFAULT_METHOD
from moleblend_plugin.chem.geometry.conformers import (
    GEOMETRY_VERSION,
    ConformerConfig,
    Conformers,
    make_conformers,
)
from moleblend_plugin.chem.geometry.listed_coordinates import take_listed
from moleblend_plugin.chem.geometry.plausible import Plausibility
from moleblend_plugin.chem.identity.scaffold import stereo_free
from moleblend_plugin.chem.readers.raw_row import RawRow
from moleblend_plugin.chem.reading import (
    clear_maps,
    from_block,
    from_mol,
    from_smiles,
    lacks_geometry,
    leaves_stereo_open,
    pinned,
    without_hydrogens,
)
from moleblend_plugin.chem.smiles_text import problem_with
from moleblend_plugin.schema import MoleculeRecord, Rejection

MOST_ATOMS: Final = 65535
"""Heavy atoms that a record can number (its bonds are uint16)."""


@dataclass(frozen=True, slots=True)
class ConversionConfig:
    """How rows become records.

    Attributes:
        conformers: how conformers are made for rows without 3D; ``None`` leaves those rows 2D.
        source_coords: whether 3D coordinates of the source are kept; if not, its rows count as 2D.
        geometry_version: of how 3D is made and checked. Not a choice: it tells what other versions made.
    """

    conformers: ConformerConfig | None = None
    source_coords: bool = True
    geometry_version: int = field(default=GEOMETRY_VERSION, init=False)

    def settings(self) -> dict[str, Any]:
        """Plain values, as stores and checkpoints keep them; of methods only another than the default."""
        values = asdict(self)
        if self.conformers is not None and self.conformers.method == DEFAULT_METHOD:
            del values["conformers"]["method"]
        return values


_NO_COORDS: Final = "no coordinates in the source"
_FLAT: Final = "source is 2D"
_FLAT_ANGSTROM: Final = 0.001
"""Root mean square distance of atoms from a plane, up to which they lie in it: more than rounding leaves."""

TOOLKIT: Final = f"RDKit {rdBase.rdkitVersion}"
"""What perceives molecules here; another version may code or embed some of them otherwise."""


class Unusable(ValueError):
    """Why a row is no molecule: ``kind`` or ``kind: detail`` (reports count by kind)."""


def convert(row: RawRow, config: ConversionConfig, canonical: bool = True) -> MoleculeRecord | Rejection:
    """Record of ``row``, or the reason why there is none. Never raises for a bad row.

    A stored molecule stays as it is, unless another 3D is wanted than its own: then it is made of its SMILES.

    Args:
        row: the input.
        config: how.
        canonical: whether the record gets its canonical SMILES, which takes half as long as reading one;
            else the row's own, or "" of a mol block.
    """
    if row.record is None:
        return _converted(row, config, None, canonical)
    return _stored(row, row.record, config)


def _stored(row: RawRow, record: MoleculeRecord, config: ConversionConfig) -> MoleculeRecord | Rejection:
    keeps_3d = record.coords is not None and config.source_coords
    is_of_format_2 = record.ogb_chirality is None
    if keeps_3d and is_of_format_2:
        why = "a molecule of format 2 with 3D: build its store again from what that was made of"
        return Rejection(row.source, row.row, row.shown, why)
    if keeps_3d or (record.coords is None and config.conformers is None and not is_of_format_2):
        return replace(record, source=row.source, row=row.row, targets=np.array(row.targets, np.float64))
    return _converted(RawRow(row.source, row.row, record.smiles, "smiles", row.targets), config)


def convert_molecule(molecule: object, row: int, config: ConversionConfig) -> MoleculeRecord | Rejection:
    """Record of a molecule in memory, a SMILES or an RDKit molecule (whose 3D then is the source's).

    Args:
        molecule: what the user gave; anything else is a rejection.
        row: its number among them.
        config: how.
    """
    if isinstance(molecule, str):
        return convert(RawRow("molecules", row, molecule, "smiles"), config)
    if isinstance(molecule, Chem.Mol):
        return _converted(RawRow("molecules", row, "(an RDKit molecule)", "smiles"), config, molecule)
    what = f"neither SMILES nor RDKit molecule: {type(molecule).__name__}"
    return Rejection("molecules", row, str(molecule)[:200], what)


def _converted(
    row: RawRow, config: ConversionConfig, parsed: Chem.Mol | None = None, canonical: bool = True
) -> MoleculeRecord | Rejection:
    # RDKit's warnings go to stderr otherwise; the reason is kept here instead.
    with rdBase.BlockLogs(), pinned():
        try:
            return _record(row, _parse(row) if parsed is None else from_mol(parsed), config, canonical)
        except Unusable as error:
            reason = str(error)
        except (ValueError, RuntimeError) as error:  # RDKit's own exceptions are one of the two
            reason = f"RDKit fails: {_one_line(error)}"
    return Rejection(row.source, row.row, row.shown, reason)


def _parse(row: RawRow) -> Chem.Mol:
    if row.expected:
        return _from_geometry(row.text, row.expected)
    return _from_smiles(row.text) if row.kind == "smiles" else _from_molblock(row.text)


def _record(row: RawRow, parsed: Chem.Mol, config: ConversionConfig, canonical: bool) -> MoleculeRecord:
    same = parsed.GetNumAtoms() == parsed.GetNumHeavyAtoms()
    mol = parsed if same else heavy_atoms(parsed)
    if mol.GetNumAtoms() == 0:
        raise Unusable("no heavy atoms")
    if mol.GetNumAtoms() > MOST_ATOMS:
        raise Unusable(f"more than {MOST_ATOMS} heavy atoms")
    # Isotopes of hydrogen are kept here: the SMILES is the molecule's identity, the codes are its graph.
    named = parsed if same else without_hydrogens(parsed)
    smiles = row.text if row.kind == "smiles" else ""
    if canonical:
        smiles = Chem.MolToSmiles(named)
    codes = encode_molecule(mol, named)
    given = Conformers(None, _NO_COORDS)
    if config.source_coords:
        given = _given(row, mol, parsed)
    coords, coords_from = given if given.coords is not None else _made(mol, given.made_by, config)
    return MoleculeRecord(
        source=row.source,
        row=row.row,
        smiles=smiles,
        atom_codes=codes.atom_codes,
        bonds=codes.bonds,
        bond_codes=codes.bond_codes,
        coords=coords,
        coords_from=coords_from,
        targets=np.array(row.targets, np.float64),
        ogb_chirality=codes.ogb_chirality,
        stereo_unknown=_is_stereo_unknown(row, parsed),
    )


def _is_stereo_unknown(row: RawRow, parsed: Chem.Mol) -> bool:
    """Whether a mol block leaves stereochemistry open that the molecule may have, for want of geometry."""
    return row.kind == "molblock" and not parsed.GetNumConformers() and leaves_stereo_open(parsed)


def _given(row: RawRow, mol: Chem.Mol, parsed: Chem.Mol) -> Conformers:
    """Coordinates that the source brings, or why it brings none."""
    if row.listed is not None:
        return take_listed(mol, row.listed)
    if not parsed.GetNumConformers():
        return Conformers(None, _NO_COORDS)
    why_not = _no_geometry(parsed)
    if why_not:
        return Conformers(None, why_not)
    places = np.asarray(mol.GetConformer().GetPositions(), np.float32)
    why_not = Plausibility(mol).why_not(places)
    return Conformers(None, f"source {why_not}") if why_not else Conformers(places[None], "source")


def _made(mol: Chem.Mol, why_not: str, config: ConversionConfig) -> Conformers:
    """Conformers by RDKit, where wanted, with what was wrong about the coordinates that they replace."""
    if config.conformers is None:
        return Conformers(None, _with_kind(why_not, "none wanted"))
    try:
        made = make_conformers(mol, config.conformers)
    except (ValueError, RuntimeError) as error:  # RDKit's own; the 2D side of the molecule is sound
        made = Conformers(None, f"embedding fails: {_one_line(error)}")
    return (
        made if why_not in (_NO_COORDS, _FLAT) else Conformers(made.coords, _with_kind(made.made_by, why_not))
    )


@lru_cache(maxsize=64)  # nearly all molecules of a file have the same two
def _with_kind(reason: str, other: str) -> str:
    """Two reasons of the form ``kind: detail`` as one of that form."""
    kind, _, detail = reason.partition(": ")
    other_kind, _, other_detail = other.partition(": ")
    details = "; ".join(filter(None, (detail, other_detail)))
    return f"{kind}, {other_kind}" + (f": {details}" if details else "")


def _no_geometry(parsed: Chem.Mol) -> str:
    """Why the source's coordinates are not 3D; "" where they are."""
    conformer = parsed.GetConformer()
    places = conformer.GetPositions()  # [A, 3]
    if not np.isfinite(places).all():
        return "source coordinates are no numbers"
    if not conformer.Is3D():
        return _FLAT
    # A flat "3D" record may be benzene or a drawing with a wrong flag. Four neighbours are never flat.
    if _in_a_plane(places) and any(atom.GetDegree() > 3 for atom in parsed.GetAtoms()):
        return _FLAT
    return ""


def _in_a_plane(places: npt.NDArray[np.float64]) -> bool:
    """Whether ``places`` [A, 3] lie in one plane, whatever its direction."""
    if not places[:, 2].any():
        return True
    centred = places - places.mean(0)
    return float(np.linalg.eigvalsh(centred.T @ centred / len(places))[0]) < _FLAT_ANGSTROM**2


def _from_smiles(text: str) -> Chem.Mol:
    if not text.strip():
        raise Unusable("empty SMILES")
    if not text.split()[0].isascii():  # RDKit stops reading there and takes what came before
        raise Unusable("SMILES syntax: characters beyond ASCII")
    problem = problem_with(text)  # RDKit reads the first SMILES and takes the rest for a name
    if problem:
        raise Unusable(problem)
    mol = from_smiles(text)
    if mol is None:
        raise Unusable(_smiles_problem(text))
    return mol


def _smiles_problem(text: str) -> str:
    """What is wrong with a SMILES that RDKit refuses."""
    graph: Chem.Mol | None = Chem.MolFromSmiles(text, sanitize=False)
    if graph is None:
        first, *rest = text.split(maxsplit=1)
        if rest and Chem.MolFromSmiles(first, sanitize=False) is not None:
            return f"CXSMILES extension that RDKit does not read: {rest[0][:60]!r}"
        return "SMILES syntax"
    return _graph_problem(graph)


def _graph_problem(graph: Chem.Mol) -> str:
    problems = Chem.DetectChemistryProblems(graph)
    if not problems:
        return "RDKit refuses the molecule"
    kind = {
        "AtomValenceException": "impossible valence",
        "KekulizeException": "aromaticity without Kekule form",
        "AtomKekulizeException": "aromaticity without Kekule form",
    }.get(problems[0].GetType(), "RDKit refuses the molecule")
    return f"{kind}: {_one_line(problems[0].Message())}"


def _from_molblock(text: str) -> Chem.Mol:
    """Molecule with its hydrogens."""
    mol = from_block(text)
    if mol is None:
        graph: Chem.Mol | None = Chem.MolFromMolBlock(text, sanitize=False, removeHs=False)
        raise Unusable("unreadable mol block" if graph is None else _graph_problem(graph))
    return mol


def _from_geometry(block: str, smiles: str) -> Chem.Mol:
    """Molecule of a mol block that lists every hydrogen, if it is that of ``smiles`` but for stereochemistry.

    A valence that is left open then is a radical, as in PCQM4Mv2; RDKit would fill it up otherwise. A block
    without any geometry tells nothing that the SMILES does not: the molecule is that of the SMILES.
    """
    mol: Chem.Mol | None = Chem.MolFromMolBlock(block, sanitize=False, removeHs=False)
    if mol is None:
        raise Unusable("unreadable mol block")
    clear_maps(mol)
    empty = lacks_geometry(mol)
    for index in range(mol.GetNumAtoms()):
        mol.GetAtomWithIdx(index).SetNoImplicit(True)
    if Chem.SanitizeMol(mol, catchErrors=True):
        raise Unusable(_graph_problem(mol))
    if mol.GetNumConformers() and mol.GetConformer().Is3D():
        Chem.AssignStereochemistryFrom3D(mol)
    found, wanted = (stereo_free(heavy_atoms(each)) for each in (mol, _from_smiles(smiles)))
    if found != wanted:
        raise Unusable(f"geometry of another molecule: {found} instead of {wanted}")
    return _from_smiles(smiles) if empty else mol


def _one_line(problem: object) -> str:
    """RDKit's message without the place in its C++ sources that broken invariants add."""
    return " ".join(str(problem).split()).partition(" Violation occurred")[0]
