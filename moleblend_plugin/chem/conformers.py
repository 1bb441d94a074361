"""3D for molecules that come without: ETKDGv3, seeded per molecule, relaxed with MMFF94 when it can be.

Legend: N heavy atoms, C conformers, A all atoms, hydrogens included.

The time limit is kept without signals, threads or helper processes. RDKit stops embedding by itself
(``EmbedParameters.timeout``), relaxation runs in short stretches with a look at the clock between them,
and steps that cannot be interrupted are not begun on molecules whose size would carry them past the limit.
"""

from __future__ import annotations

import hashlib
import math
import time
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
from rdkit import Chem
from rdkit.Chem import rdDistGeom, rdForceFieldHelpers

from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.schema import Float32Array

# Seconds per A^3 of what RDKit's clock does not cover, measured on one core of a 2020s server:
# smoothing of the bounds matrix, and one minimisation from random coordinates.
_SMOOTHING_COST: Final = 8e-9
_RANDOM_START_COST: Final = 1e-7
_RELAX_STEPS: Final = 200
"""MMFF94 iterations at most: RDKit's own default."""
_STRETCH_ATOMS: Final = 120
"""Up to this size all steps are one stretch (milliseconds); larger molecules get shorter ones."""
_FRAGMENT_GAP: Final = 3.0
"""Angstrom between the extents of neighbouring fragments: about a contact of ions or molecules."""
_TRIES: Final = 30
"""Tries to embed a conformer from one kind of start."""


@dataclass(frozen=True, slots=True)
class ConformerConfig:
    """How conformers are made.

    Attributes:
        count: conformers per molecule (C).
        seed: the build's seed; a molecule's own seed comes from it and the canonical SMILES.
        timeout_s: seconds per molecule for all its conformers together.
        relax: whether to relax with MMFF94 where it has parameters.
    """

    count: int = 1
    seed: int = 0
    timeout_s: float = 20.0
    relax: bool = True

    def __post_init__(self) -> None:
        if self.count < 1:
            raise MoleblendError(f"conformers must be 1 or more (or none), got {self.count}")
        if not (self.timeout_s > 0 and math.isfinite(self.timeout_s)):
            raise MoleblendError(f"the time limit must be a positive number of seconds, got {self.timeout_s}")


class Conformers(NamedTuple):
    """Coordinates float32 [C, N, 3] in Angstrom or ``None``, and how they were made or why there are none."""

    coords: Float32Array | None
    made_by: str


def molecule_seed(seed: int, smiles: str) -> int:
    """Seed of one molecule, 0..2^31-1: stable over runs, machines, input order and worker counts."""
    digest = hashlib.sha256(f"{seed}:{smiles}".encode()).digest()
    return int.from_bytes(digest[:4], "little") & 0x7FFFFFFF


def make_conformers(mol: Chem.Mol, smiles: str, config: ConformerConfig) -> Conformers:
    """Conformers of ``mol`` (heavy atoms only): made with its hydrogens, given back without.

    With fewer than ``config.count`` conformers embedded, those there are. Fragments (the ions of a salt)
    are embedded one by one and set side by side: embedded together, RDKit puts them hundreds of Angstrom
    apart.

    Args:
        mol: sanitised molecule without hydrogen atoms.
        smiles: its canonical SMILES, for the seed.
        config: how.
    """
    deadline = time.monotonic() + config.timeout_s
    full = Chem.AddHs(mol)
    ids, why = _embed(full, molecule_seed(config.seed, smiles), config, deadline)
    if not ids:
        return Conformers(None, why)
    _set_side_by_side(full, ids)
    coords = _coords(full, ids, mol.GetNumAtoms())
    made_by = "ETKDGv3"
    if config.relax and _relax(full, ids, deadline):
        relaxed = _coords(full, ids, mol.GetNumAtoms())
        if np.isfinite(relaxed).all():
            coords, made_by = relaxed, "ETKDGv3+MMFF94"
    if not np.isfinite(coords).all():
        return Conformers(None, "embedding gave coordinates that are no numbers")
    return Conformers(coords, made_by)


def _embed(full: Chem.Mol, seed: int, config: ConformerConfig, deadline: float) -> tuple[list[int], str]:
    """Conformer ids and, without any, the reason. From distance geometry first, then from random places."""
    size = full.GetNumAtoms()
    if size**3 * _SMOOTHING_COST > config.timeout_s:
        return [], f"too large to embed within {config.timeout_s:g} s"
    for random_start in (False, True):
        if random_start and size**3 * _RANDOM_START_COST > config.timeout_s:
            break
        ids = _embed_from(full, seed, random_start, config.count, deadline)
        if ids:
            return ids, ""
    if time.monotonic() >= deadline:
        return [], f"embedding took longer than {config.timeout_s:g} s"
    return [], "embedding fails"


def _embed_from(full: Chem.Mol, seed: int, random_start: bool, count: int, deadline: float) -> list[int]:
    """Ids of the conformers embedded from one kind of start before ``deadline``."""
    # RDKit drops every conformer of a call that runs out of time: large molecules get one call for each.
    each = count if full.GetNumAtoms() <= _STRETCH_ATOMS else 1
    for done in range(0, count, each):
        remaining = deadline - time.monotonic()
        if remaining <= 0:
            break
        parameters: Any = rdDistGeom.ETKDGv3()
        parameters.randomSeed = (seed + done) & 0x7FFFFFFF
        parameters.clearConfs = done == 0
        parameters.numThreads = 1  # workers are processes already
        parameters.useRandomCoords = random_start
        parameters.timeout = math.ceil(remaining)
        # RDKit's default of 10 tries per atom would eat the whole limit before random starts are tried.
        parameters.maxIterations = _TRIES
        rdDistGeom.EmbedMultipleConfs(full, each, parameters)
        if full.GetNumConformers() == 0:
            break
    return [conformer.GetId() for conformer in full.GetConformers()]


def _set_side_by_side(full: Chem.Mol, ids: list[int]) -> None:
    """Line fragments up along x, centres on the axis, so that none overlap and all are in contact.

    Relaxation leaves them there: RDKit's MMFF94 ignores forces between fragments unless told otherwise.
    """
    fragments = [list(atoms) for atoms in Chem.GetMolFrags(full)]
    if len(fragments) == 1:
        return
    for number in ids:
        conformer = full.GetConformer(number)
        places, edge = conformer.GetPositions(), 0.0  # [A, 3]
        for atoms in fragments:
            own = places[atoms]
            own -= own.mean(0)
            own[:, 0] += edge - own[:, 0].min()
            edge = own[:, 0].max() + _FRAGMENT_GAP
            places[atoms] = own
        conformer.SetPositions(places)


def _relax(full: Chem.Mol, ids: list[int], deadline: float) -> bool:
    """Relax every conformer in place. False: no parameters for the molecule, or out of time."""
    properties = rdForceFieldHelpers.MMFFGetMoleculeProperties(full)
    if properties is None:
        return False
    # A step costs about A^2. The stretch depends on the size alone, so that results do not hang on the clock.
    share = min(1.0, (_STRETCH_ATOMS / full.GetNumAtoms()) ** 2)
    stretch = max(1, int(_RELAX_STEPS * share))
    for conformer in ids:
        field = rdForceFieldHelpers.MMFFGetMoleculeForceField(full, properties, confId=conformer)
        if field is None:
            return False
        field.Initialize()
        for _ in range(0, _RELAX_STEPS, stretch):
            if time.monotonic() > deadline:
                return False
            if field.Minimize(maxIts=stretch) == 0:  # converged
                break
    return True


def _coords(full: Chem.Mol, ids: list[int], n_atoms: int) -> Float32Array:
    """Positions [C, N, 3] of the heavy atoms, which AddHs leaves in front."""
    places = [full.GetConformer(number).GetPositions()[:n_atoms] for number in ids]
    return np.asarray(places, np.float32)
