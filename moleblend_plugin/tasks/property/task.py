"""``--task moleblend_property``: stored molecules with labels -> fine-tuning, or training from scratch."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, ClassVar, Final, cast

from moleblend_plugin.data.batches.label_statistics import Labels, read_labels
from moleblend_plugin.data.batches.labelled import PropertyMolecules
from moleblend_plugin.data.store.reader import MoleculeStore
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.host import HOST, BaseModel, register_task
from moleblend_plugin.losses.term_table import TOTAL
from moleblend_plugin.metrics.scores import CLASSIFICATION, METRICS
from moleblend_plugin.models.property.network import PropertyOutputs
from moleblend_plugin.names import parse_names, write_names
from moleblend_plugin.runs.flags import read_flags
from moleblend_plugin.schema import InputMode, LabelKind
from moleblend_plugin.tasks.base import StoreTask, open_split
from moleblend_plugin.tasks.guards import check_direction
from moleblend_plugin.tasks.layer_decay import LayerDecay, check_scaled_steps

if TYPE_CHECKING:
    from typing import Self

    from moleblend_plugin.host import HostOptimizer

logger = logging.getLogger("moleblend_plugin")

KIND_OF_LOSS: Final[dict[str, LabelKind]] = {
    "moleblend_classification": "classification",
    "moleblend_regression": "regression",
}


@dataclass(frozen=True, slots=True)
class PropertyTaskConfig:
    """What a property run reads, and how fast its layers learn.

    Attributes:
        target_columns: columns of the store with commas between them, or all; a name with a comma in double
            quotes.
        input_mode: what the network sees: 2d, 3d or both; a molecule without 3D shows 2D in any case.
        layer_lr_decay: learning rate of every layer over that of the layer above it (1: the same for all).
        weight_column: column of the store that holds what each molecule's labels count in the loss, not a
            label itself (default: all count alike).

    Raises:
        MoleblendError: an impossible value.
    """

    target_columns: str = "all"
    input_mode: InputMode = "both"
    layer_lr_decay: float = 1.0
    weight_column: str = ""

    def __post_init__(self) -> None:
        if not 0 < self.layer_lr_decay <= 1:
            raise MoleblendError(f"--layer-lr-decay {self.layer_lr_decay:g}: give 0 < F <= 1 (1 is off)")


@register_task("moleblend_property")
class MoleblendPropertyTask(StoreTask):
    """Labels of molecules from a folder of stores (``train.lmdb``, ``valid.lmdb``, ...).

    Args:
        args: the run's options.
        config: the task's own.
        kind: "classification" or "regression".
        labels: statistics of the training split.
    """

    EPOCH_CHECKPOINTS: ClassVar[bool] = False
    """The embedded trainer keeps the best and the last checkpoint of a fine-tuning, none of other epochs."""

    CONFIGS = (PropertyTaskConfig,)

    def __init__(
        self, args: argparse.Namespace, config: PropertyTaskConfig, kind: LabelKind, labels: Labels
    ) -> None:
        super().__init__(args)
        self.config = config
        self.kind = kind
        self.labels = labels
        self.layer_decay: LayerDecay | None = None

    @classmethod
    def setup_task(cls, args: argparse.Namespace, **kwargs: Any) -> Self:
        """Check the flags and read the training labels; sets ``args.target_names``."""
        cls.check(args)
        config = read_flags(args, PropertyTaskConfig)
        kind = kind_of(args.loss)
        check_direction(args, [TOTAL, *(metric.curve for metric in METRICS.values())])
        if config.layer_lr_decay != 1:
            check_scaled_steps(args, "--layer-lr-decay")
        store = open_split(args.data, args.train_subset)
        names, weights = choose_columns(store, config.target_columns), None
        if config.weight_column:
            names, weights = split_off_weights(store, names, config)
        args.target_names = names
        args.conversion = store.meta.settings.get("conversion")  # for whoever predicts new molecules
        labels = read_labels(store, columns_of(store, names), names, kind, weights)
        check_training_labels(labels, kind, args.train_subset)
        _warn_missing_3d(labels, config.input_mode, args.train_subset)
        _make_room(args)
        return cls(args, config, kind, labels)

    def molecules(self, store: MoleculeStore, split: str, training: bool) -> PropertyMolecules:
        """Training draws a conformer per epoch; any other split has one item per conformer."""
        names, mode = self.args.target_names, self.config.input_mode
        columns, weighs = columns_of(store, names), self.config.weight_column
        weights = columns_of(store, [weighs])[0] if weighs else None
        if training:
            return PropertyMolecules(
                store, columns, mode, self.args.seed, shuffle=True, strict=self.strict, weight_column=weights
            )
        labels = read_labels(store, columns, names, self.kind, weights)
        first = split == self.args.valid_subset.split(",")[0]
        check_valid_labels(labels, self.kind, split, self.args.best_checkpoint_metric if first else None)
        _warn_missing_3d(labels, mode, split)
        return PropertyMolecules(
            store,
            columns,
            mode,
            self.args.seed,
            conformers="all",
            strict=self.strict,
            counts=labels.conformers,
            weight_column=weights,
        )

    def optimizer_step(self, optimizer: HostOptimizer, model: BaseModel, update_num: int) -> None:
        """Apply the gradients, lower layers more slowly with ``--layer-lr-decay``."""
        if self.config.layer_lr_decay == 1:
            super().optimizer_step(optimizer, model, update_num)
            return
        if self.layer_decay is None:
            depths = cast("PropertyOutputs", model).layer_depths()
            self.layer_decay = LayerDecay(depths, self.config.layer_lr_decay)
        with self.layer_decay:
            super().optimizer_step(optimizer, model, update_num)


def kind_of(loss: str) -> LabelKind:
    """What a loss trains.

    Raises:
        MoleblendError: it is no loss of property runs.
    """
    if loss not in KIND_OF_LOSS:
        raise MoleblendError(
            f"--loss {loss} does not go with --task moleblend_property: give {' or '.join(KIND_OF_LOSS)}"
        )
    return KIND_OF_LOSS[loss]


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
            lower = {other.lower(): other for other in there}
            close = get_close_matches(name.lower(), lower, 1)
            hint = f" (did you mean {lower[close[0]]!r}?)" if close else ""
            raise MoleblendError(
                f"--target-columns: {store.path} has no column {name!r}{hint}; it holds {_listed(there)}"
            )
    if len(set(names)) < len(names) or not names:
        raise MoleblendError(f"--target-columns {wanted!r}: name every column once")
    return names


def _listed(names: Iterable[str]) -> str:
    return write_names(names, ", ")


def split_off_weights(
    store: MoleculeStore, names: list[str], config: PropertyTaskConfig
) -> tuple[list[str], int]:
    """``names`` without the column of weights, and its place in the store.

    Raises:
        MoleblendError: the store has no such column, it is asked for as a label too, or nothing is left.
    """
    there, wanted = list(store.meta.target_names), config.weight_column
    if wanted not in there:
        raise MoleblendError(
            f"--weight-column: {store.path} has no column {wanted!r}; it holds {_listed(there)} (name it "
            "among --target-columns of the build)"
        )
    if config.target_columns != "all" and wanted in names:
        raise MoleblendError(f"--weight-column {wanted!r} is one of --target-columns too: name it once")
    left = [name for name in names if name != wanted]
    if not left:
        raise MoleblendError(f"{store.path} holds no column of labels beside --weight-column {wanted!r}")
    return left, there.index(wanted)


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


def check_training_labels(labels: Labels, kind: LabelKind, split: str) -> None:
    """Refuse labels that nothing can be learned from; warn of columns that nothing can be learned about.

    Raises:
        MoleblendError: no label, or classification with one class everywhere.
    """
    if not labels.present.any():
        raise MoleblendError(
            f"every label of {_listed(labels.names)} is missing in {split}: check the column and the split"
        )
    empty = [name for name, count in zip(labels.names, labels.present, strict=True) if not count]
    if kind == "regression":
        if empty:
            logger.warning(f"{split}: no label at all in {_listed(empty)}; nothing is learned about them")
        return
    if len(labels.one_class) == len(labels.names):
        raise MoleblendError(
            f"{split}: {_listed(labels.names)} has one class only, so there is nothing to learn; check "
            "the column and the split"
        )
    if labels.one_class:
        logger.warning(
            f"{split}: one class only (or no label) in {_listed(labels.one_class)}; little is learned "
            "about them"
        )


def check_valid_labels(labels: Labels, kind: LabelKind, split: str, metric: str | None) -> None:
    """Refuse labels on which ``metric`` does not exist; warn of columns that scores leave out.

    Raises:
        MoleblendError: no label, or the metric of the best checkpoint needs two classes and none has both.
    """
    if not labels.present.any():
        raise MoleblendError(
            f"every label of {_listed(labels.names)} is missing in {split}, so nothing can be measured; "
            "build with another split, or give --disable-validation"
        )
    if kind == "regression" or not labels.one_class:
        return
    if len(labels.one_class) == len(labels.names) and metric in CLASSIFICATION:
        raise MoleblendError(
            f"{split}: no column has both classes, so {metric} does not exist; build with another split, "
            "or give --best-checkpoint-metric loss"
        )
    logger.warning(
        f"{split}: {_listed(labels.one_class)} lack a class; {' and '.join(CLASSIFICATION)} leave them out"
    )


def _make_room(args: argparse.Namespace, host: str = HOST) -> None:
    """Uni-Core gathers the rows of a validation batch in a buffer of fixed size."""
    if host == "unicore":
        row = 8 * len(args.target_names) + 16  # predictions and labels; two sums and the molecule
        rows = (args.batch_size_valid or args.batch_size) * row + 4096  # names and types beside the numbers
        args.all_gather_list_size = max(args.all_gather_list_size, rows)


def _warn_missing_3d(labels: Labels, mode: InputMode, split: str) -> None:
    if labels.without_3d and mode != "2d":
        logger.warning(
            f"{split}: {labels.without_3d} of {len(labels.conformers)} molecules have no 3D and show their "
            f"2D relations (first: {labels.first_without_3d}); build with --conformers 1 or more, or give "
            "--input-mode 2d"
        )
