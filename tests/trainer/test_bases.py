"""Base classes keep Uni-Core's contract."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.trainer.contract.dataset import BaseDataset
from moleblend_plugin.trainer.contract.loss import BaseLoss
from moleblend_plugin.trainer.contract.model import BaseModel
from moleblend_plugin.trainer.contract.task import BaseTask
from moleblend_plugin.trainer.logging import metrics
from moleblend_plugin.trainer.loop.optim import Optimizer


class Count(BaseDataset):
    def __init__(self, reusable: bool = True) -> None:
        super().__init__()
        self.reusable, self.epochs = reusable, []

    def __len__(self) -> Any:
        return 6

    def __getitem__(self, index: Any) -> Any:
        return index

    def collater(self, samples: Any) -> Any:
        return {"x": torch.tensor(samples)}

    def set_epoch(self, epoch: Any) -> None:
        self.epochs.append(epoch)

    def ordered_indices(self) -> Any:
        return np.random.permutation(6).astype(np.int64)  # noqa: NPY002

    @property
    def can_reuse_epoch_itr_across_epochs(self) -> Any:
        return self.reusable


class Loss(BaseLoss):
    def __init__(self, task: Any, args: Any, weight: Any, slope: float = 2.0) -> None:
        super().__init__(task)
        self.seen, self.weight, self.slope = args, weight, slope

    def forward(self, model: Any, sample: Any, reduce: bool = True) -> Any:
        value = model(sample["x"]).sum()
        return value, len(sample["x"]), {"loss": value.detach(), "bsz": len(sample["x"])}

    @staticmethod
    def reduce_metrics(logging_outputs: Any, split: str = "train") -> None:
        metrics.log_scalar(f"{split}_count", len(logging_outputs))


class Model(BaseModel):
    def __init__(self) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(3.0))

    def forward(self, x: Any) -> Any:
        return self.factor * x


def test_loss_parameters_are_filled_by_name() -> None:
    args = Namespace(weight=0.5)
    task = BaseTask(args)
    loss = Loss.build_loss(args, task)
    assert (loss.task, loss.args, loss.seen, loss.weight, loss.slope) == (task, args, args, 0.5, 2.0)
    assert Loss.build_loss(Namespace(weight=0.5, slope=7.0), task).slope == 7.0


def test_loss_parameter_without_an_option_is_named() -> None:
    with pytest.raises(MoleblendError, match="loss Loss needs 'weight': declare --weight"):
        Loss.build_loss(Namespace(), BaseTask(Namespace()))


def test_logging_outputs_are_not_summed_unless_a_loss_says_so() -> None:
    loss = Loss(BaseTask(Namespace()), None, 1.0)
    assert BaseTask.logging_outputs_can_be_summed(loss, is_train=True) is False


def test_unloaded_and_foreign_data_sets_are_named() -> None:
    task = BaseTask(Namespace())
    with pytest.raises(MoleblendError, match="split 'valid' is not loaded"):
        task.dataset("valid")
    task.datasets["valid"] = [1, 2]
    with pytest.raises(MoleblendError, match="list must extend the host's BaseDataset"):
        task.dataset("valid")
    task.datasets["valid"] = Count()
    assert task.dataset("valid") is task.datasets["valid"]


def test_several_data_paths_are_sharded_data() -> None:
    assert BaseTask(Namespace(data="a:b")).has_sharded_data("train")
    assert not BaseTask(Namespace(data="a")).has_sharded_data("train")
    assert not BaseTask(Namespace()).has_sharded_data("train")


def test_batches_are_reused_only_where_the_data_set_allows() -> None:
    task = BaseTask(Namespace())
    fixed, changing = Count(), Count(reusable=False)
    assert task.get_batch_iterator(fixed, 2) is task.get_batch_iterator(fixed, 2, epoch=2)
    assert fixed.epochs == [1]
    assert task.get_batch_iterator(changing, 2) is not task.get_batch_iterator(changing, 2, epoch=2)
    assert changing.epochs == [1, 2]
    assert task.get_batch_iterator(fixed, 2, disable_iterator_cache=True) is not task.get_batch_iterator(
        fixed, 2
    )


def test_order_from_numpys_global_generator_follows_the_seed() -> None:
    task = BaseTask(Namespace())
    order = np.random.RandomState(9).permutation(6)
    iterator = task.get_batch_iterator(Count(reusable=False), 3, seed=9)
    assert [list(batch) for batch in iterator.batches] == [list(order[:3]), list(order[3:])]


def test_a_task_can_keep_the_order_of_its_batches() -> None:
    class Ordered(BaseTask):
        def disable_shuffling(self) -> Any:
            return True

    iterator = Ordered(Namespace()).get_batch_iterator(Count(), 1, seed=2)
    assert iterator.order(1, shuffle=True).tolist() == list(range(len(iterator.batches)))


@pytest.mark.parametrize(("ignored", "gradient"), [(False, 3.0), (True, 0.0)])
def test_training_step_computes_gradients_unless_ignored(ignored: bool, gradient: float) -> None:
    task, model = BaseTask(Namespace()), Model()
    model.eval()
    heard = []
    model.set_num_updates = heard.append
    optimizer = Optimizer(torch.optim.SGD(model.parameters(), lr=1.0))
    loss = Loss(task, None, 1.0)
    sample = {"x": torch.tensor([1.0, 2.0])}
    _, size, output = task.train_step(sample, model, loss, optimizer, 7, ignore_grad=ignored)
    assert (size, float(output["loss"]), heard, model.training) == (2, 9.0, [7], True)
    assert model.factor.grad.item() == gradient
    task.optimizer_step(optimizer, model, 7)
    assert model.factor.item() == 3.0 - gradient


def test_validation_step_computes_no_gradients() -> None:
    task, model = BaseTask(Namespace()), Model()
    value, _, _ = task.valid_step({"x": torch.ones(2)}, model, Loss(task, None, 1.0))
    assert not value.requires_grad
    assert not model.training


def test_batch_sizes_are_logged_beside_the_losss_metrics() -> None:
    task = BaseTask(Namespace())
    loss = Loss(task, None, 1.0)
    with metrics.aggregate(new_root=True) as meters:
        task.reduce_metrics([{"bsz": 3}, {"bsz": 4}], loss, "valid")
    assert meters.get_smoothed_values() == {"valid_count": 2, "bsz": 7}
    with metrics.aggregate(new_root=True) as meters:
        task.reduce_metrics([{}], loss)
    assert meters.get_smoothed_values() == {"train_count": 1}


def test_submodules_hear_the_number_of_updates() -> None:
    class Listener(nn.Module):
        heard = None

        def set_num_updates(self, number: Any) -> None:
            self.heard = number

    model = Model()
    model.part = nn.Sequential(Listener())
    model.set_num_updates(5)
    assert model.part[0].heard == 5


def test_model_takes_the_runs_options_with_its_weights() -> None:
    result = Model().load_state_dict({}, strict=False, model_args=Namespace())
    assert result.missing_keys == ["factor"]


def test_classes_without_their_parts_say_so() -> None:
    with pytest.raises(NotImplementedError, match="BaseModel must define the class method build_model"):
        BaseModel.build_model(Namespace(), BaseTask(Namespace()))
    with pytest.raises(NotImplementedError):
        BaseTask(Namespace()).load_dataset("train")
