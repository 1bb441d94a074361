"""Which molecules train, choose and test. Rows of one molecule never fall into two parts.

A molecule here is one without stereochemistry and isotopes, so that the leak report finds none in two parts.

Legend: n molecules of the table (rows), G groups of rows that stay together.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from moleblend_plugin.chem.identity.scaffold import scaffold_of
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.fitting.options import FitOptions
from moleblend_plugin.fitting.table import FitTable
from moleblend_plugin.schema import PARTS
from moleblend_plugin.splits.given_rows import read_rows_file
from moleblend_plugin.splits.methods import PART_WORDS, kfold_split, parse_split, random_split
from moleblend_plugin.splits.report import PartIdentities

_TRAIN, _VALID, _TEST = range(len(PARTS))
OUT: Final = len(PARTS)
"""Of rows that are in no part."""

_FORMATS: Final = ("%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%Y%m%d", "%d.%m.%Y", "%Y-%m", "%Y/%m", "%Y")


class Divided(NamedTuple):
    """Parts of a table.

    Attributes:
        parts: int64 [n], index into ``PARTS``, or ``OUT``.
        method: in a word, for ``split.json``.
        settings: what decided beside the molecules, plain values.
        notes: lines for people.
    """

    parts: npt.NDArray[np.int64]
    method: str
    settings: dict[str, Any]
    notes: tuple[str, ...] = ()

    def rows(self, part: str) -> npt.NDArray[np.int64]:
        """Places of the molecules of a part."""
        return np.flatnonzero(self.parts == PARTS.index(part))


def divide(table: FitTable, identities: PartIdentities) -> Divided:
    """Parts of every molecule, as the options say.

    Raises:
        MoleblendError: a column that does not say it, or a part that stays without molecules.
    """
    options = table.options
    molecule = _numbered([each.molecule for each in identities.identities])
    if options.valid or options.test:
        found = _by_files(table)
    elif options.split_column:
        found = _by_column(table)
    elif options.split.startswith("rows:"):
        found = _by_rows(table)
    else:
        return _checked(_chosen(table, molecule), table)
    return _checked(found._replace(notes=(*found.notes, *_straddling(found.parts, molecule))), table)


def _chosen(table: FitTable, molecule: npt.NDArray[np.int64]) -> Divided:
    """Parts that are drawn, or follow from groups, dates or scaffolds; one number per group of rows."""
    options, sizes = table.options, (1 - table.options.test_size, 0.0, table.options.test_size)
    drawn: dict[str, Any] = {"sizes": list(sizes), "seed": options.seed}
    if options.group_column:
        group = _joined(molecule, _numbered(table.column(options.group_column)))
        parts = _weighted_random(group, sizes[2], options.seed)
        return Divided(parts, "group", drawn | {"column": options.group_column})
    if options.date_column:
        return Divided(
            _by_date(table, molecule), "date", {"sizes": list(sizes), "column": options.date_column}
        )
    method = split_method(options, table)
    groups = int(molecule.max()) + 1
    if method.startswith("kfold:"):
        how = parse_split(method)
        each = np.array(kfold_split(groups, how.folds, how.fold, options.seed))
        each[each == _VALID] = _TRAIN  # folds of the ensemble choose
        return Divided(each[molecule], method, {"folds": how.folds, "fold": how.fold, "seed": options.seed})
    if method == "none" or not options.test_size:
        return Divided(np.zeros(len(molecule), np.int64), "none", {})
    if method == "scaffold":
        scaffolds = [scaffold_of(text, chiral=False) for text in table.smiles]
        return Divided(_by_scaffold(molecule, scaffolds, options), method, drawn | {"chirality": False})
    if method == "stratified":
        return Divided(_stratified(table, molecule, options), method, drawn)
    if method != "random":
        raise MoleblendError(
            f"--split {method!r} is unknown: choose from random, stratified, scaffold, none, kfold:K:I or "
            "rows:FILE, or give --group-column, --date-column, --split-column, or --test FILE"
        )
    each = np.array(random_split(groups, sizes, options.seed))
    return Divided(each[molecule], method, drawn)


def split_method(options: FitOptions, table: FitTable) -> str:
    """``--split``; one column of classes is divided in proportion unless something else is asked for."""
    if options.split != "auto":
        return options.split
    of_classes = table.kind in ("classification", "multiclass")
    return "stratified" if of_classes and len(table.names) == 1 else "random"


def _numbered(texts: Sequence[str]) -> npt.NDArray[np.int64]:
    """Equal texts get equal numbers, 0 to G - 1 in order of first appearance."""
    known: dict[str, int] = {}
    return np.array([known.setdefault(text, len(known)) for text in texts], np.int64)


def _joined(one: npt.NDArray[np.int64], other: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Groups in which rows are together that either way has together, directly or through others."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    size = int(one.max()) + 1
    rows, columns = one, other + size
    total = size + int(other.max()) + 1
    graph = coo_matrix((np.ones(len(one)), (rows, columns)), shape=(total, total))
    found: npt.NDArray[np.int64] = connected_components(graph, directed=False)[1][one].astype(np.int64)
    return found


def _weighted_random(group: npt.NDArray[np.int64], share: float, seed: int) -> npt.NDArray[np.int64]:
    """Whole groups, drawn, until the test part has its share; a group that is larger than that trains."""
    counts = np.bincount(group)
    wanted, held = max(1, round(share * len(group))), 0
    test = np.zeros(len(counts), bool)
    for number in np.random.default_rng(seed).permutation(len(counts)).tolist():
        if counts[number] and held < wanted and held + counts[number] <= 1.5 * wanted:
            test[number] = True
            held += int(counts[number])
    return np.where(test[group], _TEST, _TRAIN).astype(np.int64)


def _by_scaffold(
    molecule: npt.NDArray[np.int64], scaffolds: Sequence[str], options: FitOptions
) -> npt.NDArray[np.int64]:
    """Molecules of one scaffold stay together; one without a ring has none to share and counts by itself."""
    own = [
        text or f"without a ring {number}" for text, number in zip(scaffolds, molecule.tolist(), strict=True)
    ]
    return _weighted_random(_joined(molecule, _numbered(own)), options.test_size, options.seed)


def _stratified(
    table: FitTable, molecule: npt.NDArray[np.int64], options: FitOptions
) -> npt.NDArray[np.int64]:
    """In proportion to the first column's labels: one of every so many neighbours in their order tests."""
    random = np.random.default_rng(options.seed)
    label = np.full(int(molecule.max()) + 1, np.nan)
    label[molecule[::-1]] = table.labels[::-1, 0]  # of replicates the first
    order = random.permutation(len(label))
    order = order[np.argsort(label[order], kind="stable")]  # NaN last
    test = np.zeros(len(label), bool)
    for neighbours in np.array_split(order, max(1, round(options.test_size * len(label)))):
        test[random.choice(neighbours)] = True
    return np.where(test[molecule], _TEST, _TRAIN).astype(np.int64)


def _by_date(table: FitTable, molecule: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The molecules that were first seen last test: none of them was known before."""
    name = table.options.date_column
    days = np.array([_day(cell, name) for cell in table.column(name)])
    first = np.full(int(molecule.max()) + 1, np.iinfo(np.int64).max)
    np.minimum.at(first, molecule, days)
    order = np.argsort(first, kind="stable")
    wanted = max(1, round(table.options.test_size * len(first)))
    edge = first[order[-wanted]]
    later = first > edge if np.count_nonzero(first >= edge) > 1.5 * wanted else first >= edge
    if not later.any() or later.all():
        raise MoleblendError(
            f"--date-column {name}: too many rows are of one day to part them by date: give another column"
        )
    return np.where(later[molecule], _TEST, _TRAIN).astype(np.int64)


def _day(cell: str, name: str) -> int:
    try:
        return (
            datetime.fromisoformat(cell).date().toordinal()
            if len(cell) > len("20200101")
            else _plain_day(cell)
        )
    except ValueError:
        pass
    try:
        return _plain_day(cell)
    except ValueError as error:
        raise MoleblendError(
            f"--date-column {name} holds {cell[:30]!r}: dates are written as 2024-03-31, 2024/03/31, "
            "31.03.2024, "
            "2024-03 or 2024"
        ) from error


def _plain_day(cell: str) -> int:
    for form in _FORMATS:
        try:
            return date.toordinal(datetime.strptime(cell, form))
        except ValueError:
            continue
    raise ValueError(cell)


def _by_files(table: FitTable) -> Divided:
    index = {"": _TRAIN, "valid": _VALID, "test": _TEST}
    parts = np.array([index[table.held.parts[place]] for place in table.kept.tolist()], np.int64)
    files = {"valid": list(table.options.valid), "test": list(table.options.test)}
    return Divided(parts, "files", {"files": files})


def _by_column(table: FitTable) -> Divided:
    name = table.options.split_column
    words = [cell.lower() for cell in table.column(name)]
    unknown = sorted({word for word in words if word not in PART_WORDS})
    if unknown:
        raise MoleblendError(
            f"--split-column {name} holds {', '.join(map(repr, unknown[:3]))}: parts are called train, valid "
            "(val, dev) and test"
        )
    parts = np.array([PARTS.index(PART_WORDS[word]) for word in words], np.int64)
    return Divided(parts, "column", {"column": name})


def _by_rows(table: FitTable) -> Divided:
    given = read_rows_file(table.options.split.partition(":")[2])
    if given.key:
        numbers = [int(cell) if cell.lstrip("-").isdecimal() else -1 for cell in table.column(given.key)]
    else:
        given.check_count(len(table.held.rows), table.options.data)
        numbers = [table.held.rows[place].row for place in table.kept.tolist()]
    names = [given.part_of(number) for number in numbers]
    parts = np.array([PARTS.index(name) if name else OUT for name in names], np.int64)
    return Divided(parts, "rows", {"file": given.path.name, "sha256": given.sha256})


def _check_several(table: FitTable, rows: npt.NDArray[np.int64]) -> None:
    """Refuse a training part that lacks one of several classes (``MoleblendError``)."""
    there = set(table.labels[rows, 0].tolist())
    lost = [word for place, word in enumerate(table.class_names) if place not in there]
    if lost:
        raise MoleblendError(
            f"the split leaves no molecule of class {lost[0]!r} to train on: give --split stratified or "
            f"another seed, or leave the class out by --missing-label {lost[0]!r}"
        )


def _straddling(parts: npt.NDArray[np.int64], molecule: npt.NDArray[np.int64]) -> list[str]:
    """A warning where a split that was given has a molecule in two parts."""
    order = np.lexsort((parts, molecule))
    same = (molecule[order][1:] == molecule[order][:-1]) & (parts[order][1:] != parts[order][:-1])
    count = len(set(molecule[order][1:][same].tolist()))
    if not count:
        return []
    return [
        f"warning: {count:,} molecules are in two parts of the split that was given: scores may be too good"
    ]


def _checked(found: Divided, table: FitTable) -> Divided:
    train, test = found.rows("train"), found.rows("test")
    if len(train) < len(PARTS):
        raise MoleblendError(f"the split leaves {len(train)} molecules to train on: give a smaller test part")
    wants_test = found.method != "none" and not (found.method == "files" and not table.options.test)
    if wants_test and not len(test):
        raise MoleblendError("the split leaves no molecule to test on: give --test-size, or --split none")
    if table.class_names:
        _check_several(table, np.concatenate((train, found.rows("valid"))))
    elif "classification" in table.kinds:
        rows = np.concatenate((train, found.rows("valid")))
        columns = zip(table.names, table.labels[rows].T, table.classes_of, strict=True)
        for name, column, is_class in columns:
            if is_class and len(set(column[~np.isnan(column)].tolist())) < 2:
                raise MoleblendError(
                    f"the split leaves one class of {name!r} to train on: give --split stratified or "
                    "another seed"
                )
    notes = list(found.notes)
    if len(found.rows("valid")):
        notes.append(
            f"{len(found.rows('valid')):,} rows of the part valid join the training part, whose folds choose "
            "the epoch"
        )
    return found._replace(notes=tuple(notes))
