"""3D for molecules that come without: embedded, seeded per molecule, relaxed with MMFF94 when it can be.

How is a matter of the method (:mod:`.conformer_method`).

Legend: N heavy atoms, C conformers, A all atoms, hydrogens included.

The time limit counts this thread's work, so that a busy machine gives the same conformers as an idle one (but
for RDKit's own clock while it embeds, which runs on). It is kept without signals, threads or helper
processes. RDKit stops embedding by itself (``EmbedParameters.timeout``), relaxation runs in short stretches
with a look at the clock between them, and steps that cannot be interrupted are not begun on molecules whose
size would carry them past the limit.
"""

from __future__ import annotations

import hashlib
import math
import time
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
from rdkit import Chem, rdBase
from rdkit.Chem import rdDistGeom

from moleblend_plugin.chem.geometry.canonical import canonical
from moleblend_plugin.chem.geometry.conformer_method import (
    DEFAULT_METHOD,
    METHODS,
    ConformerMethod,
    find_method,
)
from moleblend_plugin.chem.geometry.dummies import without_dummies
from moleblend_plugin.chem.geometry.plausible import Plausibility, most_common
from moleblend_plugin.chem.geometry.relax import DEFAULT_STEPS, Typed, relax, type_atoms
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.schema import Float32Array

GEOMETRY_VERSION: Final = 2
"""Of how 3D is made and checked; stores and builds keep it, so that two ways are not mixed. 1: in the order
of the input, 200 steps, unchecked; 2: in canonical order, distances checked."""

# Seconds per A^3 of what RDKit's clock does not cover, measured on one core of a 2020s server:
# smoothing of the bounds matrix, and one minimisation from random coordinates.
_SMOOTHING_COST: Final = 8e-9
_RANDOM_START_COST: Final = 1e-7
_AT_ONCE_ATOMS: Final = 120
"""Up to this size all conformers are embedded in one call."""
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
        relax_steps: MMFF94 steps at most; a conformer whose energy still falls then is told as not converged
            (not with "fast", which is not meant to reach the minimum).
        method: "full" or "fast", see :mod:`.conformer_method`.
    """

    count: int = 1
    seed: int = 0
    timeout_s: float = 20.0
    relax: bool = True
    relax_steps: int = DEFAULT_STEPS
    method: str = DEFAULT_METHOD

    def __post_init__(self) -> None:
        find_method(self.method)
        if self.count < 1:
            raise MoleblendError(f"conformers must be 1 or more (or none), got {self.count}")
        if not (self.timeout_s > 0 and math.isfinite(self.timeout_s)):
            raise MoleblendError(f"the time limit must be a positive number of seconds, got {self.timeout_s}")
        if self.relax_steps < int(self.relax):
            raise MoleblendError(f"relax_steps must be 1 or more to relax, got {self.relax_steps}")
        if not (self.relax or METHODS[self.method].embeds_hydrogens):
            raise MoleblendError(
                f"--conformer-method {self.method} relaxes what it embeds: give relax_steps from 1, or the "
                f"method {DEFAULT_METHOD}"
            )

    @classmethod
    def by_method(
        cls, method: str, count: int = 1, seed: int = 0, timeout_s: float = 20.0, steps: int | None = None
    ) -> ConformerConfig:
        """How ``method`` makes conformers; ``steps`` are MMFF94's at most (0: none), ``None`` for its own.

        Raises:
            MoleblendError: no such method, or a number that it cannot be.
        """
        found = find_method(method)
        wanted = found.relax_steps if steps is None else steps
        return cls(count, seed, timeout_s, relax=wanted > 0, relax_steps=wanted, method=method)


class Conformers(NamedTuple):
    """Coordinates float32 [C, N, 3] in Angstrom or ``None``, and how they were made or why there are none."""

    coords: Float32Array | None
    made_by: str


def molecule_seed(seed: int, smiles: str) -> int:
    """Seed of one molecule, 0..2^31-1: stable over runs, machines, input order and worker counts."""
    digest = hashlib.sha256(f"{seed}:{smiles}".encode()).digest()
    return int.from_bytes(digest[:4], "little") & 0x7FFFFFFF


def make_conformers(mol: Chem.Mol, config: ConformerConfig) -> Conformers:
    """Conformers of ``mol`` (heavy atoms only): made with its hydrogens, given back without.

    They are made of its canonical writing (:mod:`.canonical`), so that they do not depend on how it was
    written, with a carbon for each dummy atom (:mod:`.dummies`). With fewer than ``config.count`` plausible
    conformers, those there are. Fragments (the ions of a salt) are embedded one by one and set side by side:
    embedded together, RDKit puts them hundreds of Angstrom apart.

    Args:
        mol: sanitised molecule without hydrogen atoms; it stays as it is.
        config: how.

    Raises:
        ValueError: RDKit finds no bounds for its distances.
        RuntimeError: the same.
    """
    deadline = time.thread_time() + config.timeout_s
    one = canonical(mol)
    heavy, check = without_dummies(one.mol), Plausibility(one.mol)
    full = Chem.AddHs(heavy)
    typed = type_atoms(full) if config.relax else None
    method = METHODS[config.method]
    if typed is None or typed.problem:  # what is embedded stays: as well as can be
        method = METHODS[DEFAULT_METHOD]
    size, implausible = (full if method.embeds_hydrogens else heavy).GetNumAtoms(), ""
    if size**3 * _SMOOTHING_COST > config.timeout_s:
        return Conformers(None, f"too large to embed within {config.timeout_s:g} s")
    for random_start in (False, True):
        if random_start and size**3 * _RANDOM_START_COST > config.timeout_s:
            break
        seed = molecule_seed(config.seed, one.smiles)
        placed, ids = _embedded(heavy, full, method, seed, random_start, config.count, deadline)
        if not ids:
            continue
        _set_side_by_side(placed, ids)
        made = _checked(placed, ids, check, config, method, typed, deadline)
        if made.coords is not None:
            return Conformers(np.ascontiguousarray(made.coords[:, one.rows]), made.made_by)
        implausible = implausible or made.made_by
    late = f"embedding took longer than {config.timeout_s:g} s" if time.thread_time() >= deadline else ""
    return Conformers(None, implausible or late or "embedding fails")


def _checked(
    full: Chem.Mol,
    ids: list[int],
    check: Plausibility,
    config: ConformerConfig,
    method: ConformerMethod,
    typed: Typed | None,
    deadline: float,
) -> Conformers:
    """Those of the embedded conformers that are plausible, relaxed where that can be done."""
    kinds, details = [method.embedding], []
    if len(ids) < config.count:
        kinds.append("fewer than asked for")
        details.append(f"{len(ids)} of {config.count} made")
    coords = _coords(full, ids, check.n_atoms)
    if typed is not None:
        relaxed = relax(full, ids, typed, config.relax_steps, config.timeout_s, deadline)
        after = _coords(full, ids, check.n_atoms)
        if relaxed.problem:
            kinds.append(relaxed.problem)
        elif any(check.why_not(places) for places in after) and not any(map(check.why_not, coords)):
            kinds.append("relaxing gives implausible distances")
        else:
            coords, kinds[0] = after, f"{method.embedding}+MMFF94"
            if relaxed.unfinished and method.to_minimum:
                kinds.append("not converged")
                details += [f"{relaxed.unfinished} of {len(ids)} not converged"] if len(ids) > 1 else []
    problems = [check.why_not(places) for places in coords]
    kept = [number for number, problem in enumerate(problems) if not problem]
    if not kept:
        return Conformers(None, f"implausible conformer, {most_common(problems)}")
    if len(kept) < len(ids):
        kinds.append("implausible ones left out")
        details.append(f"{len(kept)} of {len(ids)} kept")
    return Conformers(coords[kept], ", ".join(kinds) + (f": {', '.join(details)}" if details else ""))


def _embedded(
    heavy: Chem.Mol,
    full: Chem.Mol,
    method: ConformerMethod,
    seed: int,
    random_start: bool,
    count: int,
    deadline: float,
) -> tuple[Chem.Mol, list[int]]:
    """The molecule with its hydrogens and conformers, and their ids; ``full`` is ``heavy`` with hydrogens."""
    if method.embeds_hydrogens:
        return full, _embed_from(full, method.embedding, seed, random_start, count, deadline)
    with rdBase.BlockLogs():  # RDKit warns that hydrogens are missing
        ids = _embed_from(heavy, method.embedding, seed, random_start, count, deadline)
    return Chem.AddHs(heavy, addCoords=True), ids


def _embed_from(
    mol: Chem.Mol, embedding: str, seed: int, random_start: bool, count: int, deadline: float
) -> list[int]:
    """Ids of the conformers of ``mol`` embedded from one kind of start before ``deadline``."""
    # RDKit drops every conformer of a call that runs out of time: large molecules get one call for each.
    each = count if mol.GetNumAtoms() <= _AT_ONCE_ATOMS else 1
    for done in range(0, count, each):
        remaining = deadline - time.thread_time()
        if remaining <= 0:
            break
        parameters: Any = getattr(rdDistGeom, embedding)()
        parameters.randomSeed = (seed + done) & 0x7FFFFFFF
        parameters.clearConfs = done == 0
        parameters.numThreads = 1  # workers are processes already
        parameters.useRandomCoords = random_start
        parameters.timeout = math.ceil(remaining)
        # RDKit's default of 10 tries per atom would eat the whole limit before random starts are tried.
        parameters.maxIterations = _TRIES
        rdDistGeom.EmbedMultipleConfs(mol, each, parameters)
        if mol.GetNumConformers() == 0:
            break
    return [conformer.GetId() for conformer in mol.GetConformers()]


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


def _coords(full: Chem.Mol, ids: list[int], n_atoms: int) -> Float32Array:
    """Positions [C, N, 3] of the heavy atoms, which AddHs leaves in front."""
    places = [full.GetConformer(number).GetPositions()[:n_atoms] for number in ids]
    return np.asarray(places, np.float32)
