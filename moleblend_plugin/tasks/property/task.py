"""``--task moleblend_property``: stored molecules with labels -> fine-tuning, or training from scratch."""

from __future__ import annotations

import argparse
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final, cast

from moleblend_plugin.data.batches.label_statistics import Labels, read_labels
from moleblend_plugin.data.batches.labelled import PropertyMolecules
from moleblend_plugin.data.store.reader import MoleculeStore
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.host import HOST, BaseLoss, BaseModel, register_task
from moleblend_plugin.label_kinds import ColumnKind
from moleblend_plugin.losses.property import MulticlassConfig
from moleblend_plugin.losses.term_table import TOTAL
from moleblend_plugin.metrics.scores import METRICS
from moleblend_plugin.models.property.network import HeadConfig, PropertyOutputs
from moleblend_plugin.names import parse_names
from moleblend_plugin.runs.flags import option, read_flags
from moleblend_plugin.schema import InputMode, LabelKind
from moleblend_plugin.tasks.base import StoreTask, open_split
from moleblend_plugin.tasks.guards import check_direction
from moleblend_plugin.tasks.layer_decay import LayerDecay, check_scaled_steps
from moleblend_plugin.tasks.property.classes import check_classes, choose_classes
from moleblend_plugin.tasks.property.columns import (
    check_training_labels,
    check_valid_labels,
    choose_columns,
    columns_of,
    listed,
    split_off_descriptors,
    split_off_weights,
    warn_missing_3d,
)
from moleblend_plugin.tasks.property.head_inputs import (
    choose_extra_descriptors,
    choose_head_inputs,
    extra_columns_of,
    head_inputs_of,
)

if TYPE_CHECKING:
    from typing import Self

    from moleblend_plugin.host import HostOptimizer, StepOutput

logger = logging.getLogger("moleblend_plugin")

KIND_OF_LOSS: Final[dict[str, LabelKind]] = {
    "moleblend_classification": "classification",
    "moleblend_multiclass": "multiclass",
    "moleblend_regression": "regression",
    "moleblend_mixed": "mixed",
}


@dataclass(frozen=True, slots=True)
class PropertyTaskConfig:
    """What a property run reads, and how fast its layers learn.

    Attributes:
        target_columns: columns of the store with commas between them, or all; a name with a comma in double
            quotes.
        input_mode: what the network sees: 2d, 3d or both; a molecule without 3D shows 2D in any case.
        layer_lr_decay: learning rate of every layer over that of the layer above it (1: the same for all).
        freeze_epochs: train the head alone for the first N epochs, then all.
        weight_column: column of the store that holds what each molecule's labels count in the loss, not a
            label itself (default: all count alike).

    Raises:
        MoleblendError: an impossible value.
    """

    target_columns: str = "all"
    input_mode: InputMode = "both"
    layer_lr_decay: float = 1.0
    freeze_epochs: int = option(0, metavar="N", least=0)
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
        kind: "classification", "multiclass", "regression" or "mixed".
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
        """Check the flags and read the training labels; sets ``args.target_names``, and of a run with several
        classes ``args.num_classes``."""
        cls.check(args)
        config = read_flags(args, PropertyTaskConfig)
        kind = kind_of(args.loss)
        check_direction(args, [TOTAL, *(metric.curve for metric in METRICS.values())])
        if config.layer_lr_decay != 1:
            check_scaled_steps(args, "--layer-lr-decay")
        if config.freeze_epochs:
            check_scaled_steps(args, "--freeze-epochs")
        store = open_split(args.data, args.train_subset)
        names, weights = choose_columns(store, config.target_columns), None
        if config.weight_column:
            names, weights = split_off_weights(
                store, names, config.weight_column, config.target_columns == "all"
            )
        extra = read_flags(args, HeadConfig).extra_descriptors
        if extra:
            if config.weight_column in extra:
                raise MoleblendError(
                    f"--weight-column {config.weight_column!r} is one of --descriptors-columns too: "
                    "name it once"
                )
            names = split_off_descriptors(store, names, extra, config.target_columns == "all")
        args.target_names = names
        choose_head_inputs(args, store)
        choose_extra_descriptors(args, store)
        args.conversion = store.meta.settings.get("conversion")  # for whoever predicts new molecules
        labels = read_labels(store, columns_of(store, names), names, column_kinds(args), weights)
        if kind == "multiclass":
            args.num_classes = choose_classes(labels, read_flags(args, MulticlassConfig), args.train_subset)
        check_training_labels(labels, args.train_subset)
        warn_missing_3d(labels, config.input_mode, args.train_subset)
        _make_room(args)
        return cls(args, config, kind, labels)

    def molecules(self, store: MoleculeStore, split: str, training: bool) -> PropertyMolecules:
        """Training draws a conformer per epoch; any other split has one item per conformer."""
        names, mode = self.args.target_names, self.config.input_mode
        columns, weighs = columns_of(store, names), self.config.weight_column
        weights = columns_of(store, [weighs])[0] if weighs else None
        inputs, extra = head_inputs_of(self.args, store), extra_columns_of(self.args, store)
        if training:
            return PropertyMolecules(
                store,
                columns,
                mode,
                self.args.seed,
                shuffle=True,
                strict=self.strict,
                weight_column=weights,
                head_inputs=inputs,
                extra_columns=extra,
            )
        labels = read_labels(store, columns, names, column_kinds(self.args), weights)
        if self.kind == "multiclass":
            check_classes(labels, self.args.num_classes, split)
        first = split == self.args.valid_subset.split(",")[0]
        check_valid_labels(labels, split, self.args.best_checkpoint_metric if first else None)
        warn_missing_3d(labels, mode, split)
        return PropertyMolecules(
            store,
            columns,
            mode,
            self.args.seed,
            conformers="all",
            strict=self.strict,
            counts=labels.conformers,
            weight_column=weights,
            head_inputs=inputs,
            extra_columns=extra,
        )

    def begin_epoch(self, epoch: int, model: BaseModel) -> None:
        """Hold the encoder in the first epochs (``--freeze-epochs``), also where a run is taken up there."""
        super().begin_epoch(epoch, model)
        if self.config.freeze_epochs:
            network, held = cast("PropertyOutputs", model), epoch <= self.config.freeze_epochs
            if held != network.encoder_held:
                logger.info(f"epoch {epoch}: {'the head alone is' if held else 'all weights are'} trained")
            network.hold_encoder(held)

    def train_step(
        self,
        sample: dict[str, Any],
        model: BaseModel,
        loss: BaseLoss,
        optimizer: HostOptimizer,
        update_num: int,
        ignore_grad: bool = False,
    ) -> StepOutput:
        """Forward and backward of one batch; what is held gets no gradient, so that it adds to no norm."""
        output = super().train_step(sample, model, loss, optimizer, update_num, ignore_grad)
        cast("PropertyOutputs", model).drop_held_gradients()
        return output

    def optimizer_step(self, optimizer: HostOptimizer, model: BaseModel, update_num: int) -> None:
        """Apply the gradients, lower layers more slowly with ``--layer-lr-decay``."""
        cast("PropertyOutputs", model).drop_held_gradients()  # processes may have exchanged zeros since
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


def column_kinds(args: argparse.Namespace) -> tuple[ColumnKind, ...]:
    """What the labels of a run are, in the order of ``args.target_names``.

    Raises:
        MoleblendError: ``--class-columns`` names what is no label, or not some of them.
    """
    kind, names = kind_of(args.loss), args.target_names
    classes = parse_names(getattr(args, "class_columns", None) or "")
    if kind == "multiclass" and len(names) > 1:
        raise MoleblendError(
            f"--loss moleblend_multiclass takes one column of classes, not {len(names)} ({listed(names)}): "
            "name it by --target-columns"
        )
    if kind != "mixed":
        return (kind,) * len(names)
    unknown = next((name for name in classes if name not in names), None)
    if unknown is not None:
        raise MoleblendError(f"--class-columns: {unknown!r} is no column of labels; they are {listed(names)}")
    if not 0 < len(set(classes)) < len(names):
        which = "regression" if not classes else "classification"
        raise MoleblendError(
            "--loss moleblend_mixed needs columns of classes, named by --class-columns, beside others of "
            f"values: give --loss moleblend_{which} where all are of one kind"
        )
    return tuple("classification" if name in classes else "regression" for name in names)


def _make_room(args: argparse.Namespace, host: str = HOST) -> None:
    """Uni-Core gathers the rows of a validation batch in a buffer of fixed size."""
    if host == "unicore":
        outputs = len(args.target_names) if kind_of(args.loss) != "multiclass" else args.num_classes
        row = 4 * (outputs + len(args.target_names)) + 16  # predictions, labels; two sums and the molecule
        rows = (args.batch_size_valid or args.batch_size) * row + 4096  # names and types beside the numbers
        args.all_gather_list_size = max(args.all_gather_list_size, rows)
