"""The end of a build: finished rows to stores and reports. The same code for one run and for pieces."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from moleblend_plugin.building.descriptors import ValuesOf, descriptor_settings
from moleblend_plugin.building.divide import write_split
from moleblend_plugin.building.duplicates import duplicates
from moleblend_plugin.building.outputs import REJECTED, REPORT, RejectedCells, Writers, write_rejected
from moleblend_plugin.building.result import BuildResult, Tally, result_of
from moleblend_plugin.building.stage import NothingToBuild, Stage
from moleblend_plugin.building.terms import BuildTerms
from moleblend_plugin.chem.convert import TOOLKIT
from moleblend_plugin.chem.identity.featurizers import probe_ecfp
from moleblend_plugin.chem.identity.sparse_ecfp import ecfp_settings
from moleblend_plugin.schema import PARTS
from moleblend_plugin.splits.split_list import SPLIT_LIST


def finish(
    terms: BuildTerms,
    stage: Stage,
    parts: bytes,
    values: ValuesOf,
    writers_of: Callable[[Path, dict[str, Any]], Writers],
    beside: dict[str, RejectedCells],
    resumed: int,
    started: float,
) -> BuildResult:
    """Write the stores and all lists to the stage's folder, and count on the way.

    Args:
        terms: of the build.
        stage: its finished rows, and the folder.
        parts: part (index into ``PARTS``) of every molecule.
        values: gives descriptors of molecules.
        writers_of: gives what writes the stores, for a folder and their settings.
        beside: what the inputs say beside rejected rows.
        resumed: rows that an interrupted build had finished.
        started: when the build began, by ``time.monotonic``.

    Raises:
        NothingToBuild: there is no molecule, or no label though there are columns of them.
    """
    finished, folder, settings = stage.rows, stage.result, dict(terms.settings)
    tally = Tally(terms.targets, resumed)
    for bad in finished.rejections():
        tally.reject(bad)
    for row in finished.exclusions():
        tally.rows[row.source] += 1
        tally.excluded[row.cause] += 1
    if terms.descriptors:
        settings["descriptors"] = descriptor_settings(values, parts)
    if terms.ecfp:
        settings["ecfp"] = ecfp_settings(TOOLKIT) | {"probe": probe_ecfp()}
    with writers_of(folder, settings) as writers:
        for part, molecule in zip(parts, finished.molecules(), strict=True):
            tally.add(PARTS[part], molecule)
            writers.add(PARTS[part], molecule)
        _refuse_nothing(terms, tally)
        splits = writers.counts(tally.rejected)
    write_rejected(folder / REJECTED, finished, beside)
    result = result_of(
        terms,
        tally,
        duplicates(finished, parts, terms.targets),
        splits,
        write_split(folder / SPLIT_LIST, terms, finished, parts),
        settings,
        time.monotonic() - started,
    )
    result.write(folder / REPORT)
    return result


def _refuse_nothing(terms: BuildTerms, tally: Tally) -> None:
    """Refuse a build without molecules, or with target columns but without any label."""
    names = ", ".join(terms.inputs)
    if not tally.molecules:
        reasons = [f"{reason}: {count}" for reason, count in tally.rejected.most_common(3)]
        for cause, by in (("split", "the split"), ("list", "--exclude")):
            reasons += [f"excluded by {by}: {tally.excluded[cause]}"] if tally.excluded[cause] else []
        _, colon, detail = tally.first_reason.partition(": ")
        first = f"; the first one: {detail}" if colon else ""
        first += f"; {terms.method.name} holds {tally.unknown_words}" if len(tally.unknown_parts) > 1 else ""
        nothing = f"({'; '.join(reasons) or 'no rows'}{first})"
        if tally.excluded["list"] and not tally.rejected:
            raise NothingToBuild(f"no molecule of {names} is left {nothing}; give another --exclude")
        raise NothingToBuild(f"no row of {names} is a molecule {nothing}; check the column and file")
    if terms.targets and not any(any(counts.values()) for counts in tally.labels.values()):
        columns = ", ".join(map(repr, terms.targets[:5])) + (", ..." if terms.targets[5:] else "")
        raise NothingToBuild(
            f"none of the {tally.molecules:,} molecules of {names} has a label in {columns}; check "
            "--target-columns, or leave it out for molecules without labels"
        )
