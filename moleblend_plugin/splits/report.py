"""What a split lets through: scaffolds and molecules that are in two parts, labels that contradict.

``duplicates`` are molecules equal without stereochemistry and isotopes; ``likeness`` tells apart the same
molecule, isotopes, stereoisomers, salts and tautomers (``split_likeness``). All texts are made anew from the
stored SMILES, so stores of other RDKit versions, and those that kept atom-map numbers, compare well. A
scaffold is Bemis-Murcko's; molecules without rings have none and share none (they are counted as
``without_rings``).

Legend: M molecules of a part, T tasks, K molecules of one group of duplicates.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
from rdkit import rdBase

from moleblend_plugin.chem.identity.likeness import Likeness, likeness
from moleblend_plugin.chem.identity.scaffold import scaffold_of_mol
from moleblend_plugin.chem.reading import from_smiles, pinned
from moleblend_plugin.schema import Float64Array, MoleculeRecord
from moleblend_plugin.splits.likeness_report import EXAMPLES, Compared, likeness_report

Facts = dict[str, Any]
Repeated = dict[str, dict[str, list[int]]]
"""Molecule without stereo -> part -> places in the part."""


CLASSES: Final = "classes"
VALUES: Final = "values"


class Identity(NamedTuple):
    """What is compared of a molecule: texts at every level, scaffold with and without chirality."""

    likeness: Likeness
    chiral: str
    achiral: str

    @property
    def molecule(self) -> str:
        """Without stereochemistry and isotopes."""
        return self.likeness.connectivity


def identify(smiles: str) -> Identity:
    """Identity of a molecule; one that this RDKit does not read is like its own text only."""
    with rdBase.BlockLogs(), pinned():
        mol = from_smiles(smiles)
        if mol is None:
            return Identity(Likeness(smiles, smiles, smiles, smiles, (smiles, smiles)), "", "")
        return Identity(likeness(mol), scaffold_of_mol(mol), scaffold_of_mol(mol, chiral=False))


@dataclass
class PartIdentities:
    """The molecules of a part in store order, as far as they are compared."""

    identities: list[Identity] = field(default_factory=list)
    row_ids: list[str] = field(default_factory=list)
    targets: list[Float64Array] = field(default_factory=list)

    def labels(self, n_tasks: int) -> Float64Array:
        """[M, T]."""
        return np.array(self.targets, np.float64).reshape(len(self.row_ids), n_tasks)


def read_identities(records: Iterable[MoleculeRecord]) -> PartIdentities:
    """A part from its records."""
    part = PartIdentities()
    for record in records:
        part.identities.append(identify(record.smiles))
        part.row_ids.append(record.row_id)
        part.targets.append(record.targets)
    return part


def split_report(parts: Mapping[str, PartIdentities], tasks: tuple[str, ...]) -> Facts:
    """Plain values, for JSON.

    Args:
        parts: by name, in the order train, valid, test.
        tasks: T names of the columns of the targets.

    Returns:
        ``kinds`` of the tasks ("classes" where all labels are 0 or 1, else "values"); ``parts``: counts,
        duplicates, conflicts, ``likeness`` and ``tasks`` of each; ``pairs``: what two parts share;
        ``one_class``: per part the tasks of classes with fewer than two classes labelled.
    """
    labels = {name: part.labels(len(tasks)) for name, part in parts.items()}
    kinds = _kinds(labels, tasks)
    repeated = _repeated(parts)
    alike = likeness_report(
        {
            name: Compared([each.likeness for each in part.identities], part.row_ids, labels[name])
            for name, part in parts.items()
        },
        tasks,
    )
    report: Facts = {"kinds": kinds, "parts": {}, "pairs": {}, "one_class": {}}
    for name, part in parts.items():
        facts = _task_facts(labels[name], kinds)
        report["parts"][name] = (
            _part_counts(part)
            | _duplicates((name,), parts, repeated, labels, tasks)
            | {"likeness": alike[name], "tasks": facts}
        )
        report["one_class"][name] = [
            task for task, fact in facts.items() if kinds[task] == CLASSES and fact["one_class"]
        ]
    for pair in combinations(parts, 2):
        report["pairs"]["-".join(pair)] = {
            "scaffolds": _shared_scaffolds(pair, parts),
            **_duplicates(pair, parts, repeated, labels, tasks),
            "likeness": alike["-".join(pair)],
        }
    return report


def _kinds(labels: Mapping[str, Float64Array], tasks: tuple[str, ...]) -> dict[str, str]:
    every = np.concatenate([*labels.values(), np.empty((0, len(tasks)))])
    is_class = (np.isnan(every) | (every == 0) | (every == 1)).all(0)
    return {task: CLASSES if flag else VALUES for task, flag in zip(tasks, is_class, strict=True)}


def _task_facts(labels: Float64Array, kinds: Mapping[str, str]) -> Facts:
    """Counts of every task's labels [M, T]."""
    facts: Facts = {}
    for task, (name, kind) in enumerate(kinds.items()):
        known = labels[~np.isnan(labels[:, task]), task]
        facts[name] = {"labels": len(known), "missing": len(labels) - len(known)}
        if kind == CLASSES:
            positives = int(known.sum())
            facts[name] |= {"positives": positives, "negatives": len(known) - positives}
            facts[name]["one_class"] = positives in (0, len(known))
        elif len(known):
            facts[name] |= {"mean": float(known.mean()), "sd": float(known.std())}
            facts[name] |= {"min": float(known.min()), "max": float(known.max())}
    return facts


def _part_counts(part: PartIdentities) -> Facts:
    with_rings = [identity for identity in part.identities if identity.chiral]
    return {
        "molecules": len(part.identities),
        "without_rings": len(part.identities) - len(with_rings),
        "scaffolds": {
            "chiral": len({identity.chiral for identity in with_rings}),
            "achiral": len({identity.achiral for identity in with_rings}),
        },
    }


def _shared_scaffolds(pair: tuple[str, ...], parts: Mapping[str, PartIdentities]) -> Facts:
    """Scaffolds in both parts, and how many molecules of each part have one of them."""
    found: Facts = {}
    for kind in ("chiral", "achiral"):
        held = {name: [getattr(identity, kind) for identity in parts[name].identities] for name in pair}
        shared = set(held[pair[0]]) & set(held[pair[1]]) - {""}
        found[kind] = {
            "shared": len(shared),
            "molecules": {name: sum(scaffold in shared for scaffold in held[name]) for name in pair},
        }
    return found


def _repeated(parts: Mapping[str, PartIdentities]) -> Repeated:
    """Molecules that occur more than once, in whatever parts."""
    groups: Repeated = {}
    for name, part in parts.items():
        for place, identity in enumerate(part.identities):
            groups.setdefault(identity.molecule, {}).setdefault(name, []).append(place)
    return {smiles: places for smiles, places in groups.items() if sum(map(len, places.values())) > 1}


def _duplicates(
    names: tuple[str, ...],
    parts: Mapping[str, PartIdentities],
    repeated: Repeated,
    labels: Mapping[str, Float64Array],
    tasks: tuple[str, ...],
) -> Facts:
    """Counts and examples of what one part repeats or two parts share.

    Labels contradict where two of a molecule differ, of two parts one of each.
    """
    groups = {
        smiles: {name: places[name] for name in names}
        for smiles, places in repeated.items()
        if all(name in places for name in names) and sum(len(places[name]) for name in names) > 1
    }
    gaps = {}  # [T] each: the largest difference, NaN for none
    for smiles, places in groups.items():
        one, other = (labels[name][places[name]] for name in (names[0], names[-1]))
        gaps[smiles] = np.maximum(_high(one) - _low(other), _high(other) - _low(one))
    every = np.array(list(gaps.values()), np.float64).reshape(len(gaps), len(tasks))
    conflicts = every > 0  # [groups, T]; False for NaN
    per_task = {
        task: {"groups": int(conflicts[:, n].sum()), "largest_gap": float(every[conflicts[:, n], n].max())}
        for n, task in enumerate(tasks)
        if conflicts[:, n].any()
    }
    examples = [
        {
            "smiles": smiles,
            "row_ids": {name: [parts[name].row_ids[place] for place in places[name]] for name in names},
            "conflicts": [task for task, flag in zip(tasks, flags, strict=True) if flag],
        }
        for (smiles, places), flags in zip(groups.items(), conflicts, strict=True)
    ]
    return {
        "duplicates": {
            "groups": len(groups),
            "molecules": {name: sum(len(places[name]) for places in groups.values()) for name in names},
        },
        "conflicts": {"groups": int(conflicts.any(1).sum()), "tasks": per_task},
        "examples": sorted(examples, key=lambda example: not example["conflicts"])[:EXAMPLES],
    }


def _high(labels: Float64Array) -> npt.NDArray[np.float64]:
    highest: Float64Array = np.fmax.reduce(labels, axis=0)  # fmax passes over NaN
    return highest


def _low(labels: Float64Array) -> npt.NDArray[np.float64]:
    lowest: Float64Array = np.fmin.reduce(labels, axis=0)
    return lowest
