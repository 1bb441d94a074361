"""``moleblend_plugin.build``: files of molecules -> stores of the parts, rejected.csv and reports."""

from __future__ import annotations

import time
from collections.abc import Sequence

from moleblend_plugin.building.convert_rows import check_inputs, finish_rows
from moleblend_plugin.building.descriptors import values_of
from moleblend_plugin.building.divide import assign_parts
from moleblend_plugin.building.finish import finish
from moleblend_plugin.building.options import AnyPath, BuildOptions, plan_of
from moleblend_plugin.building.outputs import StoreWriters, rejected_cells
from moleblend_plugin.building.plan import BuildPlan
from moleblend_plugin.building.progress import BuildProgress, Progress, RowCounter, silent
from moleblend_plugin.building.result import BuildResult
from moleblend_plugin.building.stage import refuse_existing_stores, staging
from moleblend_plugin.building.terms import terms_of
from moleblend_plugin.building.work import work_of, work_settings
from moleblend_plugin.chem.geometry.conformer_method import DEFAULT_METHOD


def build(
    inputs: AnyPath | Sequence[AnyPath],
    out: AnyPath,
    *,
    smiles_column: str = "",
    target_columns: str | Sequence[str] = (),
    missing_label: str | float | Sequence[str | float] = (),
    positive: str | Sequence[str] = (),
    negative: str | Sequence[str] = (),
    conformers: int | str | None = 1,
    split: str = "none",
    valid: AnyPath | Sequence[AnyPath] = (),
    test: AnyPath | Sequence[AnyPath] = (),
    split_sizes: str | Sequence[float] = (0.8, 0.1, 0.1),
    seed: int = 0,
    workers: int | None = None,
    strict: bool = False,
    timeout: float = 20.0,
    conformer_method: str = DEFAULT_METHOD,
    relax_steps: int | None = None,
    limit: int | None = None,
    source_coords: bool = True,
    geometry: AnyPath | None = None,
    exclude: AnyPath | Sequence[AnyPath] = (),
    exclude_level: str = "connectivity",
    descriptors: bool = False,
    ecfp: bool = False,
    row_timeout: float | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> BuildResult:
    """Turn files of molecules into stores for training, as ``moleblend build`` does.

    A row that is no molecule is listed with its reason in ``rejected.csv``; it never stops the build
    (``strict`` makes it). An interrupted build resumes when it is called again (``docs/store.md``).
    With more than one worker a script calls it below ``if __name__ == "__main__":``.

    Args:
        inputs: one file or several, or folders of ``train.csv``, ``valid.csv`` ...
        out: folder for the stores and reports.
        smiles_column: column of SMILES in tables; "" looks for a usual name.
        target_columns: columns of labels; "all" takes every column of numbers.
        missing_label: numbers or words that stand for a missing label.
        positive: words that mean class 1, besides the usual ones.
        negative: words that mean class 0.
        conformers: for each molecule without 3D coordinates; ``None`` or "none" leaves it 2D.
        split: "none", "random", "scaffold", "scaffold-achiral", "rows:FILE", "kfold:K:I", "column:NAME" or
            "files".
        valid: files that validate; the inputs then train.
        test: files that test.
        split_sizes: fractions of train, valid and test.
        seed: of conformers and of the random split.
        workers: processes that convert; ``None`` for one per core.
        strict: stop at the first rejected row.
        timeout: seconds per molecule for its conformers.
        conformer_method: "full" (ETKDGv3 of all atoms, to the minimum of MMFF94) or "fast" (heavy atoms by
            KDG, 100 steps: a quarter of the time).
        relax_steps: MMFF94 steps for each conformer at most; 0 does not relax; ``None`` for those of the
            method (1,000 or 100).
        limit: read only the first rows.
        source_coords: keep 3D coordinates that an input brings, or treat it as 2D.
        geometry: SDF with the geometries of the table's first rows.
        exclude: files of molecules to leave out.
        exclude_level: when two molecules are the same: "exact", "connectivity" or "parent".
        descriptors: store RDKit's 2D descriptors of every molecule, for pretraining that learns them.
        ecfp: store ECFP4 counts of every molecule likewise.
        row_timeout: reject a row that takes longer, in seconds, or that ends its process; ``None``: such a
            row ends the build.
        overwrite: replace stores in ``out``.
        progress: called with news while it works.

    Raises:
        MoleblendError: anything that the user can correct; what was in ``out`` then is as before.
    """
    given = dict(locals())
    report = given.pop("progress") or silent
    plan = plan_of(
        given.pop("inputs"),
        given.pop("out"),
        BuildOptions(**given),
        lambda line: report(BuildProgress("choice", line)),
    )
    return run_build(plan, report)


def run_build(plan: BuildPlan, progress: Progress) -> BuildResult:
    """Build the stores of ``plan``, beginning with what an interrupted build of it has finished."""
    refuse_existing_stores(plan.out, plan.overwrite)
    check_inputs(plan)
    started = time.monotonic()
    checksums = plan.checksums()
    work = work_of(plan)

    def note(line: str) -> None:
        progress(BuildProgress("note", line))

    settings = work_settings(plan, work, checksums)
    with staging(plan.out, plan.overwrite, settings, note) as stage:
        resumed = len(stage.rows)
        finish_rows(plan, work, stage.rows, RowCounter(plan.sources, plan.limit, progress))
        terms = terms_of(plan, checksums)
        return finish(
            terms,
            stage,
            assign_parts(plan, stage.rows),
            values_of(stage.rows),
            lambda folder, held: StoreWriters(folder, terms, held),
            rejected_cells(stage.rows, plan.sources),
            resumed,
            started,
        )
