"""Which columns of a store a property run learns, and whether anything can be learned from them."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence

from moleblend_plugin.data.batches.label_statistics import Labels
from moleblend_plugin.data.store.reader import MoleculeStore
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.metrics.scores import CLASSIFICATION
from moleblend_plugin.names import closest_name, parse_names, write_names
from moleblend_plugin.schema import InputMode

logger = logging.getLogger("moleblend_plugin")


def choose_columns(store: MoleculeStore, wanted: str) -> list[str]:
    """Names of the columns to train on.

    Raises:
        MoleblendError: the store has no such column, or none at all; a close name is told.
    """
    there = list(store.meta.target_names)
    if not there:
        raise MoleblendError(f"{store.path} holds no labels; build it again with --target-columns NAME,...")
    if wanted == "all":
        return there
    names = [wanted.strip()] if wanted.strip() in there else list(parse_names(wanted))
    for name in names:
        if name not in there:
            close = closest_name(name, there)
            hint = f" (did you mean {close!r}?)" if close else ""
            raise MoleblendError(
                f"--target-columns: {store.path} has no column {name!r}{hint}; it holds {listed(there)}"
            )
    if len(set(names)) < len(names) or not names:
        raise MoleblendError(f"--target-columns {wanted!r}: name every column once")
    return names


def listed(names: Iterable[str]) -> str:
    """Names with commas between them."""
    return write_names(names, ", ")


def split_off_weights(
    store: MoleculeStore, names: list[str], wanted: str, all_columns: bool
) -> tuple[list[str], int]:
    """``names`` without the column of weights, and its place in the store.

    Args:
        store: what is read.
        names: columns of labels.
        wanted: ``--weight-column``.
        all_columns: whether ``names`` are all that there are, and were not asked for one by one.

    Raises:
        MoleblendError: the store has no such column, it is asked for as a label too, or nothing is left.
    """
    there = list(store.meta.target_names)
    if wanted not in there:
        raise MoleblendError(
            f"--weight-column: {store.path} has no column {wanted!r}; it holds {listed(there)} (name it "
            "among --target-columns of the build)"
        )
    if not all_columns and wanted in names:
        raise MoleblendError(f"--weight-column {wanted!r} is one of --target-columns too: name it once")
    left = [name for name in names if name != wanted]
    if not left:
        raise MoleblendError(f"{store.path} holds no column of labels beside --weight-column {wanted!r}")
    return left, there.index(wanted)


def split_off_descriptors(
    store: MoleculeStore, names: list[str], wanted: Sequence[str], all_columns: bool
) -> list[str]:
    """``names`` without the columns that the head reads.

    Args:
        store: what is read.
        names: columns of labels.
        wanted: those of ``--descriptors-columns``.
        all_columns: whether ``names`` are all that there are, and were not asked for one by one.

    Raises:
        MoleblendError: the store has no such column, it is asked for as a label too, or no label is left.
    """
    there = list(store.meta.target_names)
    for name in wanted:
        if name not in there:
            raise MoleblendError(
                f"--descriptors-columns: {store.path} has no column {name!r}; it holds {listed(there)} (name "
                "it among --target-columns of the build)"
            )
        if not all_columns and name in names:
            raise MoleblendError(
                f"--descriptors-columns {name!r} is one of --target-columns too: name it once"
            )
    if len(set(wanted)) < len(wanted):
        raise MoleblendError(f"--descriptors-columns {write_names(wanted)!r}: name every column once")
    left = [name for name in names if name not in wanted]
    if not left:
        raise MoleblendError(f"{store.path} holds no column of labels beside --descriptors-columns")
    return left


def columns_of(store: MoleculeStore, names: list[str]) -> list[int]:
    """Places of ``names`` among the columns of a store, which may hold them in another order.

    Raises:
        MoleblendError: it lacks one.
    """
    there = list(store.meta.target_names)
    missing = [name for name in names if name not in there]
    if missing:
        raise MoleblendError(
            f"{store.path} has no column {missing[0]!r}, which the training split has; build all parts "
            "together with 'moleblend build ... --split'"
        )
    return [there.index(name) for name in names]


def check_training_labels(labels: Labels, split: str) -> None:
    """Refuse labels that nothing can be learned from; warn of columns that nothing can be learned about.

    Raises:
        MoleblendError: no label, or classification with one class everywhere.
    """
    if not labels.present.any():
        raise MoleblendError(
            f"every label of {listed(labels.names)} is missing in {split}: check the column and the split"
        )
    columns = zip(labels.names, labels.present, labels.is_class | bool(labels.of_class), strict=True)
    empty = [name for name, count, is_class in columns if not count and not is_class]
    if empty:
        logger.warning(f"{split}: no label at all in {listed(empty)}; nothing is learned about them")
    if len(labels.one_class) == len(labels.names):
        raise MoleblendError(
            f"{split}: {listed(labels.names)} has one class only, so there is nothing to learn; check "
            "the column and the split"
        )
    if labels.one_class:
        logger.warning(
            f"{split}: one class only (or no label) in {listed(labels.one_class)}; little is learned "
            "about them"
        )


def check_valid_labels(labels: Labels, split: str, metric: str | None) -> None:
    """Refuse labels on which ``metric`` does not exist; warn of columns that scores leave out.

    Raises:
        MoleblendError: no label, or the metric of the best checkpoint needs two classes and none has both.
    """
    if not labels.present.any():
        raise MoleblendError(
            f"every label of {listed(labels.names)} is missing in {split}, so nothing can be measured; "
            "build with another split, or give --disable-validation"
        )
    if not labels.one_class:
        return
    if labels.of_class:
        logger.warning(f"{split}: one class only in {listed(labels.one_class)}; ROC AUC leaves it out")
        return
    if len(labels.one_class) == labels.is_class.sum() and metric in CLASSIFICATION:
        raise MoleblendError(
            f"{split}: no column has both classes, so {metric} does not exist; build with another split, "
            "or give --best-checkpoint-metric loss"
        )
    logger.warning(
        f"{split}: {listed(labels.one_class)} lack a class; {' and '.join(CLASSIFICATION)} leave them out"
    )


def warn_missing_3d(labels: Labels, mode: InputMode, split: str) -> None:
    """Say how many molecules show another side than ``mode`` for want of coordinates."""
    if labels.without_3d and mode != "2d":
        logger.warning(
            f"{split}: {labels.without_3d} of {len(labels.conformers)} molecules have no 3D and show their "
            f"2D relations (first: {labels.first_without_3d}); build with --conformers 1 or more, or give "
            "--input-mode 2d"
        )
