"""What every task on a folder of stores shares: data sets under the trainer's names, guards, records."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from moleblend_plugin.data.batches.collate import Batch
from moleblend_plugin.data.batches.dataset import StoredMolecules
from moleblend_plugin.data.batches.order import Order, cut_batches
from moleblend_plugin.data.loop import load_compiler
from moleblend_plugin.data.samples.blend import Sample
from moleblend_plugin.data.store.reader import MoleculeStore
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.host import HOST, BaseDataset, BaseLoss, BaseModel, BaseTask, log_scalar
from moleblend_plugin.runs.allocator import keep_freed_memory
from moleblend_plugin.runs.devices import device_type
from moleblend_plugin.runs.flags import WithFlags, add_flags, option, read_flags
from moleblend_plugin.runs.run_lock import hold_for_process
from moleblend_plugin.runs.run_record import write_record
from moleblend_plugin.schema import InputCodes
from moleblend_plugin.tasks.check_input_codes import check_store, choose_input_codes
from moleblend_plugin.tasks.guards import check_best_metric, check_run, check_warmup, even_batches
from moleblend_plugin.tasks.store_fingerprint import store_fingerprint

if TYPE_CHECKING:
    from typing import Self

    from moleblend_plugin.host import EpochBatches, HostOptimizer, LoggingOutput, StepOutput

BatchOrder = Literal["size", "mixed"]


class TrainerDataset(BaseDataset):
    """:class:`StoredMolecules` under the trainer's names.

    Args:
        molecules: the items.
        batch_size: most molecules of a batch.
        max_atoms: most atoms of a batch, padding included; ``None`` sets no limit.
    """

    def __init__(self, molecules: StoredMolecules, batch_size: int, max_atoms: int | None = None) -> None:
        super().__init__()
        self.molecules = molecules
        self.batch_size = batch_size
        self.max_atoms = max_atoms
        self.shards = 1
        """The number of batches is a multiple of this."""

    def __len__(self) -> int:
        return len(self.molecules)

    def __getitem__(self, index: int) -> Sample:
        return self.molecules[int(index)]

    def collater(self, samples: Sequence[Sample]) -> Batch:
        """One padded batch; ``{}`` for an empty list."""
        return self.molecules.collate(samples)

    def ordered_indices(self) -> Order:
        """This epoch's order: neighbours are of like size (``data.batches.order``)."""
        return self.molecules.order(self.batch_size)

    def batch_by_size(
        self,
        indices: Order,
        batch_size: int | None = None,
        required_batch_size_multiple: int = 1,
    ) -> Sequence[Any]:
        """Cut ``indices`` into consecutive batches, equally many for each of :attr:`shards` processes."""
        batches: Sequence[Any] = cut_batches(
            indices, self.molecules.sizes(), batch_size or 1, self.max_atoms, required_batch_size_multiple
        )
        return even_batches(batches, self.shards) if self.shards > 1 else batches

    def row_ids(self, indices: Sequence[int]) -> list[str]:
        """``file:row`` of items, for reports."""
        return [self.molecules.row_id(index) for index in indices]

    def set_epoch(self, epoch: int) -> None:
        """Draw other random numbers and, in training, another order."""
        super().set_epoch(epoch)
        self.molecules.set_epoch(epoch)

    @property
    def can_reuse_epoch_itr_across_epochs(self) -> bool:
        """A shuffled order changes from epoch to epoch."""
        return not self.molecules.shuffle


def unicore_trainer() -> ModuleType:
    """What Uni-Core's trainer gets from us; nobody else loads it."""
    from moleblend_plugin.host import unicore_trainer

    return unicore_trainer


def open_split(folder: str, split: str) -> MoleculeStore:
    """The store of a split.

    Raises:
        MoleblendError: there is none, or nothing in it.
    """
    path = Path(folder) / f"{split}.lmdb"
    if not path.exists():
        there = ", ".join(sorted(other.stem for other in path.parent.glob("*.lmdb"))) or "no store"
        raise MoleblendError(
            f"{path} does not exist, the folder holds {there}; build it with --split random, or name "
            "other parts with --train-subset and --valid-subset"
        )
    store = MoleculeStore(path)
    if not len(store):
        raise MoleblendError(f"{path}: the store is empty; build it with a larger share of --split-sizes")
    return store


@dataclass(frozen=True, slots=True)
class StoreConfig:
    """How stores are read, whatever the task.

    Attributes:
        max_atoms_per_batch: most atoms of a batch, padding included (molecules x atoms of the largest):
            batches of small molecules hold more of them, up to --batch-size; a larger one is a batch of its
            own
        batch_order: molecules of a batch: of like size, which pads least, or mixed, for what compares or
            averages over a batch (default: mixed for structure awareness and GIN, else size)
        strict_data: end the run at a damaged row of a store, which is otherwise left out and counted
        input_codes: what the model sees: invariant does not hang on how a molecule is written (CIP labels,
            paths by their bonds); published does (OGB's clockwise and counter-clockwise, paths by numbers of
            atoms), as published models need it (default: as the checkpoint that the run begins from, else
            invariant; published where the store is of format 2)

    Raises:
        MoleblendError: an impossible value.
    """

    max_atoms_per_batch: int | None = option(None, metavar="N")
    batch_order: BatchOrder | None = None
    strict_data: bool = False
    input_codes: InputCodes | None = None

    def __post_init__(self) -> None:
        most = self.max_atoms_per_batch
        if most is not None and most < 1:
            raise MoleblendError(f"--max-atoms-per-batch {most}: give 1 or more, such as 32 x the usual size")


class StoreTask(WithFlags, BaseTask):
    """A task on a folder of stores (``train.lmdb``, ``valid.lmdb``, ...). Subclasses make their items."""

    BATCH_ORDER: ClassVar[BatchOrder] = "size"
    """Default of ``--batch-order``."""

    def __init__(self, args: argparse.Namespace) -> None:
        super().__init__(args)
        self.stores: dict[str, dict[str, str]] = {}
        self.recorded = False

    @classmethod
    def add_args(cls, parser: argparse.ArgumentParser) -> None:
        """The data folder, and one option per field of the configs."""
        parser.add_argument("data", help="folder of stores made by 'moleblend build'")
        add_flags(parser, StoreConfig)
        if HOST == "unicore":
            unicore_trainer().add_unicore_flags(parser)
        super().add_args(parser)

    @classmethod
    def setup_task(cls, args: argparse.Namespace, **kwargs: Any) -> Self:
        """Check the flags before anything is built."""
        cls.check(args)
        return cls(args)

    @staticmethod
    def check(args: argparse.Namespace) -> None:
        """Check the flags before anything is built, and choose the input codes; call it in ``setup_task``.

        Raises:
            MoleblendError: names flag and remedy.
        """
        if not Path(args.data).is_dir():
            raise MoleblendError(
                f"{args.data}: no such folder; make it with 'moleblend build INPUT --out {args.data}'"
            )
        if not 0 <= args.seed < 2**32:
            raise MoleblendError(f"--seed {args.seed}: give a number from 0 to {2**32 - 1}")
        read_flags(args, StoreConfig)
        check_run(args)
        choose_input_codes(args, open_split(args.data, args.train_subset))
        if HOST == "unicore":  # the embedded trainer has done so before
            unicore_trainer().check_unicore_options(args)
            hold_for_process(args)
            unicore_trainer().extend_unicore()

    @property
    def strict(self) -> bool:
        """Whether a damaged row ends the run."""
        return read_flags(self.args, StoreConfig).strict_data

    def molecules(self, store: MoleculeStore, split: str, training: bool) -> StoredMolecules:
        """The items of a split."""
        raise NotImplementedError

    def build_loss(self, args: argparse.Namespace) -> BaseLoss:
        """The loss, which must log the metric of the best checkpoint."""
        loss = super().build_loss(args)
        check_best_metric(args, loss)
        return loss

    def build_model(self, args: argparse.Namespace) -> BaseModel:
        """The model; ``--compile`` compiles it (the embedded trainer does so itself)."""
        if device_type(getattr(args, "cpu", False)) == "cpu":
            keep_freed_memory()
        model = super().build_model(args)
        if HOST == "unicore" and getattr(args, "compile", False):
            model.compile(dynamic=True)  # in place, so names of weights stay; sizes differ between batches
        return model

    def train_step(
        self,
        sample: dict[str, Any],
        model: BaseModel,
        loss: BaseLoss,
        optimizer: HostOptimizer,
        update_num: int,
        ignore_grad: bool = False,
    ) -> StepOutput:
        """Forward and backward of one batch; under Uni-Core a bad loss makes bad gradients."""
        called: Any = unicore_trainer().not_finite_in_all(loss) if HOST == "unicore" else loss
        return super().train_step(sample, model, called, optimizer, update_num, ignore_grad)

    def get_batch_iterator(self, dataset: BaseDataset, *args: Any, **kwargs: Any) -> EpochBatches:
        """Batches, epoch by epoch; no update of several batches ends in an empty one under Uni-Core."""
        training = dataset is self.datasets.get(self.args.train_subset)
        several = training and HOST == "unicore" and max(self.args.update_freq) > 1
        if isinstance(dataset, TrainerDataset):
            dataset.shards = kwargs.get("num_shards", 1) if several else 1
        batches = super().get_batch_iterator(dataset, *args, **kwargs)
        if training:
            check_warmup(self.args, len(batches))
        return batches

    def load_dataset(self, split: str, combine: bool = False, **kwargs: Any) -> None:
        """Open ``<data>/<split>.lmdb``; only the training subset is shuffled."""
        store = open_split(self.args.data, split)
        training = split == self.args.train_subset
        molecules = self.molecules(store, split, training)
        args, config = self.args, read_flags(self.args, StoreConfig)
        check_store(store, args.input_codes)
        molecules.codes = args.input_codes
        molecules.by_size = (config.batch_order or self.BATCH_ORDER) == "size"
        batch_size = args.batch_size if training else (args.batch_size_valid or args.batch_size)
        self.datasets[split] = TrainerDataset(molecules, batch_size, config.max_atoms_per_batch)
        self.stores[split] = {
            "path": str(store.path.resolve()),
            "fingerprint": store_fingerprint(store.path),
        }
        if getattr(args, "num_workers", 0):
            load_compiler()  # before they are forked
        if training:  # the last split that a trainer loads
            self._record()

    def store_fingerprints(self) -> dict[str, dict[str, str]]:
        """By split: path and fingerprint of its store, for ``run.json``."""
        return self.stores

    def _record(self) -> None:
        """Write ``run.json`` under Uni-Core, once per start; the embedded trainer does so itself."""
        first = getattr(self.args, "distributed_rank", 0) == 0
        if HOST == "unicore" and first and not self.args.no_save and not self.recorded:
            self.recorded = True
            write_record(self.args, sys.argv[1:], HOST, self.stores)

    def reduce_metrics(
        self, logging_outputs: list[LoggingOutput], loss: BaseLoss, split: str = "train"
    ) -> None:
        """Log what the loss logs, and ``damaged_rows`` once this process has met any."""
        super().reduce_metrics(logging_outputs, loss, split)
        sets = [dataset for dataset in self.datasets.values() if isinstance(dataset, TrainerDataset)]
        damaged = sum(len(dataset.molecules.damaged) for dataset in sets)
        if damaged:
            log_scalar("damaged_rows", damaged, weight=0, priority=180)
