"""How molecules of a part, or of two, are alike: the same, isotopes, stereoisomers, salts, tautomers.

Two molecules are alike in one way only, the closest: those of one kind agree at its level (``likeness``) and
differ at the level before. A group is all molecules that agree at the level and do not all agree before.

Legend: F finer texts of a group, T tasks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from moleblend_plugin.chem.identity.likeness import Likeness
from moleblend_plugin.schema import Float64Array

LIKENESS_KINDS: Final = {
    "molecule": "same molecule",
    "isotopes": "isotopes",
    "stereoisomers": "stereoisomers",
    "salts": "salt or charge forms",
    "tautomers": "tautomers",
}
"""Kinds of likeness as reports name them, and in words."""

EXAMPLES: Final = 1000
"""Groups that a report lists by row id, for each kind of each part and pair; counts are of all."""


class Compared(NamedTuple):
    """The molecules of a part: what is compared of each, row ids, labels [M, T]."""

    likeness: Sequence[Likeness]
    row_ids: Sequence[str]
    labels: Float64Array


Fines = dict[str, list[int]]
"""Finer text -> places in a part."""


class _Level(NamedTuple):
    """By part, the texts of every molecule at a level and at the level before; how examples show a group."""

    coarse: dict[str, list[str]]
    fine: dict[str, list[str]]
    shown: dict[str, str]


def likeness_report(parts: Mapping[str, Compared], tasks: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    """Facts of every part (by name) and of every two (``train-test``) by kind, plain values.

    Returns:
        For each kind ``groups``, ``molecules`` by part, ``conflicts`` (``groups`` whose labels differ;
        ``tasks`` with ``groups`` and ``largest_gap``), and ``examples`` (``smiles``, ``row_ids`` by part,
        ``conflicts``).
    """
    scopes = [(name,) for name in parts] + list(combinations(parts, 2))
    report: dict[str, dict[str, Any]] = {"-".join(scope): {} for scope in scopes}
    for kind, level in _levels(parts).items():
        groups = _groups(level)
        for scope in scopes:
            report["-".join(scope)][kind] = _facts(scope, level, groups, parts, tasks)
    return report


def _levels(parts: Mapping[str, Compared]) -> dict[str, _Level]:
    def texts(name: str) -> dict[str, list[str]]:
        return {part: [getattr(one, name) for one in held.likeness] for part, held in parts.items()}

    found = [texts(name) for name in ("exact", "unlabelled", "connectivity", "parent")]
    # Every row of the same molecule is another one.
    rows = {part: [f"{part}:{place}" for place in range(len(held.row_ids))] for part, held in parts.items()}
    families = _families(parts)
    shown = {family: parent for parent, family in reversed(families.items())}
    tautomers = {part: [families[parent] for parent in parents] for part, parents in found[-1].items()}
    chain = [rows, *found, tautomers]
    return {
        kind: _Level(chain[number + 1], chain[number], shown if kind == "tautomers" else {})
        for number, kind in enumerate(LIKENESS_KINDS)
    }


def _families(parts: Mapping[str, Compared]) -> dict[str, str]:
    """Parent -> name of its family of tautomers: parents that share a hash, directly or through others."""
    leader: dict[str, str] = {}

    def find(name: str) -> str:
        while leader.setdefault(name, name) != name:
            leader[name] = leader[leader[name]]
            name = leader[name]
        return name

    parents: dict[str, str] = {}
    for held in parts.values():
        for one in held.likeness:
            if one.parent not in parents:
                first, second = (f"{number} {text}" for number, text in enumerate(one.tautomers))
                leader[find(second)] = find(first)
                parents[one.parent] = first
    return {parent: find(name) for parent, name in parents.items()}


def _groups(level: _Level) -> dict[str, dict[str, Fines]]:
    """Coarse text -> part -> finer text -> places; only where finer texts differ."""
    groups: dict[str, dict[str, Fines]] = {}
    for part, coarse in level.coarse.items():
        for place, (text, fine) in enumerate(zip(coarse, level.fine[part], strict=True)):
            groups.setdefault(text, {}).setdefault(part, {}).setdefault(fine, []).append(place)
    return {text: held for text, held in groups.items() if len(set().union(*held.values())) > 1}


def _facts(
    scope: tuple[str, ...],
    level: _Level,
    groups: Mapping[str, Mapping[str, Fines]],
    parts: Mapping[str, Compared],
    tasks: tuple[str, ...],
) -> dict[str, Any]:
    found, gaps = [], []
    for text, held in groups.items():
        concerned = _concerned(scope, held)
        if concerned:
            found.append((level.shown.get(text, text), concerned))
            gaps.append(_gap(scope, concerned, parts))
    every = np.array(gaps, np.float64).reshape(len(gaps), len(tasks))
    differ = every > 0  # False for NaN
    examples = [
        {
            "smiles": text,
            "row_ids": {name: _row_ids(parts[name], held[name]) for name in scope},
            "conflicts": [task for task, flag in zip(tasks, flags, strict=True) if flag],
        }
        for (text, held), flags in zip(found, differ, strict=True)
    ]
    return {
        "groups": len(found),
        "molecules": {name: sum(_count(held[name]) for _, held in found) for name in scope},
        "conflicts": {"groups": int(differ.any(1).sum()), "tasks": _by_task(every, tasks)},
        "examples": sorted(examples, key=lambda example: not example["conflicts"])[:EXAMPLES],
    }


def _by_task(gaps: npt.NDArray[np.float64], tasks: tuple[str, ...]) -> dict[str, Any]:
    """Groups that contradict and the largest difference of the tasks that have any; ``gaps`` [groups, T]."""
    differ = gaps > 0
    return {
        task: {"groups": int(differ[:, n].sum()), "largest_gap": float(gaps[differ[:, n], n].max())}
        for n, task in enumerate(tasks)
        if differ[:, n].any()
    }


def _concerned(scope: tuple[str, ...], held: Mapping[str, Fines]) -> dict[str, Fines]:
    """The molecules of a group that have one of another finer text in the scope; {} where none has."""
    found: dict[str, Fines] = {}
    for name, other in zip(scope, reversed(scope), strict=True):
        there = held.get(other, {})
        found[name] = {
            fine: places for fine, places in held.get(name, {}).items() if len(there) - (fine in there) > 0
        }
    return found if all(found.values()) else {}


def _count(fines: Fines) -> int:
    return sum(map(len, fines.values()))


def _row_ids(part: Compared, fines: Fines) -> list[str]:
    return [part.row_ids[place] for place in sorted(place for places in fines.values() for place in places)]


def _gap(scope: tuple[str, ...], held: Mapping[str, Fines], parts: Mapping[str, Compared]) -> Float64Array:
    """Largest difference [T] of labels of two molecules, one of each part, of other finer texts; or NaN."""
    names = list(dict.fromkeys(fine for fines in held.values() for fine in fines))
    one, other = (_range(names, held[name], parts[name].labels) for name in (scope[0], scope[-1]))
    widest = np.maximum(_widest(one[0], other[1]), _widest(other[0], one[1]))
    return np.where(np.isfinite(widest), widest, np.nan)


def _range(names: list[str], fines: Fines, labels: Float64Array) -> tuple[Float64Array, Float64Array]:
    """Highest and lowest label [F, T] of every finer text; -inf and inf where there is none."""
    high = np.full((len(names), labels.shape[1]), -np.inf)
    low = np.full((len(names), labels.shape[1]), np.inf)
    for number, name in enumerate(names):
        if name in fines:
            mine = labels[fines[name]]
            high[number] = np.fmax.reduce(mine, axis=0, initial=-np.inf)
            low[number] = np.fmin.reduce(mine, axis=0, initial=np.inf)
    return high, low


def _widest(high: Float64Array, low: Float64Array) -> Float64Array:
    """Largest high [F, T] minus low [F, T] over two different texts, by task [T]."""
    first = low.argmin(0)  # [T]
    columns = np.arange(low.shape[1])
    others = low.copy()
    others[first, columns] = np.inf
    lowest_other = np.where(
        np.arange(len(low))[:, None] == first, others.min(0), low[first, columns]
    )  # [F, T]
    with np.errstate(invalid="ignore"):
        return np.asarray(np.nanmax(high - lowest_other, axis=0, initial=-np.inf), np.float64)
